//! Live sessions of devices: registry (terms), one actor a session, wire to domain translation, ingest, dispatch.

pub mod link;

mod fleet;
mod flight;
mod ingest;
mod mailbox;
mod rate;
mod registry;

pub use ingest::Fault;
pub use mailbox::Outgoing;
pub use rate::Rate;
