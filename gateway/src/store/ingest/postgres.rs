//! Ingest on PostgreSQL: device rows locked in the order of their ids, everything read and written in a fixed number
//! of statements whatever the number of groups. Groups that the database refuses together are tried one by one.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sea_orm::sqlx::{
    self, PgConnection, Row,
    postgres::{PgRow, PgTransaction},
};
use sealgate_domain::{
    Millis,
    grant::Grant,
    organization::UseMode,
    stamp::{Cursor, Hash, LockSpan},
};
use uuid::Uuid;

use super::{
    IngestBatch, IngestOutcome, IngestRefusal,
    decide::{self, AuditRow, Context, Decision, Grants, Log, NamedGrant, Plan},
};
use crate::store::{Store, StoreError, Topic, device::number, error, log};

/// Times a transaction that lost a race is run at most.
const ATTEMPTS: u32 = 10;

const LOCK: &str = "SELECT id, organization_id, lock_issued_at, lock_applied_at FROM device \
     WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
const LOGS: &str = "SELECT l.device_id, l.epoch, l.next_seq, l.head, l.state, l.last_at FROM device_log l \
     JOIN (SELECT DISTINCT * FROM UNNEST($1::bigint[], $2::bigint[]) AS k (device_id, epoch)) k \
     ON l.device_id = k.device_id AND l.epoch = k.epoch";
const MODES: &str = "SELECT id, grants_required FROM organization WHERE id = ANY($1)";
const GRANTS: &str = "SELECT g.device_id, g.no, g.id, g.member_id, g.max_count, g.used, g.not_before, g.not_after, \
     g.delivered_at, g.end_requested_at, g.ended_at, g.exhausted_at FROM use_grant g \
     JOIN (SELECT DISTINCT * FROM UNNEST($1::bigint[], $2::bigint[]) AS k (device_id, no)) k \
     ON g.device_id = k.device_id AND g.no = k.no ORDER BY g.id FOR NO KEY UPDATE OF g";
const STORED: &str =
    "SELECT seq, hash FROM stamp WHERE device_id = $1 AND epoch = $2 AND seq >= $3 AND seq < $4";
const STAMPS: &str = "INSERT INTO stamp (device_id, epoch, seq, boot, up, wall, clock_quality, kind, grant_no, \
     grant_id, member_id, organization_id, n, lat_e7, lon_e7, accuracy, facts, abnormal, record, hash, received_at, \
     corrected_at, uncertainty_s, battery) SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], \
     $4::bigint[], $5::bigint[], $6::bigint[], $7::int[], $8::int[], $9::bigint[], $10::uuid[], $11::uuid[], \
     $12::uuid[], $13::int[], $14::int[], $15::int[], $16::int[], $17::bigint[], $18::int[], $19::bytea[], \
     $20::bytea[], $21::bigint[], $22::bigint[], $23::bigint[], $24::int[]) \
     ON CONFLICT (device_id, epoch, seq) DO NOTHING";
const LOST: &str = "INSERT INTO log_gap (device_id, epoch, from_seq, count, reason, at) \
     SELECT *, 'lost', $5 FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) ON CONFLICT DO NOTHING";
const CURSORS: &str = "UPDATE device_log SET next_seq = k.next_seq, head = k.head, last_at = k.last_at \
     FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[]) \
     AS k (device_id, epoch, next_seq, head, last_at) \
     WHERE device_log.device_id = k.device_id AND device_log.epoch = k.epoch";
const USED: &str = "UPDATE use_grant SET used = k.used, exhausted_at = k.exhausted_at \
     FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[]) AS k (id, used, exhausted_at) WHERE use_grant.id = k.id";
const AUDIT: &str = "INSERT INTO audit (organization_id, device_id, actor, action, subject, hash, at) \
     SELECT o, d, 'device', a, s, h, t FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], \
     $6::bigint[]) AS k (o, d, a, s, h, t)";
const OUTBOX: &str = "INSERT INTO outbox (topic, organization_id, device_id, payload, created_at) \
     SELECT t, o, d, p::json, c FROM UNNEST($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::bigint[]) \
     AS k (t, o, d, p, c)";
const QUARANTINE: &str = "INSERT INTO log_quarantine (device_id, epoch, seq, hash, record, received_at) \
     SELECT $1, $2, s, h, r, $6 FROM UNNEST($3::bigint[], $4::bytea[], $5::bytea[]) AS k (s, h, r) \
     ON CONFLICT DO NOTHING";
const CLOSE_LOG: &str = "UPDATE device_log SET state = $3 WHERE device_id = $1 AND epoch = $2";

/// Why a transaction did not come through.
#[derive(Debug)]
enum Failure {
    /// Run it again.
    Race,
    /// Something in it can't be stored.
    Content,
    /// The database.
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if error::sqlx_lost_race(&error) {
            return Self::Race;
        }
        if let sqlx::Error::Database(inner) = &error
            && inner
                .code()
                .is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
        {
            return Self::Content;
        }
        Self::Store(StoreError::from(error))
    }
}

pub(super) async fn run(
    store: &Store,
    groups: &[IngestBatch],
) -> Result<Vec<IngestOutcome>, StoreError> {
    let all: Vec<&IngestBatch> = groups.iter().collect();
    match attempts(store, &all, false).await {
        Ok(outcomes) => return Ok(outcomes),
        Err(Failure::Store(error)) => return Err(error),
        Err(Failure::Race) => return Err(StoreError::Busy),
        Err(Failure::Content) => {}
    }
    let mut outcomes = Vec::with_capacity(groups.len());
    for group in groups {
        outcomes.push(match attempts(store, &[group], true).await {
            Ok(outcome) => outcome[0],
            Err(Failure::Content) => IngestOutcome::Refused(IngestRefusal::Content),
            Err(Failure::Race) => return Err(StoreError::Busy),
            Err(Failure::Store(error)) => return Err(error),
        });
    }
    Ok(outcomes)
}

async fn attempts(
    store: &Store,
    groups: &[&IngestBatch],
    careful: bool,
) -> Result<Vec<IngestOutcome>, Failure> {
    let mut attempt = 1;
    loop {
        match once(store, groups, careful).await {
            Err(Failure::Race) if attempt < ATTEMPTS => {
                let pause = rand::random_range(1..=5 * attempt);
                tokio::time::sleep(Duration::from_millis(u64::from(pause))).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// `careful`: compare with everything stored, for a group that met rows its cursor knows nothing of.
async fn once(
    store: &Store,
    groups: &[&IngestBatch],
    careful: bool,
) -> Result<Vec<IngestOutcome>, Failure> {
    let pools = store.pools();
    let mut tx = pools.write.get_postgres_connection_pool().begin().await?;
    let mut contexts = contexts(&mut tx, groups).await?;
    let mut grants = grants(&mut tx, groups).await?;
    let mut written = Written::default();
    let mut outcomes = Vec::with_capacity(groups.len());
    for batch in groups {
        let key = (batch.device.to_key(), i64::from(batch.epoch));
        let known = contexts.get(&key);
        let range = match careful {
            true => batch.first..u32::MAX,
            false => decide::to_compare(known, batch),
        };
        let stored = hashes(&mut tx, batch, range, &written).await?;
        let named = grants.entry(key.0).or_default();
        match decide::decide(known, named, &stored, batch) {
            Decision::Done(outcome) => outcomes.push(outcome),
            Decision::Fork { seq } => {
                quarantine(&mut tx, batch, seq).await?;
                let organization = known.and_then(|known| known.organization);
                let (row, alarm) = decide::fork_row(batch, seq);
                written.audit(organization, batch, row);
                written.event(organization, batch, Topic::Alarm, alarm);
                if let Some(log) = contexts
                    .get_mut(&key)
                    .and_then(|context| context.log.as_mut())
                {
                    log.audit = true;
                }
                outcomes.push(IngestOutcome::Fork);
            }
            Decision::Store(plan) => {
                outcomes.push(plan.outcome());
                let organization = known.and_then(|known| known.organization);
                let log = plan.log;
                written.plan(organization, batch, plan);
                if let Some(context) = contexts.get_mut(&key) {
                    context.log = Some(log);
                }
            }
        }
    }
    written.flush(&mut tx, &grants).await?;
    tx.commit().await?;
    Ok(outcomes)
}

async fn contexts(
    tx: &mut PgTransaction<'_>,
    groups: &[&IngestBatch],
) -> Result<HashMap<(i64, i64), Context>, Failure> {
    let devices: Vec<i64> = groups.iter().map(|batch| batch.device.to_key()).collect();
    let epochs: Vec<i64> = groups.iter().map(|batch| i64::from(batch.epoch)).collect();
    let rows = sqlx::query(LOCK)
        .bind(&devices)
        .fetch_all(&mut **tx)
        .await?;
    let organizations: Vec<Uuid> = rows.iter().filter_map(|row| row.get(1)).collect();
    let modes = sqlx::query(MODES)
        .bind(organizations)
        .fetch_all(&mut **tx)
        .await?;
    let modes: HashMap<Uuid, bool> = modes.iter().map(|row| (row.get(0), row.get(1))).collect();
    let logs = sqlx::query(LOGS)
        .bind(&devices)
        .bind(&epochs)
        .fetch_all(&mut **tx)
        .await?;
    let mut logs: HashMap<(i64, i64), Log> = logs
        .iter()
        .map(|row| Ok(((row.get(0), row.get(1)), log_of(row)?)))
        .collect::<Result<_, Failure>>()?;
    let known: HashMap<i64, &PgRow> = rows.iter().map(|row| (row.get(0), row)).collect();
    let mut contexts = HashMap::with_capacity(groups.len());
    for (device, epoch) in devices.into_iter().zip(epochs) {
        let (Some(row), false) = (known.get(&device), contexts.contains_key(&(device, epoch)))
        else {
            continue;
        };
        let organization: Option<Uuid> = row.get(1);
        let required = organization.and_then(|id| modes.get(&id)).copied();
        let context = Context {
            organization,
            mode: UseMode::from_switch(required.unwrap_or(true)),
            lock: row.get::<Option<i64>, _>(2).map(|issued| LockSpan {
                issued_at: Millis(issued),
                applied_at: row.get::<Option<i64>, _>(3).map(Millis),
            }),
            log: logs.remove(&(device, epoch)),
        };
        contexts.insert((device, epoch), context);
    }
    Ok(contexts)
}

fn log_of(row: &PgRow) -> Result<Log, Failure> {
    let head: &[u8] = row.get(3);
    let state: &str = row.get(4);
    Ok(Log {
        cursor: Cursor {
            epoch: number(row.get(1)),
            next: number(row.get(2)),
            head: log::hash(head, "device_log.head").map_err(Failure::Store)?,
        },
        audit: state != log::OK,
        last_at: row.get::<Option<i64>, _>(5).map(Millis),
    })
}

async fn grants(
    tx: &mut PgTransaction<'_>,
    groups: &[&IngestBatch],
) -> Result<HashMap<i64, Grants>, Failure> {
    let (mut devices, mut numbers) = (Vec::new(), Vec::new());
    for batch in groups {
        let mut last = 0;
        for record in &batch.records {
            if record.grant_no != last && record.grant_no != 0 && record.lost == 0 {
                last = record.grant_no;
                devices.push(batch.device.to_key());
                numbers.push(i64::from(last));
            }
        }
    }
    let rows = sqlx::query(GRANTS)
        .bind(devices)
        .bind(numbers)
        .fetch_all(&mut **tx)
        .await?;
    let mut grants: HashMap<i64, Grants> = HashMap::new();
    for row in &rows {
        let time = |at: usize| row.get::<Option<i64>, _>(at).map(Millis);
        let grant = NamedGrant {
            id: row.get(2),
            member: row.get(3),
            state: Grant {
                max: u16::try_from(row.get::<i32, _>(4)).unwrap_or(u16::MAX),
                used: number(row.get(5)),
                not_before: Millis(row.get(6)),
                not_after: Millis(row.get(7)),
                delivered_at: time(8),
                end_requested_at: time(9),
                ended_at: time(10),
            },
            exhausted_at: row.get(11),
            changed: false,
        };
        let of_device = grants.entry(row.get(0)).or_default();
        of_device.insert(number(row.get(1)), grant);
    }
    Ok(grants)
}

async fn hashes(
    connection: &mut PgConnection,
    batch: &IngestBatch,
    range: std::ops::Range<u32>,
    written: &Written<'_>,
) -> Result<HashMap<u32, Hash>, Failure> {
    if range.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(STORED)
        .bind(batch.device.to_key())
        .bind(i64::from(batch.epoch))
        .bind(i64::from(range.start))
        .bind(i64::from(range.end))
        .fetch_all(connection)
        .await?;
    let mut hashes = HashMap::with_capacity(rows.len());
    for row in &rows {
        let hash = log::hash(row.get(1), "stamp.hash").map_err(Failure::Store)?;
        hashes.insert(number(row.get(0)), hash);
    }
    // Groups of the same device before this one are not in the table yet.
    let before = written
        .plans
        .iter()
        .filter(|(_, other, _)| other.device == batch.device && other.epoch == batch.epoch);
    for (_, _, plan) in before {
        let stamps = plan
            .stamps
            .iter()
            .map(|new| (new.record.seq, new.record.hash));
        hashes.extend(stamps.filter(|(seq, _)| range.contains(seq)));
    }
    Ok(hashes)
}

async fn quarantine(
    connection: &mut PgConnection,
    batch: &IngestBatch,
    seq: u32,
) -> Result<(), Failure> {
    let records = || batch.records.iter().filter(move |record| record.seq >= seq);
    sqlx::query(QUARANTINE)
        .bind(batch.device.to_key())
        .bind(i64::from(batch.epoch))
        .bind(
            records()
                .map(|record| i64::from(record.seq))
                .collect::<Vec<_>>(),
        )
        .bind(records().map(|record| &record.hash[..]).collect::<Vec<_>>())
        .bind(
            records()
                .map(|record| &record.record[..])
                .collect::<Vec<_>>(),
        )
        .bind(batch.received_at.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query(CLOSE_LOG)
        .bind(batch.device.to_key())
        .bind(i64::from(batch.epoch))
        .bind(log::AUDIT)
        .execute(connection)
        .await?;
    Ok(())
}

type Audited<'a> = (Option<Uuid>, &'a IngestBatch, AuditRow);
type Told<'a> = (Option<Uuid>, &'a IngestBatch, Topic, String);

/// Rows to write, collected over the groups.
#[derive(Debug, Default)]
struct Written<'a> {
    plans: Vec<(Option<Uuid>, &'a IngestBatch, Plan<'a>)>,
    audit: Vec<Audited<'a>>,
    events: Vec<Told<'a>>,
}

impl<'a> Written<'a> {
    fn audit(&mut self, organization: Option<Uuid>, batch: &'a IngestBatch, row: AuditRow) {
        self.audit.push((organization, batch, row));
    }

    fn event(
        &mut self,
        organization: Option<Uuid>,
        batch: &'a IngestBatch,
        topic: Topic,
        payload: String,
    ) {
        self.events.push((organization, batch, topic, payload));
    }

    fn plan(&mut self, organization: Option<Uuid>, batch: &'a IngestBatch, plan: Plan<'a>) {
        if !plan.stamps.is_empty() {
            self.audit(organization, batch, plan.audit(batch));
        }
        plan.events(batch, |topic, payload| {
            self.event(organization, batch, topic, payload)
        });
        self.plans.push((organization, batch, plan));
    }

    async fn flush(
        &self,
        tx: &mut PgConnection,
        grants: &HashMap<i64, Grants>,
    ) -> Result<(), Failure> {
        self.stamps(tx).await?;
        self.lost(tx).await?;
        self.cursors(tx).await?;
        let changed = || {
            grants
                .values()
                .flat_map(HashMap::values)
                .filter(|grant| grant.changed)
        };
        if changed().next().is_some() {
            sqlx::query(USED)
                .bind(changed().map(|grant| grant.id).collect::<Vec<_>>())
                .bind(
                    changed()
                        .map(|grant| i64::from(grant.state.used))
                        .collect::<Vec<_>>(),
                )
                .bind(
                    changed()
                        .map(|grant| grant.exhausted_at)
                        .collect::<Vec<_>>(),
                )
                .execute(&mut *tx)
                .await?;
        }
        self.told(tx).await
    }

    async fn stamps(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        let mut columns = Columns::default();
        for (organization, batch, plan) in &self.plans {
            for new in &plan.stamps {
                columns.push(*organization, batch, new);
            }
        }
        let expected = columns.seq.len();
        if expected == 0 {
            return Ok(());
        }
        let inserted = columns.insert(tx).await?;
        // A row that the cursor knows nothing of was there: look at the groups one by one.
        match inserted == expected as u64 {
            true => Ok(()),
            false => Err(Failure::Content),
        }
    }

    async fn lost(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        for (_, batch, plan) in &self.plans {
            let lost = || {
                plan.stamps
                    .iter()
                    .map(|new| new.record)
                    .filter(|record| record.lost > 0)
            };
            if lost().next().is_none() {
                continue;
            }
            let (device, epoch) = (batch.device.to_key(), i64::from(batch.epoch));
            sqlx::query(LOST)
                .bind(lost().map(|_| device).collect::<Vec<_>>())
                .bind(lost().map(|_| epoch).collect::<Vec<_>>())
                .bind(
                    lost()
                        .map(|record| i64::from(record.seq))
                        .collect::<Vec<_>>(),
                )
                .bind(
                    lost()
                        .map(|record| i64::from(record.lost))
                        .collect::<Vec<_>>(),
                )
                .bind(batch.received_at.0)
                .execute(&mut *tx)
                .await?;
        }
        Ok(())
    }

    async fn cursors(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        // The last group of a log says how far it is; one row a log, or the statement would pick one at random.
        let logs: BTreeMap<(i64, u32), &Log> = self
            .plans
            .iter()
            .map(|(_, batch, plan)| ((batch.device.to_key(), batch.epoch), &plan.log))
            .collect();
        if logs.is_empty() {
            return Ok(());
        }
        sqlx::query(CURSORS)
            .bind(logs.keys().map(|(device, _)| *device).collect::<Vec<_>>())
            .bind(
                logs.keys()
                    .map(|(_, epoch)| i64::from(*epoch))
                    .collect::<Vec<_>>(),
            )
            .bind(
                logs.values()
                    .map(|log| i64::from(log.cursor.next))
                    .collect::<Vec<_>>(),
            )
            .bind(
                logs.values()
                    .map(|log| &log.cursor.head[..])
                    .collect::<Vec<_>>(),
            )
            .bind(
                logs.values()
                    .map(|log| log.last_at.map(|at| at.0))
                    .collect::<Vec<_>>(),
            )
            .execute(tx)
            .await?;
        Ok(())
    }

    async fn told(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        if !self.audit.is_empty() {
            let rows = &self.audit;
            sqlx::query(AUDIT)
                .bind(
                    rows.iter()
                        .map(|(organization, ..)| *organization)
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(_, batch, _)| batch.device.to_key())
                        .collect::<Vec<_>>(),
                )
                .bind(rows.iter().map(|(.., row)| row.action).collect::<Vec<_>>())
                .bind(
                    rows.iter()
                        .map(|(.., row)| row.subject.as_str())
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(.., row)| &row.hash[..])
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(_, batch, _)| batch.received_at.0)
                        .collect::<Vec<_>>(),
                )
                .execute(&mut *tx)
                .await?;
        }
        if !self.events.is_empty() {
            let rows = &self.events;
            sqlx::query(OUTBOX)
                .bind(
                    rows.iter()
                        .map(|(_, _, topic, _)| topic.as_str())
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(organization, ..)| *organization)
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(_, batch, ..)| batch.device.to_key())
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(.., payload)| payload.as_str())
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(_, batch, ..)| batch.received_at.0)
                        .collect::<Vec<_>>(),
                )
                .execute(tx)
                .await?;
        }
        Ok(())
    }
}

macro_rules! columns {
    ($($name:ident: $kind:ty = $value:expr;)+) => {
        /// The columns of the stamps to insert, in the statement's order.
        #[derive(Debug, Default)]
        struct Columns<'a> { $($name: Vec<$kind>),+ }

        impl<'a> Columns<'a> {
            fn push(
                &mut self,
                organization: Option<Uuid>,
                batch: &IngestBatch,
                new: &decide::NewStamp<'a>,
            ) {
                $(self.$name.push($value(organization, batch, new));)+
            }

            async fn insert(&self, tx: &mut PgConnection) -> Result<u64, sqlx::Error> {
                let query = sqlx::query(STAMPS);
                $(let query = query.bind(&self.$name);)+
                Ok(query.execute(tx).await?.rows_affected())
            }
        }
    };
}

type New<'n, 'a> = &'n decide::NewStamp<'a>;

columns! {
    device: i64 = |_, batch: &IngestBatch, _: New<'_, 'a>| batch.device.to_key();
    epoch: i64 = |_, batch: &IngestBatch, _: New<'_, 'a>| i64::from(batch.epoch);
    seq: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.seq);
    boot: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.boot);
    up: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.uptime_s);
    wall: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.wall_s);
    clock_quality: i32 = |_, _, new: New<'_, 'a>| i32::from(new.record.clock_quality);
    kind: i32 = |_, _, new: New<'_, 'a>| i32::from(new.record.kind);
    grant_no: i64 = |_, _, new: New<'_, 'a>| if new.record.lost > 0 { 0 } else { i64::from(new.record.grant_no) };
    grant: Option<Uuid> = |_, _, new: New<'_, 'a>| new.grant;
    member: Option<Uuid> = |_, _, new: New<'_, 'a>| new.member;
    organization: Option<Uuid> = |organization, _, _| organization;
    n: i32 = |_, _, new: New<'_, 'a>| i32::from(new.record.n);
    lat: Option<i32> = |_, _, new: New<'_, 'a>| new.record.position.map(|position| position.place.lat_e7);
    lon: Option<i32> = |_, _, new: New<'_, 'a>| new.record.position.map(|position| position.place.lon_e7);
    accuracy: Option<i32> = |_, _, new: New<'_, 'a>| new.record.position.map(|position| i32::from(position.accuracy_m));
    facts: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.facts);
    abnormal: Option<i32> = |_, _, new: New<'_, 'a>| new.abnormal.map(|class| i32::from(class.number()));
    record: &'a [u8] = |_, _, new: New<'_, 'a>| &new.record.record[..];
    hash: &'a [u8] = |_, _, new: New<'_, 'a>| &new.record.hash[..];
    received_at: i64 = |_, batch: &IngestBatch, _: New<'_, 'a>| batch.received_at.0;
    corrected_at: i64 = |_, _, new: New<'_, 'a>| new.corrected.at.0;
    uncertainty_s: i64 = |_, _, new: New<'_, 'a>| i64::from(new.corrected.uncertainty_s);
    battery: Option<i32> = |_, batch: &IngestBatch, _: New<'_, 'a>| batch.battery.map(i32::from);
}
