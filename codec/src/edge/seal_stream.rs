//! A seal's stream: `[kind, ...]`, one array a frame.
//!
//! Order: the box sends OPEN first; the gateway answers ACCEPT or REFUSE. Then MSG and LINK go up, SEND and STORED down, in
//! any order. The box may end the stream when nothing waits, and open it again; numbers of its queue go on.

use alloc::vec::Vec;

use super::report::{read_rssi, read_way, write_rssi};
use crate::{
    DecodeError, DeviceId, ErrorCode,
    cbor::{Reader, Writer},
    message::MAX_MESSAGE,
    record::LinkKind,
};

/// The head of a seal's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealOpen {
    /// The seal; the gateway checks it against the assignment.
    pub dev: DeviceId,
    /// How its link is.
    pub link: LinkState,
    /// Number of the first message of this seal in the box's queue, 0 for an empty queue.
    pub queued: u64,
}

/// How the link between box and seal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkState {
    /// Whether a link is open. Without one only queued messages come.
    pub linked: bool,
    /// The way of the present or last link.
    pub way: LinkKind,
    /// Number of the link: rises with every link this box opens to this seal, also through restarts of the box. What
    /// comes with an older number is history. 0: never linked.
    pub term: u32,
    /// Signal strength in dBm.
    pub rssi: Option<i8>,
}

impl LinkState {
    fn write(&self, w: &mut Writer) {
        w.bool(self.linked).uint(self.way.number()).uint(self.term);
        write_rssi(self.rssi, w);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            linked: r.bool()?,
            way: read_way(r)?,
            term: r.u32()?,
            rssi: read_rssi(r)?,
        })
    }
}

wire_enum! { @closed
    /// What became of a message for the seal.
    PassResult: u8 {
        /// The seal has it.
        Passed = 0 => "passed",
        /// The link is not open, or ended before the seal had it; it may or may not have it.
        NoLink = 1 => "no link",
        /// The seal takes no such message on a restricted link.
        Restricted = 2 => "restricted",
    }
}

/// A frame of a seal's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealFrame {
    /// 0, up, first: whose stream it is.
    Open(SealOpen),
    /// 1, up: a message of the seal.
    Msg {
        /// Its number in the box's queue for this seal, rising from 1 with gaps allowed; 0: not queued, worth nothing
        /// later (STATUS, HELLO, LEASE-REQ).
        pos: u64,
        /// Number of the link it came by.
        term: u32,
        /// The message, verbatim.
        message: Vec<u8>,
    },
    /// 2, up: the link changed.
    Link(LinkState),
    /// 3, up: what became of SEND `n`.
    Pass {
        /// Number of the SEND.
        n: u32,
        /// What became of it.
        result: PassResult,
    },
    /// 16, down: the stream is accepted. Everything up to `stored` need not come again.
    Accept {
        /// Highest number of the box's queue that the gateway has, 0 for none or unknown.
        stored: u64,
    },
    /// 17, down: a message for the seal, for the link with this number and none later.
    Send {
        /// Rising within the stream.
        n: u32,
        /// Number of the link it is for.
        term: u32,
        /// The message, verbatim.
        message: Vec<u8>,
    },
    /// 18, down: everything up to this number is committed, or refused for good; the box drops it.
    Stored {
        /// Highest number.
        upto: u64,
    },
    /// 19, down: the stream is refused or ended.
    Refuse {
        /// Why: `NotUser` for a seal that is not assigned, `Suspended`, `RetryLater`, `Range` for a broken order.
        code: ErrorCode,
        /// Try again after this many seconds.
        retry: Option<u16>,
    },
}

impl SealFrame {
    /// The bytes, without the stream's length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(64);
        match self {
            Self::Open(open) => {
                w.array(7).uint(0_u8).bytes(open.dev.as_bytes());
                open.link.write(&mut w);
                w.uint(open.queued);
            }
            Self::Msg { pos, term, message } => {
                w.array(4).uint(1_u8).uint(*pos).uint(*term).bytes(message);
            }
            Self::Link(link) => {
                w.array(5).uint(2_u8);
                link.write(&mut w);
            }
            Self::Pass { n, result } => {
                w.array(3).uint(3_u8).uint(*n).uint(result.number());
            }
            Self::Accept { stored } => {
                w.array(2).uint(16_u8).uint(*stored);
            }
            Self::Send { n, term, message } => {
                w.array(4).uint(17_u8).uint(*n).uint(*term).bytes(message);
            }
            Self::Stored { upto } => {
                w.array(2).uint(18_u8).uint(*upto);
            }
            Self::Refuse { code, retry } => {
                w.array(3).uint(19_u8).uint(code.number());
                match retry {
                    Some(retry) => w.uint(*retry),
                    None => w.null(),
                };
            }
        }
        w.into_bytes()
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// Not exactly one canonical frame. Messages inside are not looked into.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::unsigned(bytes, super::MAX_SEAL_FRAME)?;
        let length = r.array_in(2..=7, "items of a frame")?;
        let kind = r.u64()?;
        match (kind, length) {
            (0, 7) => Ok(Self::Open(SealOpen {
                dev: DeviceId::new(r.fixed()?),
                link: LinkState::read(&mut r)?,
                queued: r.u64()?,
            })),
            (1, 4) => Ok(Self::Msg {
                pos: r.u64()?,
                term: r.u32()?,
                message: read_message(&mut r)?,
            }),
            (2, 5) => LinkState::read(&mut r).map(Self::Link),
            (3, 3) => Ok(Self::Pass {
                n: r.u32()?,
                result: PassResult::from_number(r.u8()?).ok_or(DecodeError::Range("result"))?,
            }),
            (16, 2) => Ok(Self::Accept { stored: r.u64()? }),
            (17, 4) => Ok(Self::Send {
                n: r.u32()?,
                term: r.u32()?,
                message: read_message(&mut r)?,
            }),
            (18, 2) => Ok(Self::Stored { upto: r.u64()? }),
            (19, 3) => Ok(Self::Refuse {
                code: ErrorCode::from_number(r.u16()?),
                retry: if r.null()? { None } else { Some(r.u16()?) },
            }),
            (0..=3 | 16..=19, _) => Err(DecodeError::Malformed("an array of another length")),
            _ => Err(DecodeError::UnknownType(kind)),
        }
    }

    /// Whether the box sends it.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(
            self,
            Self::Open(_) | Self::Msg { .. } | Self::Link(_) | Self::Pass { .. }
        )
    }
}

fn read_message(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(r.bytes_in(1..=MAX_MESSAGE, "length of a message")?.to_vec())
}
