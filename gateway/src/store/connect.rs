//! Opening the database, reading from it, and running transactions.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};

use super::{
    Reader, StoreError, Tx, error,
    gate::Permit,
    idempotency,
    ingest::Writer,
    meter::Meter,
    pools::{self, Kind, Pools},
    tx::{Later, Signals},
    wal::Checkpointer,
};
use crate::{clock::SharedClock, config::StoreConfig, telemetry::Metrics};

/// Times a transaction that lost a race is run at most.
const ATTEMPTS: u32 = 10;
/// Bytes a probe takes after a failure.
const PROBE: usize = 64 * 1024;
/// Longest wait for a probe's answer (PostgreSQL): who asks for readiness is not kept waiting.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// How urgent a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Locks and commands: before everything that waits.
    Priority,
    /// The rest.
    Normal,
}

/// The answer, if it comes in time.
pub(super) async fn in_time<T>(
    patience: Option<Duration>,
    work: impl Future<Output = T>,
) -> Option<T> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, work).await.ok(),
        None => Some(work.await),
    }
}

/// The answer did not come.
pub(super) fn silent() -> StoreError {
    StoreError::Io("no answer in time".to_owned())
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    config: StoreConfig,
    pools: RwLock<Pools>,
    healthy: AtomicBool,
    meter: Meter,
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl Store {
    /// Opens the database and checks that it keeps its promises. The schema is [`Store::migrate`]'s.
    ///
    /// # Errors
    /// It can't be reached, or is not durable.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let kind = pools::kind(config)?;
        let store = Self {
            inner: Arc::new(Inner {
                pools: RwLock::new(pools::pools(&kind, config)),
                kind,
                config: config.clone(),
                healthy: AtomicBool::new(true),
                meter: Meter::default(),
            }),
        };
        store.check_durability().await?;
        Ok(store)
    }

    /// Reads; on SQLite from read-only connections.
    #[must_use]
    pub fn read(&self) -> Reader {
        Reader::pool(self.pools().read, self.patience())
    }

    /// Runs one transaction and commits it if `work` succeeds. `work` may run several times (a lost race on
    /// PostgreSQL), so it must do nothing outside the transaction and must not keep the [`Tx`].
    ///
    /// # Errors
    /// What `work` says, or the database.
    pub async fn write<F, Fut, T, E>(&self, lane: Lane, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        self.write_within(self.patience(), lane, work).await
    }

    /// [`Store::write`] with another patience; `None` = without end.
    pub(super) async fn write_within<F, Fut, T, E>(
        &self,
        patience: Option<Duration>,
        lane: Lane,
        work: F,
    ) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        let meter = &self.inner.meter;
        let began = meter.now();
        let _permit = self.pass(lane).await;
        meter.waited(lane, began);
        let began = meter.now();
        let mut attempt = 1;
        loop {
            let signals = Arc::new(Signals::default());
            let done = in_time(patience, self.attempt(lane, &signals, &work)).await;
            let done = done.unwrap_or_else(|| Err(self.note(silent()).into()));
            let lost = signals.lost_race.load(Ordering::Relaxed);
            if signals.outage.load(Ordering::Relaxed) {
                self.outage();
            }
            match done {
                Err(_) if lost && attempt < ATTEMPTS => {
                    meter.retried();
                    let pause =
                        Duration::from_millis(u64::from(rand::random_range(1..=5 * attempt)));
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                done => {
                    meter.written(lane, began);
                    return done;
                }
            }
        }
    }

    /// Counts and times writers from now on.
    pub fn observe(&self, metrics: Arc<Metrics>, clock: SharedClock) {
        self.inner.meter.attach(metrics, clock);
    }

    async fn attempt<F, Fut, T, E>(
        &self,
        lane: Lane,
        signals: &Arc<Signals>,
        work: &F,
    ) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send,
        Fut: Future<Output = Result<T, E>> + Send,
        E: From<StoreError>,
    {
        let pools = self.pools();
        let pool = match lane {
            Lane::Priority => pools.priority,
            Lane::Normal => pools.write,
        };
        let options = TransactionOptions {
            sqlite_transaction_mode: self.is_sqlite().then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let begun = pool.begin_with_options(options).await;
        let transaction = Arc::new(begun.map_err(|error| self.failed(error))?);
        let later = Arc::new(Mutex::new(Later::default()));
        let tx = Tx::new(
            Arc::clone(&transaction),
            Arc::clone(signals),
            Arc::clone(&later),
        );
        let result = work(tx).await;
        let transaction = Arc::into_inner(transaction).expect("work keeps no Tx");
        let later = Arc::into_inner(later).expect("work keeps no Tx");
        let later = later.into_inner().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(value) => match finish(transaction, later).await {
                Ok(()) => {
                    self.succeeded();
                    Ok(value)
                }
                Err(error) => {
                    let lost = error::lost_race(&error);
                    signals.lost_race.fetch_or(lost, Ordering::Relaxed);
                    Err(self.failed(error).into())
                }
            },
            Err(error) => {
                // The transaction is gone either way: a failed rollback closes its connection.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    }

    /// Takes the turn to write (SQLite); PostgreSQL needs none.
    pub(super) async fn pass(&self, lane: Lane) -> Option<Permit> {
        match &self.inner.kind {
            Kind::Sqlite { gate, .. } => Some(gate.pass(lane == Lane::Priority).await),
            Kind::Postgres(_) => None,
        }
    }

    /// Did the last write succeed? Readiness; [`Store::probe`] finds out anew.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.inner.healthy.load(Ordering::Relaxed)
    }

    /// Writes something that changes nothing, through to the disk. After a failure it takes room as well: a full disk
    /// still lets old pages be overwritten.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let patience = self.patience().map(|long| long.min(PROBE_PATIENCE));
        let probe = async {
            match self.is_healthy() {
                true => self.probe_in_place().await,
                false => self.probe_for_room().await,
            }
        };
        let result = in_time(patience, probe).await;
        result
            .unwrap_or_else(|| Err(silent()))
            .map_err(|error| self.note(error))
    }

    /// How long an answer may take. A file answers or fails; a server may vanish without a word.
    pub(super) fn patience(&self) -> Option<Duration> {
        let long = Duration::from_millis(self.inner.config.timeout_ms);
        (!self.is_sqlite()).then_some(long)
    }

    async fn probe_in_place(&self) -> Result<(), StoreError> {
        self.write(Lane::Priority, |tx| async move {
            tx.execute_unprepared("UPDATE outbox_head SET position = position WHERE one = 1")
                .await?;
            Ok(())
        })
        .await
    }

    /// In two transactions: what is taken back before the commit never needs the disk. A crash between them leaves a
    /// key nobody uses, which retention deletes.
    async fn probe_for_room(&self) -> Result<(), StoreError> {
        let key = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>());
        let row = &idempotency::Row {
            token_id: uuid::Uuid::nil(),
            key,
            route: "probe ".repeat(PROBE / 6),
            body_hash: Vec::new(),
            status: None,
            response: None,
            created_at: 0,
            started_at: 0,
        };
        self.write(Lane::Priority, |tx| async move {
            idempotency::insert(&tx, row).await
        })
        .await?;
        self.write(Lane::Priority, |tx| async move {
            idempotency::remove(&tx, row).await
        })
        .await
    }

    /// Remembers an outage and opens the database anew for whoever comes next.
    pub(super) fn note(&self, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Io(_)) {
            self.outage();
        }
        error
    }

    fn outage(&self) {
        self.inner.meter.failed();
        self.inner.healthy.store(false, Ordering::Relaxed);
        let mut pools = self
            .inner
            .pools
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *pools = pools::pools(&self.inner.kind, &self.inner.config);
    }

    fn failed(&self, error: DbErr) -> StoreError {
        self.note(StoreError::from(error))
    }

    /// A write succeeded.
    pub(super) fn succeeded(&self) {
        self.inner.healthy.store(true, Ordering::Relaxed);
    }

    /// Who writes records on SQLite.
    pub(super) fn ingest_writer(&self) -> Option<&Writer> {
        match &self.inner.kind {
            Kind::Sqlite { ingest, .. } => Some(ingest),
            Kind::Postgres(_) => None,
        }
    }

    /// Who moves SQLite's write-ahead log into the file.
    pub(super) fn checkpointer(&self) -> Option<&Checkpointer> {
        match &self.inner.kind {
            Kind::Sqlite { checkpointer, .. } => Some(checkpointer),
            Kind::Postgres(_) => None,
        }
    }

    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self.inner.kind, Kind::Sqlite { .. })
    }

    pub(super) fn pools(&self) -> Pools {
        self.inner
            .pools
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// SQLite: a setting that did not take (a build option, a file system without shared memory) would lose data.
    /// PostgreSQL: `fsync` and `synchronous_commit` are the server's, but we refuse to build on sand.
    async fn check_durability(&self) -> Result<(), StoreError> {
        let expected: &[(&str, &[&str])] = match self.inner.kind {
            Kind::Sqlite { .. } => &[
                ("journal_mode", &["wal"]),
                ("synchronous", &["2"]),
                ("foreign_keys", &["1"]),
            ],
            Kind::Postgres(_) => &[
                ("fsync", &["on"]),
                (
                    "synchronous_commit",
                    &["on", "local", "remote_write", "remote_apply"],
                ),
            ],
        };
        for (name, good) in expected {
            let value = self.setting(name).await?;
            if !good.contains(&value.as_str()) {
                return Err(StoreError::Setup(format!(
                    "the database has {name} = {value}: acknowledged records could be lost"
                )));
            }
        }
        Ok(())
    }

    async fn setting(&self, name: &str) -> Result<String, StoreError> {
        let writer = self.pools().write;
        let row = if self.is_sqlite() {
            let sql = format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}");
            writer
                .query_one_raw(Statement::from_string(DbBackend::Sqlite, sql))
                .await?
        } else {
            let sql = format!("SELECT current_setting('{name}') AS value");
            writer
                .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
                .await?
        };
        let row =
            row.ok_or_else(|| StoreError::Setup(format!("the database does not know {name}")))?;
        Ok(row.try_get("", "value")?)
    }

    /// Waits for the readers and writers at work and closes the database.
    pub async fn close(self) {
        let Pools {
            read,
            write,
            priority,
        } = self.pools();
        for pool in [read, write, priority] {
            // Closing a pool that failed is no news.
            let _ = pool.close_by_ref().await;
        }
    }
}

/// Writes what was left for the end, and commits.
async fn finish(transaction: DatabaseTransaction, later: Later) -> Result<(), DbErr> {
    if let Err(error) = later.write(&transaction).await {
        // The transaction is gone either way: a failed rollback closes its connection.
        let _ = transaction.rollback().await;
        return Err(error);
    }
    transaction.commit().await
}
