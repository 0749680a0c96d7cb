//! What a queue's storage must do, whatever keeps it: one batch of changes is one transaction.

use sealgate_codec::{DeviceId, edge::QueueState};

/// Bytes counted for a message beside its own: its row, its index, its share of a page.
pub const OVERHEAD: u64 = 64;

/// A change. A batch of them is applied whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A message of a seal, which came by the link with this number.
    Append {
        /// The seal.
        dev: DeviceId,
        /// Number of the link.
        term: u32,
        /// The message, verbatim.
        body: Vec<u8>,
        /// Whether it may use the reserve that is kept for what is small and rare.
        reserve: bool,
    },
    /// The gateway has everything up to this number.
    Stored {
        /// The seal.
        dev: DeviceId,
        /// Highest number.
        upto: u64,
    },
    /// A new link to a seal needs a number.
    Term {
        /// The seal.
        dev: DeviceId,
    },
    /// Something to be kept under a name.
    Put {
        /// Its name.
        name: &'static str,
        /// What is kept.
        value: Vec<u8>,
    },
}

/// What became of an [`Op`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The message has this number.
    At(u64),
    /// The queue is full; the message was not taken.
    Full,
    /// So many messages were dropped.
    Dropped(u32),
    /// The number of the link.
    Term(u32),
    /// Kept.
    Kept,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its number in the seal's queue.
    pub pos: u64,
    /// Number of the link it came by.
    pub term: u32,
    /// The message, verbatim.
    pub body: Vec<u8>,
}

/// What waits for one seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Number of the first message, 0 for none.
    pub first: u64,
    /// How many.
    pub messages: u32,
    /// Number of the last link.
    pub term: u32,
}

/// Why the queue does not work.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The file is not a queue, or not as it was written.
    #[error("{file}: the queue is damaged: {detail}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// The file is of a later version of this program.
    #[error("{file}: version {version} of the queue is newer than this program")]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
    /// The storage cannot promise what the queue promises.
    #[error("{file}: the storage refused {what}")]
    Unsafe {
        /// The file.
        file: String,
        /// What it refused.
        what: String,
    },
    /// Reading or writing failed; nothing of the batch is stored.
    #[error("the queue cannot be read or written: {0}")]
    Io(String),
    /// The queue's thread is gone.
    #[error("the queue has ended")]
    Ended,
}

/// Storage. Used by one thread.
pub trait Store: Send + 'static {
    /// Applies a batch in one transaction; when this returns, it survives a power cut. `now` is unix milliseconds.
    ///
    /// # Errors
    /// Nothing of the batch is stored.
    fn apply(&mut self, batch: &[Op], now: u64) -> Result<Vec<Done>, QueueError>;

    /// Messages of a seal behind `after`, in order, up to so many bytes, at least one if there is one.
    ///
    /// # Errors
    /// Reading failed, or what was read is not what was written.
    fn read(&mut self, dev: DeviceId, after: u64, bytes: usize) -> Result<Vec<Queued>, QueueError>;

    /// Every seal that has anything here.
    ///
    /// # Errors
    /// Reading failed.
    fn backlogs(&mut self) -> Result<Vec<(DeviceId, Backlog)>, QueueError>;

    /// What is kept under a name.
    ///
    /// # Errors
    /// Reading failed.
    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, QueueError>;

    /// How full it is. `now` is unix milliseconds.
    fn state(&self, now: u64) -> QueueState;

    /// Gives back space, a little at a time; whether there is more to do.
    fn tidy(&mut self) -> bool;
}

/// The limit for an append: what is small and rare has the last sixteenth for itself.
pub(super) const fn limit_for(limit: u64, reserve: bool) -> u64 {
    if reserve { limit } else { limit - limit / 16 }
}

/// The first number for a seal in a queue that knows nothing of it. A queue that was lost and begun anew must not give
/// numbers again that the gateway already has; milliseconds rise faster than any seal sends.
pub(super) const fn first_position(now: u64) -> u64 {
    now
}
