//! What deciding needs.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use sealgate_domain::{
    Millis,
    grant::Grant,
    organization::{UseMode, UseModes},
    stamp::{Cursor, Hash, LockSpan},
};
use uuid::Uuid;

use crate::store::{
    device::number,
    ingest::{
        IngestBatch,
        decide::{Context, Grants, Log, NamedGrant},
    },
    log, organization,
};

const LOAD: &str = "SELECT d.organization_id, o.grants_required, d.lock_issued_at, d.lock_applied_at, \
     d.lock_lifted_at, o.mode_switched_at, l.next_seq, l.head, l.state, l.last_at FROM device d \
     LEFT JOIN organization o ON o.id = d.organization_id \
     LEFT JOIN device_log l ON l.device_id = d.id AND l.epoch = ?2 WHERE d.id = ?1";
const GRANT: &str = "SELECT id, member_id, max_count, used, not_before, not_after, delivered_at, \
     end_requested_at, ended_at, exhausted_at FROM use_grant WHERE device_id = ?1 AND no = ?2";
const STORED: &str = "SELECT hash FROM stamp WHERE device_id = ?1 AND epoch = ?2 AND seq = ?3";

pub(super) fn context(
    tx: &Transaction<'_>,
    batch: &IngestBatch,
) -> rusqlite::Result<Option<Context>> {
    tx.prepare_cached(LOAD)?
        .query_row(params![batch.device.to_key(), batch.epoch], |row| {
            let issued: Option<i64> = row.get(2)?;
            let applied: Option<i64> = row.get(3)?;
            let lifted: Option<i64> = row.get(4)?;
            Ok(Context {
                organization: uuid(row, 0)?,
                modes: modes(row)?,
                lock: issued.map(|issued| LockSpan {
                    issued_at: Millis(issued),
                    applied_at: applied.map(Millis),
                    lifted_at: lifted.map(Millis),
                }),
                log: log_of(row, batch.epoch)?,
            })
        })
        .optional()
}

fn uuid(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(at)?.map(Uuid::from_bytes))
}

/// A device nobody has needs grants.
fn modes(row: &Row<'_>) -> rusqlite::Result<UseModes> {
    let (Some(required), Some(switched)) = (
        row.get::<_, Option<bool>>(1)?,
        row.get::<_, Option<String>>(5)?,
    ) else {
        return Ok(UseModes::always(UseMode::GrantsRequired));
    };
    organization::modes(required, &switched).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn log_of(row: &Row<'_>, epoch: u32) -> rusqlite::Result<Option<Log>> {
    let Some(next) = row.get::<_, Option<i64>>(6)? else {
        return Ok(None);
    };
    let state: String = row.get(8)?;
    Ok(Some(Log {
        cursor: Cursor {
            epoch,
            next: number(next),
            head: row.get::<_, Hash>(7)?,
        },
        audit: state != log::OK,
        last_at: row.get::<_, Option<i64>>(9)?.map(Millis),
    }))
}

pub(super) fn grants(tx: &Transaction<'_>, batch: &IngestBatch) -> rusqlite::Result<Grants> {
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

/// What is stored under the group's numbers: never more than the group has records.
pub(super) fn hashes(
    tx: &Transaction<'_>,
    batch: &IngestBatch,
) -> rusqlite::Result<HashMap<u32, Hash>> {
    let mut statement = tx.prepare_cached(STORED)?;
    let mut hashes = HashMap::with_capacity(batch.records.len());
    for record in &batch.records {
        let key = params![batch.device.to_key(), batch.epoch, record.seq];
        let hash = statement.query_row(key, |row| row.get(0)).optional()?;
        hashes.extend(hash.map(|hash| (record.seq, hash)));
    }
    Ok(hashes)
}
