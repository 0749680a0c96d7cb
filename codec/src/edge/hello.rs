//! How a box and the gateway begin and end: EDGE-HELLO, EDGE-ACK, the reason of DRAIN, ERR.

use alloc::string::String;

use super::{QueueState, Ways};
use crate::{
    DecodeError, ErrorCode,
    cbor::{Reader, Writer},
};

/// Longest version text.
const MAX_VERSION: usize = 32;
/// Longest text of an error.
const MAX_TEXT: usize = 120;

/// EDGE-HELLO, the first message of a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeHello {
    /// Minor version it speaks.
    pub minor: u8,
    /// Version of its program, at most 32 bytes.
    pub version: String,
    /// Fresh at every start of the program: tells a reconnection from a restart.
    pub run: [u8; 8],
    /// X25519 public key that its link tickets are to name.
    pub key: [u8; 32],
    /// Version of the assignment it holds, 0 for none.
    pub assignment: u32,
    /// Its queue.
    pub queue: QueueState,
    /// Ways it has to seals, see [`Ways`].
    pub ways: Ways,
}

/// EDGE-ACK: only now the box is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeAck {
    /// Minor version of the connection: the lower of both.
    pub minor: u8,
    /// Unix seconds, for logs and display; seals believe signed time only.
    pub now: u32,
    /// Seconds between two STATUS.
    pub report: u16,
    /// Version of the present assignment; it follows by ASSIGN when the box holds another one.
    pub assignment: u32,
}

wire_enum! { @open
    /// Why an end stops.
    DrainReason: u8 {
        /// Its program ends or restarts.
        Stop = 0 => "stops",
        /// Too many boxes are here; come again, maybe elsewhere.
        Balance = 1 => "balance",
        /// The box was suspended or removed.
        Removed = 2 => "removed",
    }
}

/// ERR on the control stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeErr {
    /// Why.
    pub code: ErrorCode,
    /// Try again after this many seconds.
    pub retry: Option<u16>,
    /// For the log of the other end, at most 120 bytes.
    pub text: Option<String>,
}

impl EdgeHello {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(7, &[]);
        w.key(0).uint(self.minor);
        w.key(1).text(&self.version);
        w.key(2).bytes(&self.run);
        w.key(3).bytes(&self.key);
        w.key(4).uint(self.assignment);
        w.key(5);
        self.queue.write(w);
        w.key(6).uint(self.ways.0);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let hello = Self {
            minor: map.required(0, Reader::u8)?,
            version: map.required(1, |r| {
                Ok(r.text_in(0..=MAX_VERSION, "length of a version")?.into())
            })?,
            run: map.required(2, Reader::fixed)?,
            key: map.required(3, Reader::fixed)?,
            assignment: map.required(4, Reader::u32)?,
            queue: map.required(5, QueueState::read)?,
            ways: Ways(map.required(6, Reader::u8)?),
        };
        map.finish()?;
        Ok(hello)
    }
}

impl EdgeAck {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(4, &[]);
        w.key(0).uint(self.minor);
        w.key(1).uint(self.now);
        w.key(2).uint(self.report);
        w.key(3).uint(self.assignment);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let ack = Self {
            minor: map.required(0, Reader::u8)?,
            now: map.required(1, Reader::u32)?,
            report: map.required(2, |r| r.u16_in(1..=u16::MAX, "seconds between reports"))?,
            assignment: map.required(3, Reader::u32)?,
        };
        map.finish()?;
        Ok(ack)
    }
}

impl EdgeErr {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(1, &[self.retry.is_some(), self.text.is_some()]);
        w.key(0).uint(self.code.number());
        w.optional(1, self.retry);
        if let Some(text) = &self.text {
            w.key(2).text(text);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let err = Self {
            code: ErrorCode::from_number(map.required(0, Reader::u16)?),
            retry: map.optional(1, Reader::u16)?,
            text: map.optional(2, |r| {
                Ok(r.text_in(0..=MAX_TEXT, "length of an error's text")?.into())
            })?,
        };
        map.finish()?;
        Ok(err)
    }
}
