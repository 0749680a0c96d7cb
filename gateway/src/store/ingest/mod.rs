//! Ingest: batches of records of many devices in one transaction.
//!
//! Invariants:
//! - A record is stored once: the key is (device, epoch, seq). The same content again is a duplicate; other content is
//!   a fork, kept in quarantine, never written over what is stored, and the log takes nothing more until somebody
//!   decided.
//! - Records are stored in order and without gaps, and the cursor moves in the same transaction as they.
//! - What is decided is decided inside the transaction, on what it reads: cursor, grant, lock, organization.
//! - A group that can't be stored harms no other group. When the database fails, nothing is acknowledged.

mod decide;
mod postgres;
mod sqlite;

use bytes::Bytes;
use sealgate_domain::{
    DeviceId, Millis,
    grant::Place,
    stamp::{AbnormalKind, Cursor, Hash, TimeSync},
};

use super::{
    Lane, Store, StoreError,
    connect::{in_time, silent},
};

pub(super) use sqlite::Writer;

/// Groups in one call at most.
pub const MAX_GROUPS: usize = 512;

/// Where a record was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPosition {
    /// The place.
    pub place: Place,
    /// Metres.
    pub accuracy_m: u16,
}

/// One record, decoded and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestRecord {
    /// Sequence number.
    pub seq: u32,
    /// Boot counter.
    pub boot: u32,
    /// Seconds since that boot.
    pub uptime_s: u32,
    /// The device's wall clock, in unix seconds.
    pub wall_s: u32,
    /// How good that clock was, as sent.
    pub clock_quality: u8,
    /// That clock was set from a signed source in that boot.
    pub wall_trusted: bool,
    /// Kind of record.
    pub kind: u8,
    /// The grant it names; 0 = none.
    pub grant_no: u32,
    /// Its number within the grant.
    pub n: u16,
    /// Where.
    pub position: Option<RecordPosition>,
    /// Fact bits, as sent.
    pub facts: u32,
    /// Facts: a grant allowed the press.
    pub grant_active: bool,
    /// Facts: before the platform's first answer after power-on.
    pub booting: bool,
    /// Class by the device's truth table, kind 10 left out.
    pub class: Option<AbnormalKind>,
    /// How many lost records it stands for, itself included; 0 = it is a record itself.
    pub lost: u32,
    /// The record, verbatim.
    pub record: Bytes,
    /// SHA-256 of it.
    pub hash: Hash,
}

impl IngestRecord {
    /// The number that follows it; `None` = there is none.
    pub(super) fn end(&self) -> Option<u32> {
        self.seq.checked_add(self.lost.max(1))
    }
}

/// Records of one device that follow one another: one STAMPS message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestBatch {
    /// Whose log.
    pub device: DeviceId,
    /// Epoch of the log.
    pub epoch: u32,
    /// Sequence number of the first record.
    pub first: u32,
    /// From which sequence number on the chain was checked: the cursor of the one who checked it.
    pub chained_from: u32,
    /// The chain head there.
    pub prev_head: Hash,
    /// The chain head after the last record, as the checkpoint signs it.
    pub new_head: Hash,
    /// The records.
    pub records: Vec<IngestRecord>,
    /// When they arrived.
    pub received_at: Millis,
    /// The session's time: uptime and our time at HELLO.
    pub sync: TimeSync,
    /// Battery of the nearest status, in percent.
    pub battery: Option<u8>,
}

/// What became of a group. Only `Stored` acknowledges anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestOutcome {
    /// Everything before `cursor.next` is stored and committed.
    Stored {
        /// How far the log is stored now.
        cursor: Cursor,
        /// Records that are new.
        inserted: u32,
        /// Records that were stored already.
        duplicates: u32,
        /// Abnormal ones among the new.
        abnormal: u32,
    },
    /// Records before the group are missing; nothing of it was stored.
    Gap {
        /// First missing.
        from: u32,
        /// How many.
        count: u32,
    },
    /// Another session stored more meanwhile: check the chain again from here and send the group again.
    Stale {
        /// How far the log is stored.
        cursor: Cursor,
    },
    /// It contradicts what is stored. It was put in quarantine, the alarm was raised, the log waits for a decision.
    Fork,
    /// It can't be stored, ever.
    Refused(IngestRefusal),
}

/// Why a group can't be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestRefusal {
    /// No such device.
    UnknownDevice,
    /// No log of that epoch was opened.
    UnknownEpoch,
    /// The log forked earlier and waits for a decision.
    Audit,
    /// Its numbers do not follow one another.
    Malformed,
    /// The database refused its content.
    Content,
}

impl Store {
    /// Stores groups of records in one transaction; the outcomes are in the groups' order. Only what comes back as
    /// `Stored` may be acknowledged.
    ///
    /// # Errors
    /// The database failed: nothing was stored, nothing may be acknowledged.
    pub async fn ingest(&self, groups: Vec<IngestBatch>) -> Result<Vec<IngestOutcome>, StoreError> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let result = match self.ingest_writer() {
            Some(writer) => {
                let permit = self.pass(Lane::Normal).await;
                writer.run(groups, permit).await
            }
            None => in_time(self.patience(), postgres::run(self, &groups))
                .await
                .unwrap_or_else(|| Err(silent())),
        };
        match result {
            Ok(outcomes) => {
                self.succeeded();
                Ok(outcomes)
            }
            Err(error) => Err(self.note(error)),
        }
    }
}

#[cfg(test)]
mod tests;
