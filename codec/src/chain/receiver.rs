//! The server's end: what to do with a batch.
//!
//! Check the signature before believing a verdict that accuses ([`Verdict::Fork`]): [`LogReceiver::check_signed`] does
//! both. Nothing here changes state: the caller commits [`Append::cursor`] together with the records, and only then
//! moves the receiver.

use alloc::vec::Vec;

use super::Head;
use crate::{
    DecodeError, DeviceId, ErrorCode,
    cose::Verify,
    message::{LogPosition, Stamps},
    record::Entry,
    statement::Checkpoint,
};

/// How far a log is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Epoch of the log.
    pub epoch: u32,
    /// Number of the record that comes next; everything below is stored.
    pub next: u32,
    /// Chain head before `next`.
    pub head: Head,
}

impl Cursor {
    /// Of an empty log.
    #[must_use]
    pub fn genesis(device: DeviceId, epoch: u32) -> Self {
        Self {
            epoch,
            next: 1,
            head: Head::genesis(device, epoch),
        }
    }
}

/// What a batch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It continues the log, perhaps after some records that are known already.
    Append(Append),
    /// Everything in it is behind the cursor. `proven`: it ends at the cursor, and its signed head is ours. Otherwise
    /// compare the records with the stored ones: equal means acknowledge again, anything else is a fork.
    Duplicate {
        /// Whether equality is proven already.
        proven: bool,
    },
    /// It begins past the cursor: store nothing, answer with this gap.
    Gap {
        /// Number of the first missing record.
        from: u32,
        /// How many are missing.
        count: u32,
    },
    /// The seal's log and ours disagree about the past.
    Fork,
    /// A log of another epoch: someone must approve it.
    OtherEpoch {
        /// That epoch.
        epoch: u32,
    },
    /// Not a batch that a seal could have made; nothing follows from it.
    Invalid(Invalid),
}

/// The new records of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// How many records at the batch's beginning are known already (an overlap); the chain proves them equal.
    pub skipped: usize,
    /// Chain head after each new record.
    pub heads: Vec<Head>,
    /// The cursor once they are stored.
    pub cursor: Cursor,
}

impl Append {
    /// The new records of the batch that was checked.
    #[must_use]
    pub fn records<'s>(&self, stamps: &'s Stamps) -> &'s [Entry] {
        stamps.records.get(self.skipped..).unwrap_or_default()
    }
}

/// Why a batch makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The records' numbers do not follow each other from `first` on.
    #[error("records out of order")]
    Order,
    /// The checkpoint is not one.
    #[error("checkpoint: {0}")]
    Checkpoint(DecodeError),
    /// The checkpoint is another device's.
    #[error("the checkpoint of another device")]
    Device,
    /// The checkpoint is not for the end of this batch.
    #[error("the checkpoint is not for this batch")]
    Coverage,
    /// The seal agrees with our head, but its checkpoint does not cover these records: changed on the way.
    #[error("the checkpoint does not cover the records")]
    Chain,
}

impl Invalid {
    /// The number the seal is told.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Order | Self::Coverage => ErrorCode::Range,
            Self::Checkpoint(error) => error.code(),
            Self::Device => ErrorCode::WrongDevice,
            Self::Chain => ErrorCode::Signature,
        }
    }
}

/// How the log that a HELLO announces stands to ours. A hint: it moves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloVerdict {
    /// Nothing to upload.
    InStep,
    /// There is something to upload.
    Ahead,
    /// The seal has fewer records than it once signed: its flash was rolled back, or it is a clone.
    Behind,
    /// As many records as ours, another head: a fork, once a checkpoint proves it.
    Differs,
    /// The seal no longer holds what we need: our database was restored from an old copy.
    Missing {
        /// Number of the first missing record.
        from: u32,
        /// How many are missing.
        count: u32,
    },
    /// A log of another epoch.
    OtherEpoch,
}

/// The server's end of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogReceiver {
    /// How far the log is stored.
    pub cursor: Cursor,
}

impl LogReceiver {
    /// Continues a log.
    #[must_use]
    pub const fn new(cursor: Cursor) -> Self {
        Self { cursor }
    }

    /// Verifies a batch's signature by the registered log key, then checks it.
    ///
    /// # Errors
    /// The signature or what carries it is wrong: believe nothing in the batch.
    pub fn check_signed(
        &self,
        stamps: &Stamps,
        device: DeviceId,
        log_key: &[u8; 32],
        verifier: &dyn Verify,
    ) -> Result<Verdict, ErrorCode> {
        Checkpoint::verify(&stamps.checkpoint, log_key, verifier)?;
        Ok(self.check(stamps, device))
    }

    /// Checks a batch whose signature the caller verifies.
    #[must_use]
    pub fn check(&self, stamps: &Stamps, device: DeviceId) -> Verdict {
        let (end, checkpoint) = match examine(stamps, device) {
            Ok(found) => found,
            Err(invalid) => return Verdict::Invalid(invalid),
        };
        let Cursor { epoch, next, head } = self.cursor;
        if stamps.epoch != epoch {
            return Verdict::OtherEpoch {
                epoch: stamps.epoch,
            };
        }
        if stamps.first > next {
            return Verdict::Gap {
                from: next,
                count: stamps.first - next,
            };
        }
        if end <= next {
            return match (end == next, checkpoint.head == head) {
                (true, false) => Verdict::Fork,
                (proven, _) => Verdict::Duplicate { proven },
            };
        }
        self.extend(stamps, end, &checkpoint)
    }

    /// Moves on, once the records are stored.
    pub fn commit(&mut self, cursor: Cursor) {
        self.cursor = cursor;
    }

    /// How the log that a HELLO announces stands to ours.
    #[must_use]
    pub fn compare_hello(&self, epoch: u32, log: &LogPosition, head: &[u8; 16]) -> HelloVerdict {
        let next = self.cursor.next;
        if epoch != self.cursor.epoch {
            HelloVerdict::OtherEpoch
        } else if log.next < next {
            HelloVerdict::Behind
        } else if log.first > next {
            HelloVerdict::Missing {
                from: next,
                count: log.first - next,
            }
        } else if log.next > next {
            HelloVerdict::Ahead
        } else if *head == self.cursor.head.prefix() {
            HelloVerdict::InStep
        } else {
            HelloVerdict::Differs
        }
    }

    fn extend(&self, stamps: &Stamps, end: u32, checkpoint: &Checkpoint) -> Verdict {
        let Cursor { epoch, next, head } = self.cursor;
        let skipped = stamps
            .records
            .iter()
            .take_while(|entry| entry.record.end() <= next)
            .count();
        let new = &stamps.records[skipped..];
        // A "lost" record that reaches over the cursor denies records that we have.
        if new.first().is_none_or(|entry| entry.record.seq != next) {
            return Verdict::Fork;
        }
        let mut last = head;
        let heads: Vec<Head> = new
            .iter()
            .map(|entry| {
                last = last.extend(&entry.bytes);
                last
            })
            .collect();
        let agrees = stamps.prev == head.prefix();
        if last != checkpoint.head {
            return if skipped == 0 && agrees {
                Verdict::Invalid(Invalid::Chain)
            } else {
                Verdict::Fork
            };
        }
        Verdict::Append(Append {
            skipped,
            heads,
            cursor: Cursor {
                epoch,
                next: end,
                head: last,
            },
        })
    }
}

/// Checks what a batch says about itself; returns the number after its last record.
fn examine(stamps: &Stamps, device: DeviceId) -> Result<(u32, Checkpoint), Invalid> {
    let mut end = stamps.first;
    for entry in &stamps.records {
        if entry.record.seq != end {
            return Err(Invalid::Order);
        }
        end = entry.record.end();
    }
    if stamps.records.is_empty() {
        return Err(Invalid::Order);
    }
    let (checkpoint, _) = Checkpoint::parse(&stamps.checkpoint).map_err(Invalid::Checkpoint)?;
    if checkpoint.dev != device {
        return Err(Invalid::Device);
    }
    if checkpoint.epoch != stamps.epoch || checkpoint.next != end {
        return Err(Invalid::Coverage);
    }
    Ok((end, checkpoint))
}
