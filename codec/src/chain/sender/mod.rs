//! The seal's end: keeps records until the server proved that it has them.
//!
//! Constraints:
//! - Whoever owns the flash writes what [`LogSender::append`] returned before anything shows or sends it. Freed
//!   records may come back after a power cut; they are sent again and found to be known.
//! - What was sent in a session is volatile; every session begins with [`LogSender::reconcile`].
//! - No clock: [`LogSender::rewind`] is called when an answer is overdue (20 s).

mod loss;
mod parts;
mod state;

use alloc::collections::VecDeque;
use core::ops::Range;

pub use parts::{AckError, Appended, LogState, LossError, Proof, Reconciled};

use super::{Cursor, Head};
use crate::{
    DecodeError, DeviceId,
    message::{Counted, LogAck, Stamps},
    record::{Entry, Record, kind},
    statement::{Checkpoint, Receipt},
};

/// Most records a sender puts in a batch.
pub const MAX_BATCH_RECORDS: usize = 28;
/// Longest STAMPS message a sender makes, in bytes.
pub const MAX_BATCH_BYTES: usize = 1280;
/// Batches sent and not answered, at most.
pub const WINDOW: usize = 2;
/// Slots behind the capacity that only abnormal presses may use.
pub const RESERVE: u16 = 16;

/// Longest STAMPS message without its records: every number at its longest.
const ENVELOPE: usize = 191;
/// Longest head of a record's byte string.
const RECORD_HEAD: usize = 2;

#[derive(Debug, Clone, Copy)]
struct Slot {
    entry: Entry,
    /// Chain head after it.
    head: Head,
}

/// A session's upload.
#[derive(Debug, Clone)]
struct Upload {
    /// Number of the next record to send.
    cursor: u32,
    /// Everything below is known to be received, if not proven.
    received: u32,
    /// Everything from here on was never sent in this session.
    unsent: u32,
    /// Ends of the batches that are not answered.
    in_flight: VecDeque<u32>,
}

/// The seal's end of one log.
#[derive(Debug, Clone)]
pub struct LogSender {
    dev: DeviceId,
    capacity: u16,
    /// Before the first record held.
    base: Cursor,
    slots: VecDeque<Slot>,
    counted: Counted,
    upload: Option<Upload>,
}

impl LogSender {
    /// An empty log.
    #[must_use]
    pub fn new(dev: DeviceId, epoch: u32, capacity: u16) -> Self {
        Self {
            dev,
            capacity,
            base: Cursor::genesis(dev, epoch),
            slots: VecDeque::new(),
            counted: [0; 11],
            upload: None,
        }
    }

    /// A log as flash kept it.
    ///
    /// # Errors
    /// A record is not one, or their numbers do not follow each other.
    pub fn restore(state: &LogState) -> Result<Self, DecodeError> {
        let mut log = Self {
            dev: state.dev,
            capacity: state.capacity,
            base: Cursor {
                epoch: state.epoch,
                next: state.first,
                head: state.head,
            },
            slots: VecDeque::with_capacity(state.records.len()),
            counted: state.counted,
            upload: None,
        };
        for bytes in &state.records {
            let entry = Entry::decode(bytes)?;
            if entry.record.seq != log.next() {
                return Err(DecodeError::Range("records out of order"));
            }
            log.push(entry);
        }
        Ok(log)
    }

    /// What flash must keep.
    #[must_use]
    pub fn state(&self) -> LogState {
        LogState {
            dev: self.dev,
            epoch: self.base.epoch,
            capacity: self.capacity,
            first: self.base.next,
            head: self.base.head,
            records: self.slots.iter().map(|slot| slot.entry.bytes).collect(),
            counted: self.counted,
        }
    }

    /// Adds a press; its number is set here. A press without an abnormal class needs a free slot below the capacity,
    /// an abnormal one may use the reserve.
    pub fn append(&mut self, press: Record) -> Appended {
        let reserve = if press.kind == kind::STAMP {
            0
        } else {
            RESERVE
        };
        let room = usize::from(self.capacity) + usize::from(reserve);
        let next = self.next();
        if self.slots.len() >= room || next == u32::MAX {
            let class = match press.kind {
                class @ 1..=10 => usize::from(class),
                _ => 0,
            };
            self.counted[class] = self.counted[class].saturating_add(1);
            return Appended::Counted(class);
        }
        let entry = Entry::new(Record { seq: next, ..press });
        self.push(entry);
        Appended::Stored(entry)
    }

    /// Begins a session's upload where HELLO-ACK says. `direct`: it came straight from the gateway over mutual TLS, so
    /// it frees what lies below. Through a box nothing is freed, and if the server has everything the newest record is
    /// sent once more, to be answered with a receipt.
    pub fn reconcile(&mut self, ackto: u32, direct: bool) -> Reconciled {
        self.upload = None;
        let (first, next) = (self.base.next, self.next());
        if ackto > next {
            return Reconciled::SealBehind { server: ackto };
        }
        if ackto < first {
            return Reconciled::ServerBehind {
                from: ackto,
                count: first - ackto,
            };
        }
        if direct {
            self.free(ackto);
        }
        let newest = self.slots.back().map_or(next, |slot| slot.entry.record.seq);
        let from = if direct { ackto } else { ackto.min(newest) };
        self.upload = Some(Upload {
            cursor: from,
            received: from,
            unsent: ackto,
            in_flight: VecDeque::new(),
        });
        if from == next {
            Reconciled::InStep
        } else {
            Reconciled::Sending(from)
        }
    }

    /// The next batch, if there is one and the window has room. `boot` and `up` say when it is signed.
    pub fn next_batch(
        &mut self,
        boot: u32,
        up: u32,
        sign: &dyn Fn(&[u8]) -> [u8; 64],
    ) -> Option<Stamps> {
        let upload = self.upload.as_ref()?;
        if upload.in_flight.len() >= WINDOW {
            return None;
        }
        let range = self.batch_from(upload.cursor);
        let last = self.slots.get(range.end.checked_sub(1)?)?;
        if range.is_empty() {
            return None;
        }
        let before = match range.start.checked_sub(1) {
            Some(index) => self.slots[index].head,
            None => self.base.head,
        };
        let checkpoint = Checkpoint {
            dev: self.dev,
            epoch: self.base.epoch,
            next: last.entry.record.end(),
            head: last.head,
            boot,
            up,
        };
        let stamps = Stamps {
            epoch: self.base.epoch,
            first: self.slots[range.start].entry.record.seq,
            prev: before.prefix(),
            checkpoint: checkpoint.sign_by(sign),
            more: (range.end < self.slots.len()).then_some(true),
            records: self.slots.range(range).map(|slot| slot.entry).collect(),
        };
        if let Some(upload) = &mut self.upload {
            upload.cursor = checkpoint.next;
            upload.unsent = upload.unsent.max(checkpoint.next);
            upload.in_flight.push_back(checkpoint.next);
        }
        Some(stamps)
    }

    /// Takes an acknowledgement; returns how many records it freed.
    ///
    /// # Errors
    /// It does not fit this log; nothing changed.
    pub fn on_ack(&mut self, ack: &LogAck, proof: Proof<'_>) -> Result<usize, AckError> {
        if ack.epoch != self.base.epoch {
            return Err(AckError::OtherEpoch);
        }
        if ack.upto > self.next() {
            return Err(AckError::BeyondLog);
        }
        let proven = match proof {
            Proof::Direct => ack.upto,
            Proof::Receipt(receipt) => self.check_receipt(receipt)?,
            Proof::None => 0,
        };
        let freed = self.free(proven);
        let first = self.base.next;
        if let Some(upload) = &mut self.upload {
            upload.received = upload.received.max(ack.upto);
            upload.in_flight.retain(|end| *end > ack.upto);
            upload.cursor = upload.cursor.max(first);
            let wanted = ack.gaps.iter().map(|gap| gap.start).min();
            if let Some(start) = wanted.filter(|start| *start < upload.cursor) {
                upload.cursor = start.max(first).max(upload.received);
                upload.in_flight.clear();
            }
        }
        Ok(freed)
    }

    /// RECEIVED: a box has everything below `upto` durably, the gateway maybe not. It is not sent again in this session,
    /// the window has room again, and nothing is freed: a box can say what it likes.
    ///
    /// # Errors
    /// It does not fit this log; nothing changed.
    pub fn on_received(&mut self, epoch: u32, upto: u32) -> Result<(), AckError> {
        if epoch != self.base.epoch {
            return Err(AckError::OtherEpoch);
        }
        if upto > self.next() {
            return Err(AckError::BeyondLog);
        }
        if let Some(upload) = &mut self.upload {
            upload.received = upload.received.max(upto);
            upload.in_flight.retain(|end| *end > upto);
        }
        Ok(())
    }

    /// An answer is overdue: send again what is not known to be received.
    pub fn rewind(&mut self) {
        let first = self.base.next;
        if let Some(upload) = &mut self.upload {
            upload.cursor = upload.received.max(first);
            upload.in_flight.clear();
        }
    }

    /// LOG-PULL: the server wants records again from this number on.
    pub fn on_pull(&mut self, from: u32) {
        let (first, next) = (self.base.next, self.next());
        if let Some(upload) = &mut self.upload {
            upload.received = from.clamp(first, next);
            upload.cursor = upload.received;
            upload.in_flight.clear();
        }
    }

    /// The session is over, or the server said that the logs fork: nothing is sent until the next
    /// [`LogSender::reconcile`].
    pub fn stop(&mut self) {
        self.upload = None;
    }

    /// Whether records wait for an answer.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        self.upload
            .as_ref()
            .is_some_and(|upload| !upload.in_flight.is_empty())
    }

    fn push(&mut self, entry: Entry) {
        let head = self.head().extend(&entry.bytes);
        self.slots.push_back(Slot { entry, head });
    }

    /// The slot that holds this number, or the number of slots.
    fn index_of(&self, seq: u32) -> usize {
        self.slots
            .partition_point(|slot| slot.entry.record.end() <= seq)
    }

    /// Whether a slot begins with this number, or the log ends with it.
    fn starts_at(&self, index: usize, seq: u32) -> bool {
        self.slots
            .get(index)
            .map_or(self.next() == seq, |slot| slot.entry.record.seq == seq)
    }

    fn batch_from(&self, cursor: u32) -> Range<usize> {
        let start = self.index_of(cursor);
        let mut bytes = ENVELOPE;
        let count = self
            .slots
            .range(start..)
            .take(MAX_BATCH_RECORDS)
            .take_while(|slot| {
                bytes += RECORD_HEAD + slot.entry.bytes.len();
                bytes <= MAX_BATCH_BYTES
            })
            .count();
        start..start + count
    }

    /// The number a receipt proves, if its head is ours. One for records freed long ago proves nothing new.
    fn check_receipt(&self, receipt: &Receipt) -> Result<u32, AckError> {
        if receipt.dev != self.dev || receipt.epoch != self.base.epoch {
            return Err(AckError::OtherEpoch);
        }
        if receipt.upto < self.base.next {
            return Ok(0);
        }
        if receipt.upto > self.next() {
            return Err(AckError::BeyondLog);
        }
        let head = if receipt.upto == self.base.next {
            Some(self.base.head)
        } else {
            self.slots
                .iter()
                .find(|slot| slot.entry.record.end() == receipt.upto)
                .map(|slot| slot.head)
        };
        if head == Some(receipt.head) {
            Ok(receipt.upto)
        } else {
            Err(AckError::Fork)
        }
    }

    fn free(&mut self, upto: u32) -> usize {
        let count = self.index_of(upto);
        for slot in self.slots.drain(..count) {
            self.base.next = slot.entry.record.end();
            self.base.head = slot.head;
        }
        count
    }
}
