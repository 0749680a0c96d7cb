//! Links: messages over BLE and UART, between a seal and the box or phone that holds a ticket for it.
//!
//! Constraints and invariants:
//! - Sans-IO: bytes and a time in, bytes, events and a deadline out ([`Link`]). Randomness is an argument too.
//! - A message is delivered whole, unchanged, in order, and at most once while the link lives; [`LinkEvent::Delivered`]
//!   says that the other end has it. What was not delivered when the link ends is the owner's to send again.
//! - Nothing is believed before the handshake is proven: the seal checks the ticket by itself ([`LinkTicket`]), the
//!   handshake (`Noise_IK`) proves both keys, and a box is in only after its first encrypted packet arrived.
//! - Every transmission has a nonce of its own, also of the same data; a receiver takes only rising nonces, so that a
//!   replayed packet is nothing. A link ends before its nonces do.
//! - Memory is bounded: one packet assembled, [`MAX_QUEUED`] messages waiting, one segment unanswered in each direction.
//!
//! Layers, from the air up: ATT values ([`fragment`](mod@fragment)) or frames on a line ([`uart`]) carry packets; packets
//! are handshake messages ([`LinkFrame`]) or encrypted segments; segments make messages of up to [`MAX_LINK_MESSAGE`]
//! bytes. [`BoxLink`] opens, [`SealLink`] answers.
//!
//! [`LinkTicket`]: crate::statement::LinkTicket

mod advert;
mod box_side;
mod crc;
pub mod fragment;
mod framing;
mod message;
mod noise;
mod packet;
mod penalty;
mod seal_side;
mod session;
pub mod uart;

use alloc::vec::Vec;

pub use advert::{ADVERT_SIZE, Advert, AdvertState, BleInfo, COMPANY_ID, advert_id, uuid};
pub use box_side::{BoxLink, BoxSetup};
pub use crc::crc32c;
pub use framing::{Framer, Framing};
pub use message::{
    LinkChal, LinkFrame, LinkMessage, LinkOk, LinkOpen, LinkStatus, LinkType, MAX_HANDSHAKE,
    MAX_LINK_FRAME, Received, SUITE_NOISE_IK,
};
pub use noise::public_key;
pub use packet::{Plain, PlainKind};
pub use penalty::Penalties;
pub use seal_side::{SealLink, SealSetup};

use crate::ErrorCode;

/// Milliseconds on a clock of the owner's that never goes back.
pub type Millis = u64;

/// Longest message a link carries.
pub const MAX_LINK_MESSAGE: usize = 4096;
/// Longest packet: a segment of [`MAX_SEGMENT`] bytes with its overhead, or a handshake message.
pub const MAX_PACKET: usize = 1152;
/// Most bytes of a message in one packet.
pub const MAX_SEGMENT: usize = 1024;
/// ATT values a packet of the open link takes at most, so that a lossy link still gets whole packets through.
pub const MAX_VALUES: usize = 8;
/// Messages that may wait to be sent.
pub const MAX_QUEUED: usize = 8;
/// Bytes around a segment: counter 4, kind 1, segment 2, acknowledgement 2, AEAD tag 16.
pub const PACKET_OVERHEAD: usize = 25;

wire_enum! { @closed
    /// What a packet is.
    PacketKind: u8 {
        /// In the clear, with a CRC-32C: LINK-OPEN, LINK-CHAL, a refusal.
        Handshake = 0 => "handshake",
        /// Encrypted.
        Transport = 1 => "transport",
    }
}

/// What a link carries between its framing and its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub kind: PacketKind,
    /// At most [`MAX_PACKET`] bytes.
    pub bytes: Vec<u8>,
}

/// What is wrong with a value or a frame. All of them are dropped; who sent it sends it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Too short to be one.
    #[error("too short")]
    Short,
    /// Longer than a value, a frame or a packet may be.
    #[error("too long")]
    TooLong,
    /// An unknown kind of packet.
    #[error("unknown kind of packet")]
    Kind,
    /// Another version of the line's frames.
    #[error("another version")]
    Version,
    /// The checksum is another's.
    #[error("checksum")]
    Checksum,
    /// Not COBS.
    #[error("not COBS")]
    Cobs,
    /// It does not follow the one before.
    #[error("out of order")]
    Order,
    /// The packet has not the length its first fragment says.
    #[error("length")]
    Length,
    /// The rest of a packet came too late.
    #[error("too late")]
    Late,
}

wire_enum! { @open
    /// Why an end closes an open link.
    CloseCode: u8 {
        /// Nothing more to say.
        Done = 0 => "done",
        /// The ticket is over.
        Expired = 1 => "expired",
        /// The nonces of this link are used up; open another.
        Keys = 2 => "keys used up",
        /// The other end broke the protocol.
        Protocol = 3 => "protocol",
        /// A box makes room for a user.
        Yield = 4 => "yields to a user",
        /// The seal or the box stops.
        Stop = 5 => "stops",
    }
}

/// Why a link is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This end closed it.
    #[error("closed here: {0}")]
    Local(CloseCode),
    /// The other end closed it.
    #[error("closed by the other end: {0}")]
    Peer(CloseCode),
    /// Box: the seal refused (`NotUser` is "no right to use").
    #[error("refused: {0}")]
    Refused(ErrorCode),
    /// Seal: somebody without a right to use knocked; show "no right to use", record it, disconnect. With the reason.
    #[error("a stranger: {0}")]
    Stranger(ErrorCode),
    /// No handshake in time.
    #[error("no handshake in time")]
    Timeout,
    /// Nothing was heard for too long.
    #[error("silence")]
    Silent,
    /// A packet was sent as often as allowed and never answered.
    #[error("no answer")]
    Lost,
}

/// What happens on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// The link is open and both keys are proven. On a line the box may begin anew: then this comes again, and
    /// everything not [`LinkEvent::Delivered`] by then is to be sent again.
    Opened {
        /// The seal has no signed time yet: only [`allowed_when_restricted`] types pass.
        restricted: bool,
    },
    /// A whole message, bytes as sent.
    Message(Vec<u8>),
    /// Seal: the box has records durably.
    Received(Received),
    /// The message with this number, given by [`Link::send`], is with the other end.
    Delivered(u32),
    /// Seal: signed time came, the ticket is still good, everything passes.
    Unrestricted,
    /// The link is over; always the last event.
    Closed(CloseReason),
}

/// Why a message was not taken for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The link is not open, or closed.
    #[error("the link is not open")]
    NotOpen,
    /// [`MAX_QUEUED`] messages wait already.
    #[error("too many messages wait")]
    Full,
    /// Empty, or longer than [`MAX_LINK_MESSAGE`].
    #[error("a message of {0} bytes")]
    Length(usize),
    /// Not before the seal has signed time.
    #[error("not on a restricted link")]
    Restricted,
}

/// Times and limits of a link. [`LinkLimits::BLE`] and [`LinkLimits::UART`] are what both ends use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkLimits {
    /// A packet not answered after this is sent again; each time twice as long, up to eight times.
    pub resend: Millis,
    /// Transmissions of one packet, at most.
    pub tries: u32,
    /// Seal: no byte of a handshake for this long after the connection: a stranger.
    pub open_wait: Millis,
    /// A handshake takes at most this.
    pub handshake: Millis,
    /// The box says something after this much silence.
    pub ping: Millis,
    /// After this much silence the link is over.
    pub silence: Millis,
    /// Packets one end sends on one link, at most: far below what the cipher allows.
    pub packets: u32,
}

impl LinkLimits {
    /// Over BLE.
    pub const BLE: Self = Self {
        resend: 1_000,
        tries: 12,
        open_wait: 3_000,
        handshake: 10_000,
        ping: 10_000,
        silence: 30_000,
        packets: 1 << 20,
    };
    /// On a serial line. A dock may stand empty for long, so the seal waits for a box without end.
    pub const UART: Self = Self {
        resend: 200,
        open_wait: Millis::MAX,
        ..Self::BLE
    };
}

/// One end of a link: what drives it is the same for both.
///
/// After every call that changes it, take [`Link::poll_output`] and [`Link::poll_event`] until both are empty, and call
/// [`Link::tick`] at [`Link::deadline`] at the latest.
pub trait Link {
    /// Bytes came: one ATT value, or any piece of a serial stream.
    fn receive(&mut self, bytes: &[u8], now: Millis);

    /// Takes a message for sending; its number comes back in [`LinkEvent::Delivered`].
    ///
    /// # Errors
    /// See [`SendError`]; the message was not taken.
    fn send(&mut self, message: &[u8], now: Millis) -> Result<u32, SendError>;

    /// Does what is due at this time.
    fn tick(&mut self, now: Millis);

    /// When [`Link::tick`] has to be called; nothing once the link is closed.
    fn deadline(&self) -> Option<Millis>;

    /// Bytes to write next: one ATT value, or a piece for the line.
    fn poll_output(&mut self) -> Option<Vec<u8>>;

    /// What happened next.
    fn poll_event(&mut self) -> Option<LinkEvent>;

    /// Ends the link; the other end is told once.
    fn close(&mut self, code: CloseCode);

    /// Whether messages can be sent.
    fn is_open(&self) -> bool;

    /// The MTU of a BLE connection was agreed upon anew.
    fn set_mtu(&mut self, mtu: u16);

    /// Values or frames that were dropped as faulty.
    fn faults(&self) -> u32;
}

/// Whether a type of message passes while the seal has no signed time to check the end of a ticket with: what leads to
/// signed time and carries the log, and commands, whose own signature and counter are checked in any case; a lock
/// must not wait.
#[must_use]
pub fn allowed_when_restricted(message: &[u8]) -> bool {
    use crate::MessageType as T;
    matches!(
        crate::Frame::peek(message),
        Some((
            T::Hello
                | T::HelloAck
                | T::Bye
                | T::Lease
                | T::LeaseReq
                | T::Stamps
                | T::LogAck
                | T::LogPull
                | T::Event
                | T::Cmd
                | T::CmdAck
                | T::Err,
            _
        ))
    )
}
