//! Signed statements that are not commands: the key set (by the root), leases, receipts and link tickets (by the
//! platform), checkpoints (by the seal).
//!
//! Every payload is a canonical map with integer keys; an unknown key is refused, because a signed statement that is
//! only half understood must not count.

mod checkpoint;
mod keyset;
mod lease;
mod link;
mod receipt;

pub use checkpoint::{Checkpoint, Claim, verify_event};
pub use keyset::{KeyEntry, KeySet, MAX_KEYS, RootKey};
pub use lease::{Lease, LeaseView};
pub use link::{LinkRole, LinkTicket, LinkView};
pub use receipt::{Receipt, ReceiptView};
