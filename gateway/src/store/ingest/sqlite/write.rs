//! The rows of a group.

use rusqlite::{Transaction, params};
use uuid::Uuid;

use crate::store::{
    Topic,
    ingest::{
        IngestBatch,
        decide::{self, AuditRow, Context, Grants, Plan},
    },
    log,
};

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

/// `false`: a row was there already.
pub(super) fn stamps(
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

pub(super) fn finish(
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

pub(super) fn quarantine(
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
