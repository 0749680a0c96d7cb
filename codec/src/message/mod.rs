//! Messages: `[type, mid, body]`, or `[type, mid, body, re]` when they answer one.
//!
//! Invariants:
//! - [`Frame::decode`] looks at the type first and refuses what is longer than that type allows before it reads on.
//! - Bodies are unsigned maps: unknown keys are passed over. CMD's body is a byte string, a signed ticket.
//! - `re` is the `mid` of the message answered: required, allowed or absent by type.

mod command;
mod hello;
mod log;
mod ota;
mod other;
mod session;

use alloc::vec::Vec;

pub use command::{CmdAck, CmdStatus};
pub use hello::{Caps, Cell, Counted, Hello, LogPosition, ResetCause};
pub use log::{Event, Gap, LogAck, LogPull, MAX_GAPS, MAX_RECORDS, Stamps};
pub use ota::{MAX_BLOCK, OtaBlk, OtaOffer, OtaReq, OtaResult, OtaStat, OtaState};
pub use other::{ErrMsg, FpProg, Status};
pub use session::{Bye, ByeReason, HelloAck, LeaseDown, LeaseReq, Life};

use crate::{
    DecodeError,
    cbor::{Reader, Writer},
    envelope,
};

/// Longest message of any type.
pub const MAX_MESSAGE: usize = 2304;
/// Longest COSE_Sign1 inside a message.
pub const MAX_COSE: usize = 1400;
/// Minor version this crate speaks.
pub const MINOR: u8 = 0;

wire_enum! { @closed
    /// The types of messages this crate speaks. 96 to 99 are those of links, see [`crate::link`];
    /// 112 and 113 (enrolment) are taken.
    MessageType: u8 {
        /// A seal opens its session.
        Hello = 1 => "HELLO",
        /// The answer to it.
        HelloAck = 2 => "HELLO-ACK",
        /// A seal leaves.
        Bye = 3 => "BYE",
        /// A fresh lease.
        Lease = 4 => "LEASE",
        /// A seal asks for a lease.
        LeaseReq = 5 => "LEASE-REQ",
        /// Records.
        Stamps = 16 => "STAMPS",
        /// Records are stored.
        LogAck = 17 => "LOG-ACK",
        /// Send records again.
        LogPull = 18 => "LOG-PULL",
        /// An abnormal press, at once.
        Event = 19 => "EVENT",
        /// A signed command.
        Cmd = 32 => "CMD",
        /// What became of a command.
        CmdAck = 33 => "CMD-ACK",
        /// A firmware image is there.
        OtaOffer = 48 => "OTA-OFFER",
        /// Send blocks.
        OtaReq = 49 => "OTA-REQ",
        /// A block.
        OtaBlk = 50 => "OTA-BLK",
        /// How the update goes.
        OtaStat = 51 => "OTA-STAT",
        /// How a fingerprint enrolment goes.
        FpProg = 64 => "FP-PROG",
        /// Battery and position.
        Status = 80 => "STATUS",
        /// A message was refused.
        Err = 127 => "ERR",
    }
}

/// Who sends a type of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The seal.
    Up,
    /// The gateway.
    Down,
    /// Either.
    Both,
}

/// Whether a type answers another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Always; `re` is required.
    Always,
    /// Sometimes; `re` is allowed.
    Sometimes,
    /// Never; `re` is refused.
    Never,
}

impl MessageType {
    /// Who sends it.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Hello
            | Self::Bye
            | Self::LeaseReq
            | Self::Stamps
            | Self::Event
            | Self::CmdAck
            | Self::OtaReq
            | Self::OtaStat
            | Self::FpProg
            | Self::Status => Direction::Up,
            Self::HelloAck
            | Self::Lease
            | Self::LogAck
            | Self::LogPull
            | Self::Cmd
            | Self::OtaOffer
            | Self::OtaBlk => Direction::Down,
            Self::Err => Direction::Both,
        }
    }

    /// Whether it answers another message.
    #[must_use]
    pub const fn answers(self) -> Answers {
        match self {
            Self::HelloAck | Self::LogAck | Self::CmdAck => Answers::Always,
            Self::Lease | Self::Err => Answers::Sometimes,
            _ => Answers::Never,
        }
    }

    /// Longest message of this type in bytes, with room for keys of later versions.
    #[must_use]
    pub const fn cap(self) -> usize {
        match self {
            Self::Hello | Self::HelloAck | Self::LogAck | Self::Lease => 512,
            Self::Stamps => MAX_MESSAGE,
            Self::Event | Self::Status => 256,
            Self::Cmd => 1536,
            Self::OtaOffer => 1024,
            Self::OtaBlk => 2112,
            Self::Bye
            | Self::LeaseReq
            | Self::LogPull
            | Self::CmdAck
            | Self::OtaReq
            | Self::OtaStat
            | Self::FpProg
            | Self::Err => 96,
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each variant is documented by MessageType and by its body"
)]
pub enum Message {
    Hello(Hello),
    HelloAck(HelloAck),
    Bye(Bye),
    Lease(LeaseDown),
    LeaseReq(LeaseReq),
    Stamps(Stamps),
    LogAck(LogAck),
    LogPull(LogPull),
    Event(Event),
    /// A signed command: COSE_Sign1, see [`crate::ticket`].
    Cmd(Vec<u8>),
    CmdAck(CmdAck),
    OtaOffer(OtaOffer),
    OtaReq(OtaReq),
    OtaBlk(OtaBlk),
    OtaStat(OtaStat),
    FpProg(FpProg),
    Status(Status),
    Err(ErrMsg),
}

impl Message {
    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        match self {
            Self::Hello(_) => MessageType::Hello,
            Self::HelloAck(_) => MessageType::HelloAck,
            Self::Bye(_) => MessageType::Bye,
            Self::Lease(_) => MessageType::Lease,
            Self::LeaseReq(_) => MessageType::LeaseReq,
            Self::Stamps(_) => MessageType::Stamps,
            Self::LogAck(_) => MessageType::LogAck,
            Self::LogPull(_) => MessageType::LogPull,
            Self::Event(_) => MessageType::Event,
            Self::Cmd(_) => MessageType::Cmd,
            Self::CmdAck(_) => MessageType::CmdAck,
            Self::OtaOffer(_) => MessageType::OtaOffer,
            Self::OtaReq(_) => MessageType::OtaReq,
            Self::OtaBlk(_) => MessageType::OtaBlk,
            Self::OtaStat(_) => MessageType::OtaStat,
            Self::FpProg(_) => MessageType::FpProg,
            Self::Status(_) => MessageType::Status,
            Self::Err(_) => MessageType::Err,
        }
    }

    /// Who sends it.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.kind().direction()
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::Hello(body) => body.write(w),
            Self::HelloAck(body) => body.write(w),
            Self::Bye(body) => body.write(w),
            Self::Lease(body) => body.write(w),
            Self::LeaseReq(body) => body.write(w),
            Self::Stamps(body) => body.write(w),
            Self::LogAck(body) => body.write(w),
            Self::LogPull(body) => body.write(w),
            Self::Event(body) => body.write(w),
            Self::Cmd(cose) => {
                w.bytes(cose);
            }
            Self::CmdAck(body) => body.write(w),
            Self::OtaOffer(body) => body.write(w),
            Self::OtaReq(body) => body.write(w),
            Self::OtaBlk(body) => body.write(w),
            Self::OtaStat(body) => body.write(w),
            Self::FpProg(body) => body.write(w),
            Self::Status(body) => body.write(w),
            Self::Err(body) => body.write(w),
        }
    }

    fn read(kind: MessageType, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            MessageType::Hello => Self::Hello(Hello::read(r)?),
            MessageType::HelloAck => Self::HelloAck(HelloAck::read(r)?),
            MessageType::Bye => Self::Bye(Bye::read(r)?),
            MessageType::Lease => Self::Lease(LeaseDown::read(r)?),
            MessageType::LeaseReq => Self::LeaseReq(LeaseReq::read(r)?),
            MessageType::Stamps => Self::Stamps(Stamps::read(r)?),
            MessageType::LogAck => Self::LogAck(LogAck::read(r)?),
            MessageType::LogPull => Self::LogPull(LogPull::read(r)?),
            MessageType::Event => Self::Event(Event::read(r)?),
            MessageType::Cmd => Self::Cmd(read_cose(r)?),
            MessageType::CmdAck => Self::CmdAck(CmdAck::read(r)?),
            MessageType::OtaOffer => Self::OtaOffer(OtaOffer::read(r)?),
            MessageType::OtaReq => Self::OtaReq(OtaReq::read(r)?),
            MessageType::OtaBlk => Self::OtaBlk(OtaBlk::read(r)?),
            MessageType::OtaStat => Self::OtaStat(OtaStat::read(r)?),
            MessageType::FpProg => Self::FpProg(FpProg::read(r)?),
            MessageType::Status => Self::Status(Status::read(r)?),
            MessageType::Err => Self::Err(ErrMsg::read(r)?),
        })
    }
}

/// A message with its number, and the number of the message it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Number of this message, chosen by its sender, counting round.
    pub mid: u16,
    /// Number of the message it answers; see [`MessageType::answers`].
    pub re: Option<u16>,
    /// What it says.
    pub message: Message,
}

impl Frame {
    /// A message that answers none.
    #[must_use]
    pub const fn new(mid: u16, message: Message) -> Self {
        Self {
            mid,
            re: None,
            message,
        }
    }

    /// A message that answers the one numbered `re`.
    #[must_use]
    pub const fn reply(mid: u16, re: u16, message: Message) -> Self {
        Self {
            mid,
            re: Some(re),
            message,
        }
    }

    /// The bytes. A value outside its range is written as it is; the receiver refuses it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let number = self.message.kind().number();
        envelope::encode(number, (self.mid, self.re), 160, |w| self.message.write(w))
    }

    /// Reads one message.
    ///
    /// # Errors
    /// The bytes are not exactly one canonical message of a known type, within its cap, its values in range.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_counting(bytes).map(|(frame, _)| frame)
    }

    /// Reads one message, and counts the unknown keys passed over: a peer of a later version.
    ///
    /// # Errors
    /// As [`Frame::decode`].
    pub fn decode_counting(bytes: &[u8]) -> Result<(Self, u32), DecodeError> {
        let kind = peek_type(bytes)?;
        let mut r = Reader::unsigned(bytes, kind.cap())?;
        let length = r.array_in(3..=4, "items of a message")?;
        r.u8()?;
        let mid = r.u16()?;
        let message = Message::read(kind, &mut r)?;
        let re = if length == 4 { Some(r.u16()?) } else { None };
        match (kind.answers(), re) {
            (Answers::Always, None) => return Err(DecodeError::Malformed("an answer to nothing")),
            (Answers::Never, Some(_)) => {
                return Err(DecodeError::Malformed("this type answers nothing"));
            }
            _ => {}
        }
        Ok((Self { mid, re, message }, r.ignored()))
    }

    /// The type and number of a message without reading on, as far as the first bytes tell: for answering bytes
    /// that were refused.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<(MessageType, u16)> {
        let kind = peek_type(bytes).ok()?;
        let mut decoder = minicbor::Decoder::new(bytes);
        decoder.array().ok()?;
        decoder.u8().ok()?;
        Some((kind, decoder.u16().ok()?))
    }
}

/// Reads the type from the first two or three bytes.
fn peek_type(bytes: &[u8]) -> Result<MessageType, DecodeError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(DecodeError::TooLarge {
            len: bytes.len(),
            cap: MAX_MESSAGE,
        });
    }
    let number = match bytes {
        [0x83 | 0x84, number @ 0..=23, ..] | [0x83 | 0x84, 24, number @ 24..=255, ..] => *number,
        [0x83 | 0x84, 24, _, ..] => {
            return Err(DecodeError::NotCanonical("a longer integer than needed"));
        }
        [] | [0x83 | 0x84] | [0x83 | 0x84, 24] => return Err(DecodeError::Truncated),
        _ => return Err(DecodeError::Malformed("not a message")),
    };
    MessageType::from_number(number).ok_or(DecodeError::UnknownType(u64::from(number)))
}

/// A COSE_Sign1 inside a body; what is in it is checked by who needs it.
fn read_cose(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(r.bytes_in(1..=MAX_COSE, "length of a signed body")?
        .to_vec())
}
