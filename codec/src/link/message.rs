//! LINK-OPEN, LINK-CHAL, LINK-OK, RECEIVED: what the two ends of a link say to each other, never to the gateway.
//!
//! Same shape and rules as the messages of [`crate::message`]: `[type, mid, body]` or `[type, mid, body, re]`.

use alloc::vec::Vec;

use crate::{
    DecodeError, ErrorCode,
    cbor::{Reader, Writer},
    envelope,
    message::MAX_COSE,
};

/// Suite 1: `Noise_IK_25519_ChaChaPoly_SHA256`, the prologue the SHA-256 of the ticket.
pub const SUITE_NOISE_IK: u8 = 1;
/// Longest handshake message inside LINK-OPEN and LINK-CHAL.
pub const MAX_HANDSHAKE: usize = 256;
/// Longest link message.
pub const MAX_LINK_FRAME: usize = 768;

wire_enum! { @closed
    /// The types of link messages.
    LinkType: u8 {
        /// A box or phone wants in.
        Open = 96 => "LINK-OPEN",
        /// The seal's half of the handshake.
        Chal = 97 => "LINK-CHAL",
        /// In, or refused.
        Ok = 98 => "LINK-OK",
        /// The box has records durably.
        Received = 99 => "RECEIVED",
    }
}

impl LinkType {
    /// Longest message of this type in bytes, with room for keys of later versions.
    #[must_use]
    pub const fn cap(self) -> usize {
        match self {
            Self::Open => MAX_LINK_FRAME,
            Self::Chal => 320,
            Self::Ok | Self::Received => 96,
        }
    }

    /// Whether it answers another message.
    #[must_use]
    pub const fn answers(self) -> bool {
        matches!(self, Self::Chal | Self::Ok)
    }
}

wire_enum! { @closed
    /// What LINK-OK says.
    LinkStatus: u8 {
        /// The link is open.
        Open = 0 => "open",
        /// Open for records and what leads to signed time; the seal has none to check the ticket's end with.
        Restricted = 1 => "restricted",
        /// Refused; the error says why.
        Refused = 2 => "refused",
    }
}

/// Type 96, box to seal, in the clear: the ticket is no secret, and the handshake binds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkOpen {
    /// Which handshake: [`SUITE_NOISE_IK`].
    pub suite: u8,
    /// The handshake's first message.
    pub hs1: Vec<u8>,
    /// COSE_Sign1, see [`crate::statement::LinkTicket`].
    pub ticket: Vec<u8>,
}

/// Type 97, seal to box, in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkChal {
    /// The handshake's second message.
    pub hs2: Vec<u8>,
}

/// Type 98, seal to box: in the clear when it refuses, else the first message of the encrypted link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkOk {
    /// In or not.
    pub status: LinkStatus,
    /// Why not.
    pub err: Option<ErrorCode>,
}

/// Type 99, box to seal, encrypted: the box has everything below `upto` durably, the gateway not yet. The seal stops
/// resending on this link and frees nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Epoch of the log.
    pub epoch: u32,
    /// Everything below this number is in the box's queue.
    pub upto: u32,
}

/// What a link message says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is documented by its body")]
pub enum LinkMessage {
    Open(LinkOpen),
    Chal(LinkChal),
    Ok(LinkOk),
    Received(Received),
}

impl LinkMessage {
    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> LinkType {
        match self {
            Self::Open(_) => LinkType::Open,
            Self::Chal(_) => LinkType::Chal,
            Self::Ok(_) => LinkType::Ok,
            Self::Received(_) => LinkType::Received,
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::Open(body) => {
                w.map(3, &[]);
                w.key(0).uint(body.suite);
                w.key(1).bytes(&body.hs1);
                w.key(2).bytes(&body.ticket);
            }
            Self::Chal(body) => {
                w.map(1, &[]);
                w.key(0).bytes(&body.hs2);
            }
            Self::Ok(body) => {
                w.map(1, &[body.err.is_some()]);
                w.key(0).uint(body.status.number());
                w.optional(1, body.err.map(ErrorCode::number));
            }
            Self::Received(body) => {
                w.map(2, &[]);
                w.key(0).uint(body.epoch);
                w.key(1).uint(body.upto);
            }
        }
    }

    fn read(kind: LinkType, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let handshake = |r: &mut Reader<'_>| {
            Ok(
                r.bytes_in(1..=MAX_HANDSHAKE, "length of a handshake message")?
                    .to_vec(),
            )
        };
        let mut map = r.map()?;
        let message = match kind {
            LinkType::Open => Self::Open(LinkOpen {
                suite: map.required(0, Reader::u8)?,
                hs1: map.required(1, handshake)?,
                ticket: map.required(2, |r| {
                    Ok(r.bytes_in(1..=MAX_COSE, "length of a signed body")?
                        .to_vec())
                })?,
            }),
            LinkType::Chal => Self::Chal(LinkChal {
                hs2: map.required(0, handshake)?,
            }),
            LinkType::Ok => Self::Ok(LinkOk {
                status: map.required(0, |r| {
                    LinkStatus::from_number(r.u8()?).ok_or(DecodeError::Range("link status"))
                })?,
                err: map.optional(1, Reader::u16)?.map(ErrorCode::from_number),
            }),
            LinkType::Received => Self::Received(Received {
                epoch: map.required(0, Reader::u32)?,
                upto: map.required(1, Reader::u32)?,
            }),
        };
        map.finish()?;
        Ok(message)
    }
}

/// A link message with its number, and the number of the message it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFrame {
    /// Number of this message.
    pub mid: u16,
    /// Number of the LINK-OPEN it answers: LINK-CHAL and LINK-OK.
    pub re: Option<u16>,
    /// What it says.
    pub message: LinkMessage,
}

impl LinkFrame {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let number = self.message.kind().number();
        envelope::encode(number, (self.mid, self.re), 64, |w| self.message.write(w))
    }

    /// Reads one link message.
    ///
    /// # Errors
    /// The bytes are not exactly one canonical link message, within its cap, its values in range.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_counting(bytes).map(|(frame, _)| frame)
    }

    /// Reads one link message, and counts the unknown keys passed over: a peer of a later version.
    ///
    /// # Errors
    /// As [`LinkFrame::decode`].
    pub fn decode_counting(bytes: &[u8]) -> Result<(Self, u32), DecodeError> {
        let mut r = Reader::unsigned(bytes, MAX_LINK_FRAME)?;
        let (answers, kind, mid) =
            envelope::head(&mut r, bytes.len(), LinkType::from_number, LinkType::cap)?;
        let message = LinkMessage::read(kind, &mut r)?;
        let re = if answers { Some(r.u16()?) } else { None };
        if kind.answers() != re.is_some() {
            return Err(DecodeError::Malformed(
                "an answer to nothing, or to what has none",
            ));
        }
        Ok((Self { mid, re, message }, r.ignored()))
    }

    /// Whether bytes of an open link are a link message, not one for the seal's session: by their type alone.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        matches!(bytes, [0x83 | 0x84, 24, 96..=99, ..])
    }
}
