//! What an edge box and the gateway say to each other over QUIC.
//!
//! Constraints and invariants:
//! - Mutual TLS 1.3, ALPN [`ALPN`], a CA of its own for boxes. Who a box is comes from its certificate alone.
//! - The box opens one bidirectional *control* stream first ([`Control`]); nothing is "connected" before the gateway's
//!   EDGE-ACK: a QUIC handshake succeeds at a box whose certificate the gateway is about to refuse.
//! - It then opens one bidirectional stream for each seal it works for ([`SealFrame`]), checked by the gateway against the
//!   assignment. Messages between seal and gateway travel in it verbatim; a box forges nothing it cannot sign.
//! - *Received* means: the box has it durably (RECEIVED, to the seal). *Stored* means: the gateway committed it (STORED, to
//!   the box). Only a signed receipt in LOG-ACK, which the box passes on, frees a seal's memory.
//! - Frames are length-prefixed and capped ([`StreamDecoder`]); bodies are deterministic CBOR, unknown keys passed over.

mod assignment;
mod control;
mod hello;
mod report;
mod seal_stream;
mod stream;

pub use assignment::{Assign, Assigned, MAX_ASSIGNED, MAX_PARTS, RenewedTicket};
pub use control::{Control, ControlFrame, ControlType};
pub use hello::{DrainReason, EdgeAck, EdgeErr, EdgeHello};
pub use report::{
    EdgeStatus, MAX_SEEN, Nearby, Presence, QueueState, Scan, Seen, Want, WantReason,
};
pub use seal_stream::{LinkState, PassResult, SealFrame, SealOpen};
pub use stream::{MAX_CONTROL, MAX_SEAL_FRAME, StreamDecoder, StreamError, stream_frame};

/// Minor version of the streams this crate speaks.
pub const MINOR: u8 = 0;
/// The application protocol of boxes.
pub const ALPN: &[u8] = b"sealgate-edge/1";

/// Ways to a seal, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Ways(pub u8);

impl Ways {
    /// Over BLE.
    pub const BLE: u8 = 1;
    /// On a serial line.
    pub const UART: u8 = 2;

    /// Whether all these bits are set.
    #[must_use]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }
}
