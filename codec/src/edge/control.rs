//! The control stream: `[type, mid, body]` or `[type, mid, body, re]`, like the messages of seals, with types of its own.

use alloc::vec::Vec;

use super::{
    Assign, DrainReason, EdgeAck, EdgeErr, EdgeHello, EdgeStatus, MAX_CONTROL, MAX_SEEN, Nearby,
    RenewedTicket, Scan, Seen, Want,
};
use crate::{
    DecodeError, Direction, ErrorCode,
    cbor::{Map, Reader, Writer},
    envelope,
    message::Answers,
};

wire_enum! { @closed
    /// The types of control messages.
    ControlType: u8 {
        /// A box begins.
        Hello = 1 => "EDGE-HELLO",
        /// It is connected.
        Ack = 2 => "EDGE-ACK",
        /// A part of the full set of its seals.
        Assign = 3 => "ASSIGN",
        /// New link tickets for seals of the present set.
        Tickets = 4 => "TICKETS",
        /// Done, or not: answers ASSIGN, TICKETS, WANT and SCAN.
        Done = 5 => "DONE",
        /// Presence of its seals.
        Seen = 6 => "SEEN",
        /// How the box is.
        Status = 7 => "STATUS",
        /// What time it is.
        Time = 8 => "TIME",
        /// Links are wanted.
        Want = 9 => "WANT",
        /// Listen for other seals.
        Scan = 10 => "SCAN",
        /// Other seals that were heard.
        Nearby = 11 => "NEARBY",
        /// This end stops soon.
        Drain = 12 => "DRAIN",
        /// Something was refused.
        Err = 127 => "ERR",
    }
}

impl ControlType {
    /// Who sends it: up is the box.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Hello | Self::Done | Self::Seen | Self::Status | Self::Nearby => Direction::Up,
            Self::Ack | Self::Assign | Self::Tickets | Self::Time | Self::Want | Self::Scan => {
                Direction::Down
            }
            Self::Drain | Self::Err => Direction::Both,
        }
    }

    /// Whether it answers another message.
    #[must_use]
    pub const fn answers(self) -> Answers {
        match self {
            Self::Ack | Self::Done | Self::Time => Answers::Always,
            Self::Err => Answers::Sometimes,
            _ => Answers::Never,
        }
    }

    /// Longest message of this type in bytes, with room for keys of later versions.
    #[must_use]
    pub const fn cap(self) -> usize {
        match self {
            Self::Assign | Self::Tickets => MAX_CONTROL,
            Self::Seen | Self::Nearby | Self::Want => 4096,
            Self::Hello | Self::Ack | Self::Status | Self::Err => 512,
            Self::Done | Self::Time | Self::Scan | Self::Drain => 96,
        }
    }
}

/// What a control message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// A box begins.
    Hello(EdgeHello),
    /// It is connected.
    Ack(EdgeAck),
    /// A part of the full set of its seals.
    Assign(Assign),
    /// New link tickets, 1 to 48.
    Tickets(Vec<RenewedTicket>),
    /// Done, or why not.
    Done(Option<ErrorCode>),
    /// 1 to 64 seals.
    Seen(Vec<Seen>),
    /// How the box is.
    Status(EdgeStatus),
    /// Unix seconds.
    Time(u32),
    /// 1 to 64 seals.
    Want(Vec<Want>),
    /// Listen.
    Scan(Scan),
    /// Up to 64 seals; an empty one ends a scan.
    Nearby(Vec<Nearby>),
    /// Within so many seconds this end stops; what is on its way is finished.
    Drain {
        /// Why.
        reason: DrainReason,
        /// Seconds.
        within: u16,
    },
    /// Refused.
    Err(EdgeErr),
}

impl Control {
    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> ControlType {
        match self {
            Self::Hello(_) => ControlType::Hello,
            Self::Ack(_) => ControlType::Ack,
            Self::Assign(_) => ControlType::Assign,
            Self::Tickets(_) => ControlType::Tickets,
            Self::Done(_) => ControlType::Done,
            Self::Seen(_) => ControlType::Seen,
            Self::Status(_) => ControlType::Status,
            Self::Time(_) => ControlType::Time,
            Self::Want(_) => ControlType::Want,
            Self::Scan(_) => ControlType::Scan,
            Self::Nearby(_) => ControlType::Nearby,
            Self::Drain { .. } => ControlType::Drain,
            Self::Err(_) => ControlType::Err,
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::Hello(body) => body.write(w),
            Self::Ack(body) => body.write(w),
            Self::Assign(body) => body.write(w),
            Self::Tickets(items) => write_list(w, items, RenewedTicket::write),
            Self::Done(err) => {
                w.map(0, &[err.is_some()]);
                w.optional(0, err.map(ErrorCode::number));
            }
            Self::Seen(items) => write_list(w, items, Seen::write),
            Self::Status(body) => body.write(w),
            Self::Time(now) => {
                w.map(1, &[]).key(0).uint(*now);
            }
            Self::Want(items) => write_list(w, items, Want::write),
            Self::Scan(scan) => {
                w.map(1, &[]).key(0).uint(scan.seconds);
            }
            Self::Nearby(items) => write_list(w, items, Nearby::write),
            Self::Drain { reason, within } => {
                w.map(2, &[]);
                w.key(0).uint(reason.number());
                w.key(1).uint(*within);
            }
            Self::Err(body) => body.write(w),
        }
    }

    fn read(kind: ControlType, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const LIST: u64 = MAX_SEEN as u64;
        match kind {
            ControlType::Hello => return EdgeHello::read(r).map(Self::Hello),
            ControlType::Ack => return EdgeAck::read(r).map(Self::Ack),
            ControlType::Assign => return Assign::read(r).map(Self::Assign),
            ControlType::Status => return EdgeStatus::read(r).map(Self::Status),
            ControlType::Err => return EdgeErr::read(r).map(Self::Err),
            _ => {}
        }
        let mut map = r.map()?;
        let message = match kind {
            ControlType::Tickets => {
                let most = super::MAX_ASSIGNED as u64;
                Self::Tickets(list(&mut map, 1..=most, RenewedTicket::read)?)
            }
            ControlType::Seen => Self::Seen(list(&mut map, 1..=LIST, Seen::read)?),
            ControlType::Want => Self::Want(list(&mut map, 1..=LIST, Want::read)?),
            ControlType::Nearby => Self::Nearby(list(&mut map, 0..=LIST, Nearby::read)?),
            ControlType::Time => Self::Time(map.required(0, Reader::u32)?),
            ControlType::Scan => Self::Scan(Scan {
                seconds: map.required(0, |r| r.u8_in(1..=120, "seconds of a scan"))?,
            }),
            ControlType::Drain => Self::Drain {
                reason: DrainReason::from_number(map.required(0, Reader::u8)?),
                within: map.required(1, Reader::u16)?,
            },
            _ => Self::Done(map.optional(0, Reader::u16)?.map(ErrorCode::from_number)),
        };
        map.finish()?;
        Ok(message)
    }
}

fn write_list<T>(w: &mut Writer, items: &[T], write: impl Fn(&T, &mut Writer)) {
    w.map(1, &[]).key(0).array(items.len());
    for item in items {
        write(item, w);
    }
}

fn list<T>(
    map: &mut Map<'_, '_>,
    range: core::ops::RangeInclusive<u64>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    map.required(0, |r| {
        let count = r.array_in(range, "entries of a list")?;
        (0..count).map(|_| read(r)).collect()
    })
}

/// A control message with its number, and the number of the message it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFrame {
    /// Number of this message, chosen by its sender, counting round.
    pub mid: u16,
    /// Number of the message it answers; see [`ControlType::answers`].
    pub re: Option<u16>,
    /// What it says.
    pub control: Control,
}

impl ControlFrame {
    /// A message that answers none.
    #[must_use]
    pub const fn new(mid: u16, control: Control) -> Self {
        Self {
            mid,
            re: None,
            control,
        }
    }

    /// A message that answers the one numbered `re`.
    #[must_use]
    pub const fn reply(mid: u16, re: u16, control: Control) -> Self {
        Self {
            mid,
            re: Some(re),
            control,
        }
    }

    /// The bytes, without the stream's length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let number = self.control.kind().number();
        envelope::encode(number, (self.mid, self.re), 160, |w| self.control.write(w))
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
    /// As [`ControlFrame::decode`].
    pub fn decode_counting(bytes: &[u8]) -> Result<(Self, u32), DecodeError> {
        let mut r = Reader::unsigned(bytes, MAX_CONTROL)?;
        let (answers, kind, mid) = envelope::head(
            &mut r,
            bytes.len(),
            ControlType::from_number,
            ControlType::cap,
        )?;
        let control = Control::read(kind, &mut r)?;
        let re = if answers { Some(r.u16()?) } else { None };
        match (kind.answers(), re) {
            (Answers::Always, None) => Err(DecodeError::Malformed("an answer to nothing")),
            (Answers::Never, Some(_)) => Err(DecodeError::Malformed("this type answers nothing")),
            _ => Ok((Self { mid, re, control }, r.ignored())),
        }
    }
}
