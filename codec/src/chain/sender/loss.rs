//! Records that flash no longer gives back.

use alloc::vec::Vec;
use core::ops::Range;

use super::{LogSender, LossError};
use crate::record::{Entry, Record};

impl LogSender {
    /// Flash no longer gives these records back: one signed "lost" record takes their place, and the chain goes on
    /// from it. Only for records the server cannot have.
    ///
    /// # Errors
    /// The server may have them, or they are not whole records of the log.
    pub fn declare_lost(
        &mut self,
        range: Range<u32>,
        boot: u32,
        up: u32,
    ) -> Result<Entry, LossError> {
        let upload = self.upload.as_ref().ok_or(LossError::MaybeStored)?;
        if range.start < upload.unsent {
            return Err(LossError::MaybeStored);
        }
        let from = self.index_of(range.start);
        let to = self.index_of(range.end);
        let whole = self.starts_at(from, range.start) && self.starts_at(to, range.end);
        let count = range.end.saturating_sub(range.start);
        let lost = Record::lost(range.start, count, boot, up).ok_or(LossError::Range)?;
        if !whole {
            return Err(LossError::Range);
        }
        let entry = Entry::new(lost);
        let rest: Vec<Entry> = self.slots.range(to..).map(|slot| slot.entry).collect();
        self.slots.truncate(from);
        self.push(entry);
        for entry in rest {
            self.push(entry);
        }
        Ok(entry)
    }
}
