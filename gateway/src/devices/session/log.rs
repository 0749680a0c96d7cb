//! STAMPS and EVENT.
//!
//! A batch is checked against where the log will stand when everything under way is stored, so that a device may keep
//! several batches on the way; the database decides against where it stands then. `upto` always comes from a commit.

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use sealgate_codec::{
    DeviceId as WireId, ErrorCode, Message,
    abnormal::classify,
    chain::Head,
    message::{Event, Gap, LogAck, Stamps},
    record::{ClockQuality, Entry, GrantState, Phase, Position, kind},
    statement::{Claim, Receipt, verify_event},
};
use sealgate_domain::{
    grant::Place,
    stamp::{AbnormalKind, Cursor},
};
use sha2::{Digest, Sha256};

use super::{
    End, Owed, Session,
    check::{self, Ring},
};
use crate::{
    app::{
        App,
        session::{ReportedPosition, Suspicion},
        stamp::{
            DeviceEvent, IngestBatch, IngestOutcome, IngestRecord, IngestRefusal, RecordPosition,
        },
    },
    devices::{
        ingest::{Answer, Commit, Fault},
        link::{CloseReason, LinkKind},
        proof::{self, Proof},
    },
    signer::Purpose,
};

/// How the group commit stores batches.
pub(in crate::devices) struct StampCommit {
    app: App,
}

impl StampCommit {
    /// Stores through the use case.
    pub(in crate::devices) fn new(app: App) -> Self {
        Self { app }
    }
}

/// A batch and the signature it stands on.
pub(in crate::devices) struct Part {
    proof: Proof,
    batch: IngestBatch,
}

impl Commit for StampCommit {
    type Part = Part;
    type Outcome = IngestOutcome;

    fn rows(part: &Part) -> usize {
        part.batch.records.len()
    }

    fn proven(parts: &[&Part]) -> Vec<bool> {
        proof::hold(parts.iter().map(|part| &part.proof))
    }

    async fn commit(&self, parts: Vec<Part>) -> Result<Vec<IngestOutcome>, Fault> {
        let count = parts.len();
        let batches = parts.into_iter().map(|part| part.batch).collect();
        self.app.store_stamps(batches).await.map_err(|error| {
            tracing::error!(%error, parts = count, "records were not stored");
            match error.is_outage() {
                true => Fault::Store,
                false => Fault::Data,
            }
        })
    }
}

/// A batch under way.
pub(super) struct Batch {
    mid: u16,
    epoch: u32,
    answer: Answer<StampCommit>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({})", self.mid)
    }
}

impl Batch {
    /// Waits for the commit. May be given up and called again.
    pub(super) async fn answer(&mut self) -> Result<IngestOutcome, Fault> {
        (&mut self.answer).await.unwrap_or(Err(Fault::Store))
    }
}

/// A checked batch that waits for room in the group commit.
pub(super) struct Checked {
    mid: u16,
    part: Part,
}

impl Session {
    /// STAMPS: checked here, stored by the group commit, answered when that has happened.
    pub(super) async fn on_stamps(&mut self, mid: u16, stamps: Stamps) -> Result<(), End> {
        match self.check_stamps(&stamps) {
            Ok((part, after)) => {
                self.cursor = Some(after);
                self.held = Some(Checked { mid, part });
                self.submit_held()
            }
            Err(code) => {
                tracing::info!(device = %self.device, first = stamps.first, %code, "a batch was refused");
                self.reject(super::UplinkLane::Reliable, Some(mid), code)
                    .await
            }
        }
    }

    /// The part for the group commit, and where the log stands behind it if it is what it should be.
    fn check_stamps(&mut self, stamps: &Stamps) -> Result<(Part, Cursor), ErrorCode> {
        let greeting = self.greeting.ok_or(ErrorCode::RetryLater)?;
        let cursor = self.cursor.ok_or(ErrorCode::RetryLater)?;
        let wire = WireId::new(self.device.0);
        let Claim {
            checkpoint,
            message,
            signature,
        } = check::claim(stamps, wire)?;
        let batch = check::place(stamps, &checkpoint, &cursor)?;
        let proof = Proof {
            key: self.log_key()?,
            message,
            signature,
        };
        let continues = batch.prev_head == cursor.head && batch.chained_from == cursor.next;
        let after = match continues {
            true => Cursor {
                next: checkpoint.next,
                head: checkpoint.head.0,
                ..cursor
            },
            false => cursor,
        };
        let batch = IngestBatch {
            device: self.device,
            epoch: batch.epoch,
            first: batch.first,
            chained_from: batch.chained_from,
            prev_head: batch.prev_head,
            new_head: batch.new_head,
            records: stamps.records.iter().map(record).collect(),
            received_at: self.host.clock.now(),
            sync: greeting.sync,
            battery: Some(greeting.battery),
        };
        Ok((Part { proof, batch }, after))
    }

    /// The device's registered key, taken apart once a session.
    fn log_key(&mut self) -> Result<VerifyingKey, ErrorCode> {
        if let Some(key) = self.log_key {
            return Ok(key);
        }
        let key = VerifyingKey::from_bytes(&self.credentials.log_key).ok();
        let key = key.filter(|key| !key.is_weak());
        self.log_key = key;
        key.ok_or(ErrorCode::Signature)
    }

    /// Hands the held batch to the group commit; it stays held while there is no room.
    pub(super) fn submit_held(&mut self) -> Result<(), End> {
        let Some(Checked { mid, part }) = self.held.take() else {
            return Ok(());
        };
        let epoch = part.batch.epoch;
        match self.host.ingest.try_submit(part) {
            Ok(answer) => self
                .owed
                .push_back(Owed::Batch(Batch { mid, epoch, answer })),
            Err(Some(part)) => self.held = Some(Checked { mid, part }),
            Err(None) => return Err(End::Close(CloseReason::StoreFailed)),
        }
        Ok(())
    }

    /// The oldest owed payload is settled: what it is to hear, then its turn.
    pub(super) async fn settle(
        &mut self,
        outcome: Option<Result<IngestOutcome, Fault>>,
    ) -> Result<(), End> {
        let owed = self.owed.pop_front();
        let mut told = Ok(());
        if let (Some(Owed::Batch(batch)), Some(outcome)) = (owed, outcome) {
            told = match outcome {
                Ok(outcome) => self.answer_batch(batch, outcome).await,
                Err(Fault::Data) => self.send_error(Some(batch.mid), ErrorCode::Internal).await,
                Err(Fault::Forged) => Box::pin(self.refuse_forged(batch)).await,
                Err(Fault::Store) => return Err(End::Close(CloseReason::StoreFailed)),
            };
        }
        if told.is_ok() {
            told = self.hand_down(super::Downlink::Accepted).await;
        }
        if told.is_err() {
            // It is settled all the same: an orderly end still gives it its turn.
            self.owed.push_front(Owed::Turn);
        }
        told
    }

    /// What was counted on behind it is taken back: the stored log says where we stand.
    async fn refuse_forged(&mut self, batch: Batch) -> Result<(), End> {
        tracing::info!(device = %self.device, "a batch was refused: its signature is not the device's");
        let stored = self.host.app.log_cursor(self.device).await;
        self.cursor = stored.map_err(|error| self.store_failed(&error))?;
        self.send_error(Some(batch.mid), ErrorCode::Signature).await
    }

    async fn answer_batch(&mut self, batch: Batch, outcome: IngestOutcome) -> Result<(), End> {
        let mid = Some(batch.mid);
        match outcome {
            IngestOutcome::Stored { cursor, .. } => {
                self.count_stored(outcome);
                if self.owed.is_empty() && self.held.is_none() {
                    self.cursor = Some(cursor);
                }
                let receipt = match self.kind {
                    // Only the direct link needs no proof that it was we who said *stored*.
                    LinkKind::Mqtt => None,
                    _ => Box::pin(self.receipt(&cursor)).await,
                };
                self.acknowledge(batch, cursor.next, Vec::new(), receipt)
                    .await
            }
            IngestOutcome::Gap { from, count } => {
                let count = u16::try_from(count).unwrap_or(u16::MAX);
                let gaps = vec![Gap { start: from, count }];
                self.acknowledge(batch, from, gaps, None).await
            }
            IngestOutcome::Stale { cursor } => {
                self.cursor = Some(cursor);
                self.acknowledge(batch, cursor.next, Vec::new(), None).await
            }
            IngestOutcome::Fork => {
                self.host.metrics.log_forks.inc();
                Box::pin(self.suspect(Suspicion::LogFork)).await?;
                self.send_error(mid, ErrorCode::LogFork).await
            }
            IngestOutcome::Refused(IngestRefusal::Audit) => {
                self.send_error(mid, ErrorCode::LogFork).await
            }
            IngestOutcome::Refused(why) => {
                tracing::warn!(device = %self.device, ?why, "records were refused");
                self.send_error(mid, ErrorCode::Range).await
            }
        }
    }

    fn count_stored(&self, outcome: IngestOutcome) {
        if let IngestOutcome::Stored {
            inserted,
            duplicates,
            ..
        } = outcome
        {
            let metrics = &self.host.metrics;
            metrics.stamps_stored.inc_by(inserted.into());
            metrics.stamps_duplicate.inc_by(duplicates.into());
        }
    }

    async fn acknowledge(
        &mut self,
        batch: Batch,
        upto: u32,
        gaps: Vec<Gap>,
        receipt: Option<Vec<u8>>,
    ) -> Result<(), End> {
        let ack = LogAck {
            epoch: batch.epoch,
            upto,
            now: self.host.clock.now().seconds(),
            gaps,
            receipt,
        };
        self.send(Some(batch.mid), Message::LogAck(ack)).await
    }

    async fn receipt(&self, cursor: &Cursor) -> Option<Vec<u8>> {
        let receipt = Receipt {
            dev: WireId::new(self.device.0),
            epoch: cursor.epoch,
            upto: cursor.next,
            head: Head(cursor.head),
            time: self.host.clock.now().seconds(),
        };
        let cose = self.sign(Purpose::Receipt, receipt.payload()).await?;
        self.host.metrics.receipts_issued.inc();
        Some(cose)
    }

    /// EVENT: an alarm ahead of its record. It stores no record, and the same one raises no second alarm.
    pub(super) async fn on_event(&mut self, mid: u16, event: Event) -> Result<(), End> {
        let key = (event.epoch, event.entry.record.seq);
        let signed = event.signature.is_some() || self.kind != LinkKind::Mqtt;
        let log_key = &self.credentials.log_key;
        if signed && let Err(code) = verify_event(&event, log_key, &Ring) {
            return self.send_error(Some(mid), code).await;
        }
        if self.last_event == Some(key) {
            return Ok(());
        }
        let record = &event.entry.record;
        let class = class(&event.entry);
        let number = class.map_or(0, AbnormalKind::number);
        let events = &self.host.metrics.events_received;
        events.with_label_values(&[&number.to_string()]).inc();
        let event = DeviceEvent {
            device: self.device,
            epoch: event.epoch,
            seq: record.seq,
            class,
            facts: record.facts.bits(),
            grant_no: record.auth,
            position: record.at.map(reported),
            at: self.host.clock.now(),
        };
        self.host
            .app
            .device_event(&event)
            .await
            .map_err(|error| self.store_failed(&error))?;
        self.last_event = Some(key);
        Ok(())
    }
}

/// A record in the platform's words; its bytes stay as they came.
fn record(entry: &Entry) -> IngestRecord {
    let record = &entry.record;
    let facts = record.facts;
    let lost = record.lost_range();
    IngestRecord {
        seq: record.seq,
        boot: record.boot,
        uptime_s: record.up,
        wall_s: record.wall,
        clock_quality: record.clkq.number(),
        wall_trusted: record.clkq == ClockQuality::Secure,
        kind: record.kind,
        grant_no: if lost.is_some() { 0 } else { record.auth },
        n: record.n,
        position: record.at.map(|at| RecordPosition {
            place: Place {
                lat_e7: at.lat_e7,
                lon_e7: at.lon_e7,
            },
            accuracy_m: at.accuracy,
        }),
        facts: facts.bits(),
        grant_active: facts.grant_state() == GrantState::Active,
        booting: facts.phase() == Phase::Booting,
        class: class(entry),
        lost: lost.map_or(0, |range| range.end - range.start),
        record: Bytes::copy_from_slice(&entry.bytes),
        hash: Sha256::digest(&*entry.bytes).into(),
    }
}

/// The class by the device's truth table; a record that stands for lost ones has none.
fn class(entry: &Entry) -> Option<AbnormalKind> {
    let press = entry.record.kind != kind::LOST;
    let class = press.then(|| classify(entry.record.facts)).flatten();
    class.and_then(|class| AbnormalKind::from_number(class.number()))
}

pub(super) fn reported(position: Position) -> ReportedPosition {
    ReportedPosition {
        lat_e7: position.lat_e7,
        lon_e7: position.lon_e7,
        accuracy_m: position.accuracy,
    }
}
