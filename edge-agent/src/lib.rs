//! The box of a branch office: it finds its seals over BLE and on serial lines, opens links to them, and bridges them to the
//! gateway over one QUIC connection.
//!
//! Constraints and invariants:
//! - The box forges nothing: records, commands, leases and receipts are signed by others and pass through verbatim. It can
//!   withhold and delay, and seals stop by themselves when their lease is over.
//! - *Received* is said to a seal after the queue's commit, never before; the queue drops after the gateway's *stored*.
//! - Only assigned seals are linked, at most six over BLE, one connect at a time.
//! - What comes from the radio, a line, the network or a file may be anything: it ends in an error with a name, a closed
//!   link or a closed stream, never in the end of the program.

pub mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod enroll;
pub mod local;
pub mod metrics;
pub mod notify;
pub mod port;
pub mod queue;
pub mod report;
pub mod seal;
pub mod tasks;
pub mod uplink;
