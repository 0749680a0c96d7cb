//! What deciding needs, read under the devices' locks.

use std::collections::HashMap;

use sea_orm::sqlx::{
    self, PgConnection, Row,
    postgres::{PgRow, PgTransaction},
};
use sealgate_domain::{
    Millis,
    grant::Grant,
    organization::{UseMode, UseModes},
    stamp::{Cursor, Hash, LockSpan},
};
use uuid::Uuid;

use super::{Failure, Written};
use crate::store::{
    device::number,
    ingest::{
        IngestBatch,
        decide::{Context, Grants, Log, NamedGrant},
    },
    log, organization,
};

const LOCK: &str = "SELECT id, organization_id, lock_issued_at, lock_applied_at, lock_lifted_at FROM device \
     WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
const LOGS: &str = "SELECT l.device_id, l.epoch, l.next_seq, l.head, l.state, l.last_at FROM device_log l \
     JOIN (SELECT DISTINCT * FROM UNNEST($1::bigint[], $2::bigint[]) AS k (device_id, epoch)) k \
     ON l.device_id = k.device_id AND l.epoch = k.epoch";
const MODES: &str =
    "SELECT id, grants_required, mode_switched_at FROM organization WHERE id = ANY($1)";
const GRANTS: &str = "SELECT g.device_id, g.no, g.id, g.member_id, g.max_count, g.used, g.not_before, g.not_after, \
     g.delivered_at, g.end_requested_at, g.ended_at, g.exhausted_at FROM use_grant g \
     JOIN (SELECT DISTINCT * FROM UNNEST($1::bigint[], $2::bigint[]) AS k (device_id, no)) k \
     ON g.device_id = k.device_id AND g.no = k.no ORDER BY g.id FOR NO KEY UPDATE OF g";
const STORED: &str =
    "SELECT seq, hash FROM stamp WHERE device_id = $1 AND epoch = $2 AND seq = ANY($3)";

pub(super) async fn contexts(
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
    let modes: HashMap<Uuid, UseModes> = modes
        .iter()
        .map(|row| {
            let modes = organization::modes(row.get(1), row.get(2)).map_err(Failure::Store)?;
            Ok((row.get(0), modes))
        })
        .collect::<Result<_, Failure>>()?;
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
        let known = organization.and_then(|id| modes.get(&id)).cloned();
        let context = Context {
            organization,
            modes: known.unwrap_or_else(|| UseModes::always(UseMode::GrantsRequired)),
            lock: row.get::<Option<i64>, _>(2).map(|issued| LockSpan {
                issued_at: Millis(issued),
                applied_at: row.get::<Option<i64>, _>(3).map(Millis),
                lifted_at: row.get::<Option<i64>, _>(4).map(Millis),
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

pub(super) async fn grants(
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

/// What is stored under the group's numbers: never more than the group has records.
pub(super) async fn hashes(
    connection: &mut PgConnection,
    batch: &IngestBatch,
    written: &Written<'_>,
) -> Result<HashMap<u32, Hash>, Failure> {
    let numbers: Vec<i64> = batch.records.iter().map(|r| i64::from(r.seq)).collect();
    let rows = sqlx::query(STORED)
        .bind(batch.device.to_key())
        .bind(i64::from(batch.epoch))
        .bind(&numbers)
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
        hashes.extend(stamps.filter(|(seq, _)| numbers.contains(&i64::from(*seq))));
    }
    Ok(hashes)
}
