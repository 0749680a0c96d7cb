//! The only SQL. One file a noun, one set of entities for SQLite and PostgreSQL, chosen by URL.
//!
//! Invariants:
//! - Every change runs in [`Store::write`], one transaction, and leaves its audit row ([`Tx::audit`]) and outbox rows
//!   ([`Tx::emit`]) in it. Nothing is acknowledged to anybody before that transaction has committed.
//! - SQLite has one writer at a time (a fair gate with a priority lane), `WAL` and `synchronous = FULL`, read back at
//!   start; readers are read-only connections. PostgreSQL repeats a transaction that lost a race.
//! - Stamp rows and audit rows are never updated.
//! - Rows carry plain columns; decisions are made on domain values converted at this boundary.

pub mod audit;
pub mod code;
pub mod command;
mod connect;
pub mod device;
pub mod entity;
mod error;
pub mod follower;
mod gate;
pub mod grant;
pub mod idempotency;
mod ids;
pub mod ingest;
pub mod log;
pub mod member;
mod meter;
mod migrate;
pub mod organization;
mod outbox;
mod pools;
pub mod reading_mark;
pub mod report;
pub mod retention;
mod rows;
pub mod stamp;
mod tls;
pub mod token;
mod tx;
mod wal;

pub use audit::Audit;
pub use connect::{Lane, Store};
pub use error::StoreError;
pub use ids::fresh;
pub use migrate::Migrated;
pub use outbox::{Event, EventRow, OutboxFilter, OutboxPage, Topic};
pub use pools::file;
pub use tx::{Reader, Tx};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
