//! Ingest on SQLite: one thread, one connection, prepared statements. A batch in which a group makes trouble is done
//! again with a savepoint a group.

mod load;
mod write;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{
    IngestBatch, IngestOutcome, IngestRefusal,
    decide::{self, Decision},
};
use crate::store::{StoreError, error, gate::Permit, wal};

type Reply = oneshot::Sender<Result<Vec<IngestOutcome>, StoreError>>;

struct Job {
    groups: Vec<IngestBatch>,
    /// Held until the commit, even if nobody waits for the answer any more.
    permit: Option<Permit>,
    reply: Reply,
}

/// The writer's address. The thread ends with the last of them.
#[derive(Debug, Clone)]
pub(in crate::store) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread; the file is opened by the first job.
    pub(in crate::store) fn start(
        file: PathBuf,
        busy: Duration,
        max_pages: u32,
    ) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(1);
        let run = move || {
            let mut connection = None;
            while let Some(job) = queue.blocking_recv() {
                let result = work(&mut connection, &job.groups, || {
                    open(&file, busy, max_pages)
                });
                if result.is_err() {
                    // Whatever state it is in, the next job begins with a fresh one.
                    connection = None;
                }
                drop(job.permit);
                // Nobody waits: the session is gone, the records are stored all the same.
                let _ = job.reply.send(result);
            }
        };
        std::thread::Builder::new()
            .name("ingest".to_owned())
            .spawn(run)?;
        Ok(Self { jobs })
    }

    /// Runs a batch on the thread.
    pub(super) async fn run(
        &self,
        groups: Vec<IngestBatch>,
        permit: Option<Permit>,
    ) -> Result<Vec<IngestOutcome>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            groups,
            permit,
            reply,
        };
        let gone = || StoreError::Io("the ingest writer is gone".to_owned());
        self.jobs.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn work(
    slot: &mut Option<Connection>,
    groups: &[IngestBatch],
    open: impl FnOnce() -> Result<Connection, StoreError>,
) -> Result<Vec<IngestOutcome>, StoreError> {
    let connection = match slot {
        Some(connection) => connection,
        None => slot.insert(open()?),
    };
    if let Some(outcomes) = together(connection, groups)? {
        return Ok(outcomes);
    }
    let tx = begin(connection)?;
    let mut outcomes = Vec::with_capacity(groups.len());
    for group in groups {
        outcomes.push(apart(&tx, group)?);
    }
    tx.commit().map_err(error::rusqlite)?;
    Ok(outcomes)
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(error::rusqlite)
}

/// All groups without savepoints, which cost a copy of every page they touch. `None`: one of them makes trouble,
/// nothing was done.
fn together(
    connection: &mut Connection,
    groups: &[IngestBatch],
) -> Result<Option<Vec<IngestOutcome>>, StoreError> {
    let tx = begin(connection)?;
    let mut outcomes = Vec::with_capacity(groups.len());
    for group in groups {
        match try_group(&tx, group, false) {
            Ok(Some(outcome)) => outcomes.push(outcome),
            Ok(None) => return Ok(None),
            Err(error) if is_content(&error) => return Ok(None),
            Err(error) => return Err(error::rusqlite(error)),
        }
    }
    tx.commit().map_err(error::rusqlite)?;
    Ok(Some(outcomes))
}

fn open(file: &Path, busy: Duration, max_pages: u32) -> Result<Connection, StoreError> {
    let connection = Connection::open(file).map_err(error::rusqlite)?;
    connection.busy_timeout(busy).map_err(error::rusqlite)?;
    connection.set_prepared_statement_cache_capacity(32);
    for (name, value) in [
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
        ("cache_size", "-65536"),
        ("temp_store", "MEMORY"),
        ("max_page_count", &max_pages.to_string()),
        ("wal_autocheckpoint", &wal::MAX_PAGES.to_string()),
    ] {
        connection
            .pragma_update(None, name, value)
            .map_err(error::rusqlite)?;
    }
    let synchronous: i64 = connection
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .map_err(error::rusqlite)?;
    let journal: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(error::rusqlite)?;
    if synchronous != 2 || journal != "wal" {
        return Err(StoreError::Setup(format!(
            "the database has synchronous = {synchronous}, journal_mode = {journal}: acknowledged records could be lost"
        )));
    }
    Ok(connection)
}

/// A group in its savepoint: what the database refuses of its content harms no other group.
fn apart(tx: &Transaction<'_>, batch: &IngestBatch) -> Result<IngestOutcome, StoreError> {
    let run = |sql| tx.prepare_cached(sql)?.execute([]);
    run("SAVEPOINT device_group").map_err(error::rusqlite)?;
    let attempt = match try_group(tx, batch, false) {
        // A row that the cursor knows nothing of: look at everything that is stored.
        Ok(None) => run("ROLLBACK TO device_group").and_then(|_| try_group(tx, batch, true)),
        attempt => attempt,
    };
    let outcome = match attempt {
        Ok(Some(outcome)) => outcome,
        Ok(None) => return Err(StoreError::unreadable("stamp", "rows that come and go")),
        Err(error) if is_content(&error) => {
            run("ROLLBACK TO device_group").map_err(error::rusqlite)?;
            IngestOutcome::Refused(IngestRefusal::Content)
        }
        Err(error) => return Err(error::rusqlite(error)),
    };
    run("RELEASE device_group").map_err(error::rusqlite)?;
    Ok(outcome)
}

/// `Ok(None)`: a record to insert was there already. With `all`, stored hashes are compared first.
fn try_group(
    tx: &Transaction<'_>,
    batch: &IngestBatch,
    all: bool,
) -> rusqlite::Result<Option<IngestOutcome>> {
    let context = load::context(tx, batch)?;
    let mut grants = load::grants(tx, batch)?;
    let stored = match all || decide::must_compare(context.as_ref(), batch) {
        true => load::hashes(tx, batch)?,
        false => HashMap::new(),
    };
    match decide::decide(context.as_ref(), &mut grants, &stored, batch) {
        Decision::Done(outcome) => Ok(Some(outcome)),
        Decision::Fork { seq } => {
            write::quarantine(tx, context.as_ref(), batch, seq)?;
            Ok(Some(IngestOutcome::Fork))
        }
        Decision::Store(plan) => {
            let organization = context.and_then(|context| context.organization);
            let fits = write::stamps(tx, organization, batch, &plan)?;
            if fits {
                write::finish(tx, organization, &grants, batch, &plan)?;
            }
            Ok(fits.then(|| plan.outcome()))
        }
    }
}

/// Is it what the group holds, and not the database?
fn is_content(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
    match error {
        rusqlite::Error::SqliteFailure(inner, _) => {
            matches!(inner.code, ConstraintViolation | TooBig | TypeMismatch)
        }
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}
