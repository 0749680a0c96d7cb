//! Readers and transactions: what the nouns' functions run on.
//!
//! A [`Tx`] is a [`Reader`] that may also write; it derefs to it, so functions that only read take `&Reader`.

use std::{
    future::Future,
    io,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait as _,
    ExecResult, QueryResult, RuntimeErr, Statement, entity::prelude::async_trait, sqlx,
};

use super::{
    connect::in_time,
    entity::{audit, outbox},
    error,
};

/// What the statements of a transaction met, whatever became of their errors.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// PostgreSQL ended the transaction so that another could go on.
    pub(super) lost_race: AtomicBool,
    /// The database can't be written.
    pub(super) outage: AtomicBool,
}

#[derive(Debug, Clone)]
enum On {
    Pool(DatabaseConnection),
    Transaction(Arc<DatabaseTransaction>),
}

/// Reads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    on: On,
    signals: Arc<Signals>,
    /// How long one statement may take; a transaction is bounded as a whole.
    patience: Option<Duration>,
}

impl Reader {
    pub(super) fn pool(pool: DatabaseConnection, patience: Option<Duration>) -> Self {
        Self {
            on: On::Pool(pool),
            signals: Arc::default(),
            patience,
        }
    }

    /// Is it PostgreSQL?
    pub(super) fn is_postgres(&self) -> bool {
        self.get_database_backend() == DbBackend::Postgres
    }

    async fn run<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>> + Send,
    ) -> Result<T, DbErr> {
        let result = in_time(self.patience, statement).await;
        let result = result.unwrap_or_else(|| {
            let silent = sqlx::Error::Io(io::ErrorKind::TimedOut.into());
            Err(DbErr::Query(RuntimeErr::SqlxError(Arc::new(silent))))
        });
        if let Err(inner) = &result {
            let lost = error::lost_race(inner);
            self.signals.lost_race.fetch_or(lost, Ordering::Relaxed);
            let outage = error::is_io(inner);
            self.signals.outage.fetch_or(outage, Ordering::Relaxed);
        }
        result
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        match &self.on {
            On::Pool(on) => on.get_database_backend(),
            On::Transaction(on) => on.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(async {
            match &self.on {
                On::Pool(on) => on.execute_raw(statement).await,
                On::Transaction(on) => on.execute_raw(statement).await,
            }
        })
        .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(async {
            match &self.on {
                On::Pool(on) => on.execute_unprepared(sql).await,
                On::Transaction(on) => on.execute_unprepared(sql).await,
            }
        })
        .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(async {
            match &self.on {
                On::Pool(on) => on.query_one_raw(statement).await,
                On::Transaction(on) => on.query_one_raw(statement).await,
            }
        })
        .await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(async {
            match &self.on {
                On::Pool(on) => on.query_all_raw(statement).await,
                On::Transaction(on) => on.query_all_raw(statement).await,
            }
        })
        .await
    }
}

/// Rows that nothing in their own transaction reads: all of them are written by one statement a table, last. A
/// statement costs a change of threads, and most transactions owe several such rows.
#[derive(Debug, Default)]
pub(super) struct Later {
    pub(super) audit: Vec<audit::ActiveModel>,
    pub(super) outbox: Vec<outbox::ActiveModel>,
}

impl Later {
    /// Rows of one statement, so that no database runs out of parameters.
    const AT_ONCE: usize = 500;

    pub(super) async fn write(self, on: &DatabaseTransaction) -> Result<(), DbErr> {
        for some in self.audit.chunks(Self::AT_ONCE) {
            audit::Entity::insert_many(some.iter().cloned())
                .exec_without_returning(on)
                .await?;
        }
        for some in self.outbox.chunks(Self::AT_ONCE) {
            outbox::Entity::insert_many(some.iter().cloned())
                .exec_without_returning(on)
                .await?;
        }
        Ok(())
    }
}

/// One transaction. Everything done on it is committed together, or not at all.
#[derive(Debug)]
pub struct Tx {
    reader: Reader,
    later: Arc<Mutex<Later>>,
}

impl Tx {
    pub(super) fn new(
        transaction: Arc<DatabaseTransaction>,
        signals: Arc<Signals>,
        later: Arc<Mutex<Later>>,
    ) -> Self {
        Self {
            reader: Reader {
                on: On::Transaction(transaction),
                signals,
                patience: None,
            },
            later,
        }
    }

    /// What is written last.
    pub(super) fn later(&self) -> MutexGuard<'_, Later> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Tx {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}
