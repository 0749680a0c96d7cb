//! What the log is now: for HELLO, STATUS, the screen.

use super::LogSender;
use crate::{
    chain::Head,
    message::{Counted, LogPosition},
    record::Entry,
};

impl LogSender {
    /// Number the next record will get.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.slots
            .back()
            .map_or(self.base.next, |slot| slot.entry.record.end())
    }

    /// Chain head after the newest record.
    #[must_use]
    pub fn head(&self) -> Head {
        self.slots.back().map_or(self.base.head, |slot| slot.head)
    }

    /// Epoch of the log.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.base.epoch
    }

    /// What HELLO says about the log.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        LogPosition {
            first: self.base.next,
            next: self.next(),
            capacity: self.capacity,
        }
    }

    /// Presses that found the log full.
    #[must_use]
    pub const fn counted(&self) -> &Counted {
        &self.counted
    }

    /// Records held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether stamping must be refused ("storage full").
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.slots.len() >= usize::from(self.capacity)
    }

    /// How full it is, in percent of its capacity; warn at 80.
    #[must_use]
    pub fn fill_percent(&self) -> u16 {
        let percent = self.slots.len() * 100 / usize::from(self.capacity.max(1));
        u16::try_from(percent).unwrap_or(u16::MAX)
    }

    /// The records held, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().map(|slot| &slot.entry)
    }
}
