//! SL/1, the wire protocol between smart seals and the gateway.
//!
//! Constraints and invariants:
//! - No clock, no socket, no thread: time is an argument, output is a value. `no_std` with `alloc`.
//! - Every decoder takes hostile bytes: a length cap per message, nesting at most 8, no recursion, no allocation
//!   that an attacker's length field controls. It answers with an error, never with a panic.
//! - Every accepted byte string is deterministic CBOR (RFC 8949 4.2.1): one meaning has one encoding, so that
//!   hashes, signatures and deduplication see what the parser sees.
//! - Unknown keys are refused in signed bodies and ignored in unsigned ones (versioning rule).
//! - Records travel verbatim: nobody re-encodes evidence.
//!
//! Where to look: [`Frame`] is one message; [`ticket`] signed commands; [`statement`] leases, receipts,
//! checkpoints and the key set; [`record`] one press; [`abnormal`] the ten kinds; [`chain`] the log at both ends.
//! [`link`] carries messages over BLE and UART; [`edge`] is what a box and the gateway say over QUIC.
//! The published contract is `sl1.cddl`, `vectors/` and `docs/protocol.md` beside this crate's sources.

#![no_std]
#![warn(missing_docs)]
#![warn(clippy::cast_possible_truncation)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[macro_use]
mod numbers;

pub mod abnormal;
pub mod cbor;
pub mod chain;
pub mod cose;
pub mod edge;
mod envelope;
mod error;
mod id;
pub mod link;
pub mod message;
pub mod record;
pub mod statement;
pub mod ticket;
pub mod topic;

pub use error::{DecodeError, ErrorCode};
pub use id::{DeviceId, ParseDeviceIdError};
pub use message::{Direction, Frame, Message, MessageType};
