//! What to do with a group, given what the transaction read: the same for both databases.

use std::collections::HashMap;

use sealgate_domain::{
    DeviceId, Millis,
    grant::Grant,
    organization::UseModes,
    stamp::{
        self, AbnormalKind, Batch, Corrected, Cursor, DeviceTime, GrantKnowledge, Hash, Knowledge,
        LockSpan, PressFacts, Verdict,
    },
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{IngestBatch, IngestOutcome, IngestRecord, IngestRefusal};
use crate::store::Topic;

/// What is known of a device.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) organization: Option<Uuid>,
    pub(super) modes: UseModes,
    pub(super) lock: Option<LockSpan>,
    pub(super) log: Option<Log>,
}

/// What is known of its log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    pub(super) cursor: Cursor,
    pub(super) audit: bool,
    pub(super) last_at: Option<Millis>,
}

/// A grant that records of the group name.
#[derive(Debug, Clone)]
pub(super) struct NamedGrant {
    pub(super) id: Uuid,
    pub(super) member: Option<Uuid>,
    pub(super) state: Grant,
    pub(super) exhausted_at: Option<i64>,
    pub(super) changed: bool,
}

/// Grants of one device by number.
pub(super) type Grants = HashMap<u32, NamedGrant>;

/// A record to insert.
#[derive(Debug)]
pub(super) struct NewStamp<'a> {
    pub(super) record: &'a IngestRecord,
    pub(super) grant: Option<Uuid>,
    pub(super) member: Option<Uuid>,
    pub(super) abnormal: Option<AbnormalKind>,
    pub(super) corrected: Corrected,
}

/// What to write for a group.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) stamps: Vec<NewStamp<'a>>,
    pub(super) log: Log,
    pub(super) exhausted: Vec<Uuid>,
    duplicates: u32,
    abnormal: u32,
}

/// What to do with a group.
#[derive(Debug)]
pub(super) enum Decision<'a> {
    /// Nothing to write.
    Done(IngestOutcome),
    /// Quarantine, alarm, and close the log to records; the first number that contradicts.
    Fork { seq: u32 },
    /// Write.
    Store(Plan<'a>),
}

/// Must the group's records be compared with what is stored under their numbers? As a rule the cursor says enough, and
/// a log that waits for a decision takes nothing.
pub(super) fn must_compare(context: Option<&Context>, batch: &IngestBatch) -> bool {
    let log = context.and_then(|context| context.log);
    log.filter(|log| !log.audit)
        .zip(shape(batch))
        .map(|(log, shape)| stamp::reconcile(&log.cursor, &shape))
        == Some(Verdict::Duplicate { proven: false })
}

/// Decides. `stored` holds the hashes stored under the group's numbers, if they were to be compared.
pub(super) fn decide<'a>(
    context: Option<&Context>,
    grants: &mut Grants,
    stored: &HashMap<u32, Hash>,
    batch: &'a IngestBatch,
) -> Decision<'a> {
    let refused = |why| Decision::Done(IngestOutcome::Refused(why));
    let Some(context) = context else {
        return refused(IngestRefusal::UnknownDevice);
    };
    let Some(log) = context.log else {
        return refused(IngestRefusal::UnknownEpoch);
    };
    if log.audit {
        return refused(IngestRefusal::Audit);
    }
    let Some(shape) = shape(batch) else {
        return refused(IngestRefusal::Malformed);
    };
    match stamp::reconcile(&log.cursor, &shape) {
        Verdict::Append { from } => append(context, log, grants, stored, batch, from),
        Verdict::Duplicate { proven } => duplicate(&log, stored, batch, proven),
        Verdict::Gap { from, count } => Decision::Done(IngestOutcome::Gap { from, count }),
        Verdict::Stale => Decision::Done(IngestOutcome::Stale { cursor: log.cursor }),
        Verdict::Fork => Decision::Fork { seq: batch.first },
        Verdict::Refused => refused(IngestRefusal::Malformed),
    }
}

/// The group as numbers, if its records follow one another.
fn shape(batch: &IngestBatch) -> Option<Batch> {
    let mut end = batch.first;
    for record in &batch.records {
        if record.seq != end {
            return None;
        }
        end = record.end()?;
    }
    Some(Batch {
        epoch: batch.epoch,
        first: batch.first,
        end,
        chained_from: batch.chained_from,
        prev_head: batch.prev_head,
        new_head: batch.new_head,
    })
}

fn duplicate<'a>(
    log: &Log,
    stored: &HashMap<u32, Hash>,
    batch: &'a IngestBatch,
    proven: bool,
) -> Decision<'a> {
    let differs = |record: &&IngestRecord| contradicts(stored, record);
    if !proven && let Some(record) = batch.records.iter().find(differs) {
        return Decision::Fork { seq: record.seq };
    }
    let absent = |record: &IngestRecord| !stored.contains_key(&record.seq);
    if !proven && batch.records.iter().any(absent) {
        // Given up when the log was reopened: the device is told where we stand, nothing is called stored.
        return Decision::Done(IngestOutcome::Stale { cursor: log.cursor });
    }
    Decision::Done(IngestOutcome::Stored {
        cursor: log.cursor,
        inserted: 0,
        duplicates: u32::try_from(batch.records.len()).unwrap_or(u32::MAX),
        abnormal: 0,
    })
}

/// Something else is stored under its number.
fn contradicts(stored: &HashMap<u32, Hash>, record: &IngestRecord) -> bool {
    stored
        .get(&record.seq)
        .is_some_and(|hash| *hash != record.hash)
}

fn append<'a>(
    context: &Context,
    log: Log,
    grants: &mut Grants,
    stored: &HashMap<u32, Hash>,
    batch: &'a IngestBatch,
    from: u32,
) -> Decision<'a> {
    let skipped = batch
        .records
        .iter()
        .take_while(|record| record.seq < from)
        .count();
    let new = &batch.records[skipped..];
    if new.first().is_none_or(|record| record.seq != from) {
        // A record of losses that reaches over the cursor denies what is stored.
        return Decision::Fork { seq: from };
    }
    // Before the first record is counted against its grant: a fork changes nothing.
    if let Some(record) = new.iter().find(|record| contradicts(stored, record)) {
        return Decision::Fork { seq: record.seq };
    }
    let mut plan = Plan {
        stamps: Vec::with_capacity(new.len()),
        log,
        exhausted: Vec::new(),
        duplicates: u32::try_from(skipped).unwrap_or(u32::MAX),
        abnormal: 0,
    };
    for record in new {
        match stored.contains_key(&record.seq) {
            true => plan.duplicates += 1,
            false => plan.add(context, grants, batch, record),
        }
    }
    plan.log.cursor = Cursor {
        epoch: batch.epoch,
        next: new.last().and_then(IngestRecord::end).unwrap_or(from),
        head: batch.new_head,
    };
    Decision::Store(plan)
}

impl<'a> Plan<'a> {
    fn add(
        &mut self,
        context: &Context,
        grants: &mut Grants,
        batch: &IngestBatch,
        record: &'a IngestRecord,
    ) {
        let time = DeviceTime {
            boot: record.boot,
            uptime_s: record.uptime_s,
            wall: record
                .wall_trusted
                .then(|| Millis::from_seconds(record.wall_s)),
        };
        let corrected = stamp::correct(&time, &batch.sync, self.log.last_at, batch.received_at);
        self.log.last_at = self.log.last_at.max(Some(corrected.at));
        let mut grant = match stamp::is_press(record.kind) {
            true => grants.get_mut(&record.grant_no),
            false => None,
        };
        let abnormal = self.classify(context, grant.as_deref_mut(), record, corrected);
        self.abnormal += u32::from(abnormal.is_some());
        self.stamps.push(NewStamp {
            record,
            grant: grant.as_ref().map(|grant| grant.id),
            member: grant.as_ref().and_then(|grant| grant.member),
            abnormal,
            corrected,
        });
    }

    fn classify(
        &mut self,
        context: &Context,
        grant: Option<&mut NamedGrant>,
        record: &IngestRecord,
        corrected: Corrected,
    ) -> Option<AbnormalKind> {
        if !stamp::is_press(record.kind) {
            return None;
        }
        let press = PressFacts {
            grant_active: record.grant_active,
            booting: record.booting,
            class: record.class,
            at: corrected,
            uptime_s: record.uptime_s,
            n: record.n,
        };
        let knowledge = grant.map(|grant| {
            let mut over = false;
            if stamp::counts(&press) {
                let (state, consumed) = grant.state.consume(record.n);
                grant.state = state;
                grant.changed = true;
                over = consumed.over;
                if consumed.exhausted {
                    grant.exhausted_at = Some(corrected.at.0);
                    self.exhausted.push(grant.id);
                }
            }
            GrantKnowledge {
                not_before: grant.state.not_before,
                not_after: grant.state.not_after,
                ended_at: grant.state.ended_at,
                over,
            }
        });
        let known = Knowledge {
            mode: context.modes.at(corrected.at),
            grant: knowledge,
            lock: context.lock,
        };
        stamp::anomaly(&press, &known)
    }

    pub(super) fn outcome(&self) -> IngestOutcome {
        IngestOutcome::Stored {
            cursor: self.log.cursor,
            inserted: u32::try_from(self.stamps.len()).unwrap_or(u32::MAX),
            duplicates: self.duplicates,
            abnormal: self.abnormal,
        }
    }

    /// One row of the audit for the group: what was stored, bound to its bytes.
    pub(super) fn audit(&self, batch: &IngestBatch) -> AuditRow {
        let first = self
            .stamps
            .first()
            .map_or(batch.first, |new| new.record.seq);
        let records = self.stamps.iter().map(|new| new.record);
        AuditRow {
            action: "stamps.stored",
            subject: format!("{}/{first}-{}", batch.epoch, self.log.cursor.next - 1),
            hash: batch_hash(batch, records),
        }
    }

    /// One event for the group, and one more for what somebody should look at.
    pub(super) fn events(&self, batch: &IngestBatch, mut emit: impl FnMut(Topic, String)) {
        let Some(first) = self.stamps.first().map(|new| new.record.seq) else {
            return;
        };
        let (epoch, upto) = (batch.epoch, self.log.cursor.next);
        emit(
            Topic::Stamp,
            format!(r#"{{"epoch":{epoch},"from":{first},"upto":{upto}}}"#),
        );
        if self.abnormal > 0 {
            let classes: Vec<_> = self.stamps.iter().filter_map(abnormal_pair).collect();
            let classes = classes.join(",");
            emit(
                Topic::Alarm,
                format!(r#"{{"kind":"abnormal","epoch":{epoch},"stamps":[{classes}]}}"#),
            );
        }
        for grant in &self.exhausted {
            emit(
                Topic::Grant,
                format!(r#"{{"grant":"{grant}","change":"exhausted"}}"#),
            );
        }
    }
}

fn abnormal_pair(new: &NewStamp<'_>) -> Option<String> {
    let class = new.abnormal?.number();
    Some(format!(r#"{{"seq":{},"class":{class}}}"#, new.record.seq))
}

/// A row of the audit written by ingest.
#[derive(Debug)]
pub(super) struct AuditRow {
    pub(super) action: &'static str,
    pub(super) subject: String,
    pub(super) hash: Hash,
}

/// What a fork leaves in the audit, and its alarm.
pub(super) fn fork_row(batch: &IngestBatch, seq: u32) -> (AuditRow, String) {
    let audit = AuditRow {
        action: "log.fork",
        subject: format!("{}/{seq}", batch.epoch),
        hash: batch_hash(batch, batch.records.iter()),
    };
    let alarm = format!(
        r#"{{"kind":"log_fork","epoch":{},"seq":{seq}}}"#,
        batch.epoch
    );
    (audit, alarm)
}

/// Canonical bytes: device, epoch, first number, both heads, arrival, then every record behind its length.
fn batch_hash<'a>(batch: &IngestBatch, records: impl Iterator<Item = &'a IngestRecord>) -> Hash {
    let DeviceId(device) = batch.device;
    let mut hash = Sha256::new();
    hash.update(b"sealgate/stamps/1");
    hash.update(device);
    hash.update(batch.epoch.to_be_bytes());
    hash.update(batch.chained_from.to_be_bytes());
    hash.update(batch.prev_head);
    hash.update(batch.new_head);
    hash.update(batch.received_at.0.to_be_bytes());
    for record in records {
        hash.update((record.record.len() as u64).to_be_bytes());
        hash.update(&record.record);
    }
    hash.finalize().into()
}
