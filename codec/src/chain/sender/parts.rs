//! What goes into the seal's end of the log and what comes out of it.

use alloc::vec::Vec;

use crate::{
    DeviceId,
    chain::Head,
    message::Counted,
    record::{Entry, RecordBytes},
    statement::Receipt,
};

/// What became of a press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// A record with this number; write it to flash now.
    Stored(Entry),
    /// The log was full: counted under this index of [`Counted`]; write the counters to flash now.
    Counted(usize),
}

/// Why an acknowledgement may free memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof<'r> {
    /// It came straight from the gateway over mutual TLS.
    Direct,
    /// It carried a receipt that [`Receipt::accept`] let through.
    Receipt(&'r Receipt),
    /// Nothing: it came through a box or a phone. It ends resending on this link and frees nothing.
    None,
}

/// Why an acknowledgement was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// For another epoch of the log.
    #[error("an acknowledgement for another epoch")]
    OtherEpoch,
    /// For records that do not exist yet.
    #[error("an acknowledgement beyond the log")]
    BeyondLog,
    /// The receipt's head is not this log's.
    #[error("a receipt for another log")]
    Fork,
}

/// Where a session's upload begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Upload from this number on.
    Sending(u32),
    /// Nothing to upload.
    InStep,
    /// The server asks for records that were freed: nothing is sent, people must decide.
    ServerBehind {
        /// Number of the first.
        from: u32,
        /// How many.
        count: u32,
    },
    /// The server has records that this log has not: the flash was rolled back. Nothing is sent.
    SealBehind {
        /// Where the server is.
        server: u32,
    },
}

/// Why records cannot be declared lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LossError {
    /// Not between whole records of the log.
    #[error("not a range of records in the log")]
    Range,
    /// The session has not begun, or the records were sent in it: the server may have them.
    #[error("the server may have these records")]
    MaybeStored,
}

/// Everything flash must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// Whose log.
    pub dev: DeviceId,
    /// Its epoch.
    pub epoch: u32,
    /// Records it may hold (L 240, GL 800), without the reserve.
    pub capacity: u16,
    /// Number of the first record held.
    pub first: u32,
    /// Chain head before it.
    pub head: Head,
    /// The records.
    pub records: Vec<RecordBytes>,
    /// Presses that found the log full.
    pub counted: Counted,
}
