//! Ingest on SQLite: one thread, one connection, prepared statements, a savepoint a group.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use sealgate_domain::{
    Millis,
    grant::Grant,
    organization::UseMode,
    stamp::{Cursor, Hash, LockSpan},
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{
    IngestBatch, IngestOutcome, IngestRefusal,
    decide::{self, AuditRow, Context, Decision, Grants, Log, NamedGrant, Plan},
};
use crate::store::{StoreError, Topic, device::number, error, gate::Permit, log};

const LOAD: &str = "SELECT d.organization_id, o.grants_required, d.lock_issued_at, d.lock_applied_at, \
     l.next_seq, l.head, l.state, l.last_at FROM device d \
     LEFT JOIN organization o ON o.id = d.organization_id \
     LEFT JOIN device_log l ON l.device_id = d.id AND l.epoch = ?2 WHERE d.id = ?1";
const GRANT: &str = "SELECT id, member_id, max_count, used, not_before, not_after, delivered_at, \
     end_requested_at, ended_at, exhausted_at FROM use_grant WHERE device_id = ?1 AND no = ?2";
const STORED: &str =
    "SELECT seq, hash FROM stamp WHERE device_id = ?1 AND epoch = ?2 AND seq >= ?3 AND seq < ?4";
const STAMP: &str = "INSERT INTO stamp (device_id, epoch, seq, boot, up, wall, clock_quality, kind, \
     grant_no, grant_id, member_id, organization_id, n, lat_e7, lon_e7, accuracy, facts, abnormal, record, hash, \
     received_at, corrected_at, uncertainty_s, battery) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
     ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24) ON CONFLICT (device_id, epoch, seq) DO NOTHING";
const CURSOR: &str = "UPDATE device_log SET next_seq = ?3, head = ?4, last_at = ?5 \
     WHERE device_id = ?1 AND epoch = ?2";
const USED: &str = "UPDATE use_grant SET used = ?2, exhausted_at = ?3 WHERE id = ?1";
const LOST: &str = "INSERT OR IGNORE INTO log_gap (device_id, epoch, from_seq, count, reason, at) \
     VALUES (?1, ?2, ?3, ?4, 'lost', ?5)";
const AUDIT: &str = "INSERT INTO audit (organization_id, device_id, actor, action, subject, detail, hash, at) \
     VALUES (?1, ?2, 'device', ?3, ?4, NULL, ?5, ?6)";
const OUTBOX: &str = "INSERT INTO outbox (topic, organization_id, device_id, payload, created_at) \
     VALUES (?1, ?2, ?3, ?4, ?5)";
const QUARANTINE: &str = "INSERT OR IGNORE INTO log_quarantine (device_id, epoch, seq, hash, record, received_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const CLOSE_LOG: &str = "UPDATE device_log SET state = ?3 WHERE device_id = ?1 AND epoch = ?2";

/// Pages in the write-ahead log at which it is moved into the file.
const CHECKPOINT_PAGES: u32 = 4_000;

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
    pub(in crate::store) fn start(file: PathBuf, busy: Duration, max_pages: u32) -> Self {
        let (jobs, mut queue) = mpsc::channel::<Job>(1);
        std::thread::spawn(move || {
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
        });
        Self { jobs }
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
    let tx = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let mut outcomes = Vec::with_capacity(groups.len());
    for group in groups {
        outcomes.push(store_group(&tx, group)?);
    }
    tx.commit().map_err(failed)?;
    Ok(outcomes)
}

fn open(file: &Path, busy: Duration, max_pages: u32) -> Result<Connection, StoreError> {
    let connection = Connection::open(file).map_err(failed)?;
    connection.busy_timeout(busy).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    for (name, value) in [
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
        ("cache_size", "-65536"),
        ("temp_store", "MEMORY"),
        ("max_page_count", &max_pages.to_string()),
        ("wal_autocheckpoint", &CHECKPOINT_PAGES.to_string()),
    ] {
        connection
            .pragma_update(None, name, value)
            .map_err(failed)?;
    }
    let synchronous: i64 = connection
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .map_err(failed)?;
    let journal: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(failed)?;
    if synchronous != 2 || journal != "wal" {
        return Err(StoreError::Setup(format!(
            "the database has synchronous = {synchronous}, journal_mode = {journal}: acknowledged records could be lost"
        )));
    }
    Ok(connection)
}

/// A group in its savepoint: what the database refuses of its content harms no other group.
fn store_group(tx: &Transaction<'_>, batch: &IngestBatch) -> Result<IngestOutcome, StoreError> {
    let run = |sql| tx.prepare_cached(sql)?.execute([]);
    run("SAVEPOINT device_group").map_err(failed)?;
    let attempt = match try_group(tx, batch, false) {
        // A row that the cursor knows nothing of: look at everything that is stored.
        Ok(None) => run("ROLLBACK TO device_group").and_then(|_| try_group(tx, batch, true)),
        attempt => attempt,
    };
    let outcome = match attempt {
        Ok(Some(outcome)) => outcome,
        Ok(None) => return Err(StoreError::unreadable("stamp", "rows that come and go")),
        Err(error) if is_content(&error) => {
            run("ROLLBACK TO device_group").map_err(failed)?;
            IngestOutcome::Refused(IngestRefusal::Content)
        }
        Err(error) => return Err(failed(error)),
    };
    run("RELEASE device_group").map_err(failed)?;
    Ok(outcome)
}

/// `Ok(None)`: a record to insert was there already. With `all`, stored hashes are compared first.
fn try_group(
    tx: &Transaction<'_>,
    batch: &IngestBatch,
    all: bool,
) -> rusqlite::Result<Option<IngestOutcome>> {
    let context = load(tx, batch)?;
    let mut grants = load_grants(tx, batch)?;
    let compare = match all {
        true => batch.first..u32::MAX,
        false => decide::to_compare(context.as_ref(), batch),
    };
    let stored = load_hashes(tx, batch, compare)?;
    match decide::decide(context.as_ref(), &mut grants, &stored, batch) {
        Decision::Done(outcome) => Ok(Some(outcome)),
        Decision::Fork { seq } => {
            quarantine(tx, context.as_ref(), batch, seq)?;
            Ok(Some(IngestOutcome::Fork))
        }
        Decision::Store(plan) => {
            let organization = context.and_then(|context| context.organization);
            let fits = insert(tx, organization, batch, &plan)?;
            if fits {
                finish(tx, organization, &grants, batch, &plan)?;
            }
            Ok(fits.then(|| plan.outcome()))
        }
    }
}

fn load(tx: &Transaction<'_>, batch: &IngestBatch) -> rusqlite::Result<Option<Context>> {
    tx.prepare_cached(LOAD)?
        .query_row(params![batch.device.to_key(), batch.epoch], |row| {
            let issued: Option<i64> = row.get(2)?;
            let applied: Option<i64> = row.get(3)?;
            Ok(Context {
                organization: uuid(row, 0)?,
                mode: UseMode::from_switch(row.get::<_, Option<bool>>(1)?.unwrap_or(true)),
                lock: issued.map(|issued| LockSpan {
                    issued_at: Millis(issued),
                    applied_at: applied.map(Millis),
                }),
                log: log_of(row, batch.epoch)?,
            })
        })
        .optional()
}

fn uuid(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(at)?.map(Uuid::from_bytes))
}

fn log_of(row: &Row<'_>, epoch: u32) -> rusqlite::Result<Option<Log>> {
    let Some(next) = row.get::<_, Option<i64>>(4)? else {
        return Ok(None);
    };
    let state: String = row.get(6)?;
    Ok(Some(Log {
        cursor: Cursor {
            epoch,
            next: number(next),
            head: row.get::<_, Hash>(5)?,
        },
        audit: state != log::OK,
        last_at: row.get::<_, Option<i64>>(7)?.map(Millis),
    }))
}

fn load_grants(tx: &Transaction<'_>, batch: &IngestBatch) -> rusqlite::Result<Grants> {
    let mut grants = Grants::new();
    let mut asked = 0;
    for record in &batch.records {
        let no = record.grant_no;
        if no == 0 || no == asked || record.lost > 0 || grants.contains_key(&no) {
            continue;
        }
        asked = no;
        let grant = tx
            .prepare_cached(GRANT)?
            .query_row(params![batch.device.to_key(), no], named_grant)
            .optional()?;
        if let Some(grant) = grant {
            grants.insert(no, grant);
        }
    }
    Ok(grants)
}

fn named_grant(row: &Row<'_>) -> rusqlite::Result<NamedGrant> {
    let time = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(Millis));
    Ok(NamedGrant {
        id: Uuid::from_bytes(row.get(0)?),
        member: uuid(row, 1)?,
        state: Grant {
            max: row.get(2)?,
            used: row.get(3)?,
            not_before: Millis(row.get(4)?),
            not_after: Millis(row.get(5)?),
            delivered_at: time(6)?,
            end_requested_at: time(7)?,
            ended_at: time(8)?,
        },
        exhausted_at: row.get(9)?,
        changed: false,
    })
}

fn load_hashes(
    tx: &Transaction<'_>,
    batch: &IngestBatch,
    range: std::ops::Range<u32>,
) -> rusqlite::Result<HashMap<u32, Hash>> {
    if range.is_empty() {
        return Ok(HashMap::new());
    }
    let key = params![batch.device.to_key(), batch.epoch, range.start, range.end];
    tx.prepare_cached(STORED)?
        .query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// `false`: a row was there already.
fn insert(
    tx: &Transaction<'_>,
    organization: Option<Uuid>,
    batch: &IngestBatch,
    plan: &Plan<'_>,
) -> rusqlite::Result<bool> {
    let mut statement = tx.prepare_cached(STAMP)?;
    for new in &plan.stamps {
        let record = new.record;
        let inserted = statement.execute(params![
            batch.device.to_key(),
            batch.epoch,
            record.seq,
            record.boot,
            record.uptime_s,
            record.wall_s,
            record.clock_quality,
            record.kind,
            if record.lost > 0 { 0 } else { record.grant_no },
            new.grant.map(Uuid::into_bytes),
            new.member.map(Uuid::into_bytes),
            organization.map(Uuid::into_bytes),
            record.n,
            record.position.map(|position| position.place.lat_e7),
            record.position.map(|position| position.place.lon_e7),
            record.position.map(|position| position.accuracy_m),
            record.facts,
            new.abnormal.map(|class| class.number()),
            &record.record[..],
            &record.hash[..],
            batch.received_at.0,
            new.corrected.at.0,
            new.corrected.uncertainty_s,
            batch.battery,
        ])?;
        if inserted == 0 {
            return Ok(false);
        }
        if record.lost > 0 {
            let key = params![
                batch.device.to_key(),
                batch.epoch,
                record.seq,
                record.lost,
                batch.received_at.0
            ];
            tx.prepare_cached(LOST)?.execute(key)?;
        }
    }
    Ok(true)
}

fn finish(
    tx: &Transaction<'_>,
    organization: Option<Uuid>,
    grants: &Grants,
    batch: &IngestBatch,
    plan: &Plan<'_>,
) -> rusqlite::Result<()> {
    let cursor = &plan.log.cursor;
    let last = plan.log.last_at.map(|at| at.0);
    tx.prepare_cached(CURSOR)?.execute(params![
        batch.device.to_key(),
        batch.epoch,
        cursor.next,
        &cursor.head[..],
        last
    ])?;
    for grant in grants.values().filter(|grant| grant.changed) {
        tx.prepare_cached(USED)?.execute(params![
            grant.id.into_bytes(),
            grant.state.used,
            grant.exhausted_at
        ])?;
    }
    audit(tx, organization, batch, &plan.audit(batch))?;
    let mut events = Vec::with_capacity(1);
    plan.events(batch, |topic, payload| events.push((topic, payload)));
    for (topic, payload) in &events {
        emit(tx, organization, batch, *topic, payload)?;
    }
    Ok(())
}

fn audit(
    tx: &Transaction<'_>,
    organization: Option<Uuid>,
    batch: &IngestBatch,
    row: &AuditRow,
) -> rusqlite::Result<()> {
    tx.prepare_cached(AUDIT)?.execute(params![
        organization.map(Uuid::into_bytes),
        batch.device.to_key(),
        row.action,
        row.subject,
        &row.hash[..],
        batch.received_at.0
    ])?;
    Ok(())
}

fn emit(
    tx: &Transaction<'_>,
    organization: Option<Uuid>,
    batch: &IngestBatch,
    topic: Topic,
    payload: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(OUTBOX)?.execute(params![
        topic.as_str(),
        organization.map(Uuid::into_bytes),
        batch.device.to_key(),
        payload,
        batch.received_at.0
    ])?;
    Ok(())
}

fn quarantine(
    tx: &Transaction<'_>,
    context: Option<&Context>,
    batch: &IngestBatch,
    seq: u32,
) -> rusqlite::Result<()> {
    let device = batch.device.to_key();
    let mut statement = tx.prepare_cached(QUARANTINE)?;
    for record in batch.records.iter().filter(|record| record.seq >= seq) {
        statement.execute(params![
            device,
            batch.epoch,
            record.seq,
            &record.hash[..],
            &record.record[..],
            batch.received_at.0
        ])?;
    }
    tx.prepare_cached(CLOSE_LOG)?
        .execute(params![device, batch.epoch, log::AUDIT])?;
    let organization = context.and_then(|context| context.organization);
    let (row, alarm) = decide::fork_row(batch, seq);
    audit(tx, organization, batch, &row)?;
    emit(tx, organization, batch, Topic::Alarm, &alarm)
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

fn failed(error: rusqlite::Error) -> StoreError {
    if let rusqlite::Error::SqliteFailure(inner, _) = &error
        && let Some(error) = error::sqlite(inner.extended_code, &error.to_string())
    {
        return error;
    }
    StoreError::Statement(sea_orm::DbErr::Custom(error.to_string()))
}
