//! The log as a chain of hashes, from the seal's flash to the server's table, as two state machines without IO.
//!
//! Invariants:
//! - `h0 = SHA-256("SL1" || dev || epoch)`, `h(i) = SHA-256(h(i-1) || record bytes)`, the full 32 bytes.
//! - The server appends in order only: what lies past a gap is not stored, what lies before the cursor is never
//!   replaced. Other content at a known number is a fork, never a duplicate.
//! - The seal frees a record only when the server proved that it is stored.

mod head;
mod receiver;
mod sender;

pub use head::Head;
pub use receiver::{Append, Cursor, HelloVerdict, Invalid, LogReceiver, Verdict};
pub use sender::{
    AckError, Appended, LogSender, LogState, LossError, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, Proof,
    RESERVE, Reconciled, WINDOW,
};
