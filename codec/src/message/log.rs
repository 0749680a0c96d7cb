//! STAMPS, LOG-ACK, LOG-PULL, EVENT: the seal's log on its way to the server.
//!
//! In order only: a batch past a gap is not stored, its LOG-ACK lists the gap. `upto` is exclusive. Only LOG-ACK
//! frees a seal's memory, and over anything but a direct link only with a receipt.

use alloc::vec::Vec;

use super::read_cose;
use crate::{
    DecodeError,
    cbor::{Reader, Writer},
    record::{Entry, MAX_RECORD},
};

/// Most records a receiver accepts in one STAMPS.
pub const MAX_RECORDS: usize = 40;
/// Most gaps in one LOG-ACK.
pub const MAX_GAPS: usize = 8;

/// Type 16, up. Records in the order of their numbers, with the seal's signed checkpoint behind the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamps {
    /// Epoch of the log.
    pub epoch: u32,
    /// Number of the first record.
    pub first: u32,
    /// 1 to 40 records, verbatim.
    pub records: Vec<Entry>,
    /// Hint: first 16 bytes of the chain head before the first record.
    pub prev: [u8; 16],
    /// COSE_Sign1 by the seal's log key, see [`crate::statement::Checkpoint`].
    pub checkpoint: Vec<u8>,
    /// Whether more records follow at once.
    pub more: Option<bool>,
}

impl Stamps {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(5, &[self.more.is_some()]);
        w.key(0).uint(self.epoch);
        w.key(1).uint(self.first);
        w.key(2).array(self.records.len());
        for entry in &self.records {
            w.bytes(&entry.bytes);
        }
        w.key(3).bytes(&self.prev);
        w.key(4).bytes(&self.checkpoint);
        if let Some(more) = self.more {
            w.key(5).bool(more);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            epoch: map.required(0, Reader::u32)?,
            first: map.required(1, Reader::u32)?,
            records: map.required(2, |r| {
                let count = r.array_in(1..=MAX_RECORDS as u64, "records of a batch")?;
                (0..count)
                    .map(|_| Entry::decode(r.bytes_in(1..=MAX_RECORD, "length of a record")?))
                    .collect()
            })?,
            prev: map.required(3, Reader::fixed)?,
            checkpoint: map.required(4, read_cose)?,
            more: map.optional(5, Reader::bool)?,
        };
        map.finish()?;
        Ok(body)
    }
}

/// Records the server misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Number of the first.
    pub start: u32,
    /// How many, 65,535 for more.
    pub count: u16,
}

/// Type 17, down, answers STAMPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogAck {
    /// Epoch of the log.
    pub epoch: u32,
    /// Everything below this number is stored for good.
    pub upto: u32,
    /// Unix seconds, for display only.
    pub now: u32,
    /// Up to 8 gaps; nothing behind the first is stored.
    pub gaps: Vec<Gap>,
    /// COSE_Sign1, see [`crate::statement::Receipt`]: on every link but a direct one.
    pub receipt: Option<Vec<u8>>,
}

impl LogAck {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(3, &[!self.gaps.is_empty(), self.receipt.is_some()]);
        w.key(0).uint(self.epoch);
        w.key(1).uint(self.upto);
        w.key(2).uint(self.now);
        if !self.gaps.is_empty() {
            w.key(3).array(self.gaps.len());
            for gap in &self.gaps {
                w.array(2).uint(gap.start).uint(gap.count);
            }
        }
        if let Some(receipt) = &self.receipt {
            w.key(4).bytes(receipt);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            epoch: map.required(0, Reader::u32)?,
            upto: map.required(1, Reader::u32)?,
            now: map.required(2, Reader::u32)?,
            gaps: map.optional(3, read_gaps)?.unwrap_or_default(),
            receipt: map.optional(4, read_cose)?,
        };
        map.finish()?;
        Ok(body)
    }
}

fn read_gaps(r: &mut Reader<'_>) -> Result<Vec<Gap>, DecodeError> {
    let count = r.array_in(1..=MAX_GAPS as u64, "gaps")?;
    (0..count)
        .map(|_| {
            r.array(2)?;
            Ok(Gap {
                start: r.u32()?,
                count: r.u16_in(1..=u16::MAX, "records of a gap")?,
            })
        })
        .collect()
}

/// Type 18, down: send these again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPull {
    /// Epoch of the log.
    pub epoch: u32,
    /// Number of the first record.
    pub from: u32,
    /// How many.
    pub count: u16,
}

impl LogPull {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(3, &[]);
        w.key(0).uint(self.epoch);
        w.key(1).uint(self.from);
        w.key(2).uint(self.count);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            epoch: map.required(0, Reader::u32)?,
            from: map.required(1, Reader::u32)?,
            count: map.required(2, Reader::u16)?,
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 19, up: an abnormal press, at once. It raises an alarm, keyed by device, epoch and number; it never adds a
/// record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The record as the log has it.
    pub entry: Entry,
    /// COSE_Sign1 of the seal's log key over the record's bytes (purpose event).
    pub signature: Option<Vec<u8>>,
    /// Epoch of the log.
    pub epoch: u32,
}

impl Event {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(2, &[self.signature.is_some()]);
        w.key(0).bytes(&self.entry.bytes);
        if let Some(signature) = &self.signature {
            w.key(1).bytes(signature);
        }
        w.key(2).uint(self.epoch);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            entry: map.required(0, |r| {
                Entry::decode(r.bytes_in(1..=MAX_RECORD, "length of a record")?)
            })?,
            signature: map.optional(1, read_cose)?,
            epoch: map.required(2, Reader::u32)?,
        };
        map.finish()?;
        Ok(body)
    }
}
