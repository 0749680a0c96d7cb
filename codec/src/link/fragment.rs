//! Packets in ATT values: `[sar << 6 | kind] [sequence]`, behind a *first* fragment two bytes of the packet's length.
//!
//! Constraints and invariants:
//! - A value is at most MTU - 3 bytes and never above 512, whatever the MTU.
//! - The sequence counts every value of one direction round in 8 bits. A packet whose values do not follow each other is
//!   dropped whole; a value that comes twice in a row counts once. Who sent it sends it again.
//! - One packet is assembled at a time; a new *first* drops the old, and so does [`Reassembler::TIMEOUT`].

use alloc::vec::Vec;

use super::{FrameError, MAX_PACKET, Millis, Packet, PacketKind};

/// Smallest MTU of BLE.
pub const MIN_MTU: u16 = 23;
/// Largest MTU of BLE.
pub const MAX_MTU: u16 = 517;
/// Longest ATT value.
const MAX_VALUE: usize = 512;
/// Bytes before the data of a fragment.
const HEAD: usize = 2;
/// Bytes of the length behind the head of a first fragment.
const LENGTH: usize = 2;

const COMPLETE: u8 = 0;
const FIRST: u8 = 1;
const CONTINUED: u8 = 2;
const LAST: u8 = 3;

/// Longest value at this MTU.
#[must_use]
pub fn value_size(mtu: u16) -> usize {
    usize::from(mtu.clamp(MIN_MTU, MAX_MTU) - 3).min(MAX_VALUE)
}

/// Longest packet that fits into this many values.
#[must_use]
pub fn capacity(mtu: u16, values: usize) -> usize {
    let size = value_size(mtu);
    match values {
        0 => 0,
        1 => size - HEAD,
        _ => values * (size - HEAD) - LENGTH,
    }
}

/// Cuts a packet into values, and counts them on `sequence`.
#[must_use]
pub fn fragment(packet: &Packet, mtu: u16, sequence: &mut u8) -> Vec<Vec<u8>> {
    let size = value_size(mtu);
    let mut value = |sar: u8, length: &[u8], data: &[u8]| {
        let head = [sar << 6 | packet.kind.number(), *sequence];
        *sequence = sequence.wrapping_add(1);
        [&head[..], length, data].concat()
    };
    if packet.bytes.len() <= size - HEAD {
        return alloc::vec![value(COMPLETE, &[], &packet.bytes)];
    }
    let length = u16::try_from(packet.bytes.len()).expect("a packet is shorter than 64 kB");
    let (head, rest) = packet.bytes.split_at(size - HEAD - LENGTH);
    let mut values = alloc::vec![value(FIRST, &length.to_be_bytes(), head)];
    let mut chunks = rest.chunks(size - HEAD).peekable();
    while let Some(chunk) = chunks.next() {
        let sar = if chunks.peek().is_some() {
            CONTINUED
        } else {
            LAST
        };
        values.push(value(sar, &[], chunk));
    }
    values
}

#[derive(Debug, Clone)]
struct Partial {
    kind: PacketKind,
    length: usize,
    bytes: Vec<u8>,
    /// Sequence of the value last taken.
    last: u8,
    since: Millis,
}

/// Puts values together again.
#[derive(Debug, Clone, Default)]
pub struct Reassembler {
    partial: Option<Partial>,
}

impl Reassembler {
    /// Milliseconds after which a packet that is not complete is dropped.
    pub const TIMEOUT: Millis = 5_000;

    /// Takes one value; returns the packet it completes.
    ///
    /// # Errors
    /// The value is not one, or does not follow the one before; what was assembled is dropped.
    pub fn push(&mut self, value: &[u8], now: Millis) -> Result<Option<Packet>, FrameError> {
        let [head, sequence, data @ ..] = value else {
            return Err(FrameError::Short);
        };
        if value.len() > MAX_VALUE {
            return Err(FrameError::TooLong);
        }
        let kind = PacketKind::from_number(head & 0x3f).ok_or(FrameError::Kind)?;
        match head >> 6 {
            COMPLETE => {
                self.partial = None;
                Ok(Some(Packet {
                    kind,
                    bytes: data.to_vec(),
                }))
            }
            FIRST => self.first(kind, *sequence, data, now).map(|()| None),
            sar => self.next(kind, *sequence, data, now, sar == LAST),
        }
    }

    fn first(
        &mut self,
        kind: PacketKind,
        sequence: u8,
        data: &[u8],
        now: Millis,
    ) -> Result<(), FrameError> {
        self.partial = None;
        let (length, data) = data.split_first_chunk().ok_or(FrameError::Short)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MAX_PACKET {
            return Err(FrameError::TooLong);
        }
        if data.len() >= length {
            return Err(FrameError::Length);
        }
        self.partial = Some(Partial {
            kind,
            length,
            bytes: data.to_vec(),
            last: sequence,
            since: now,
        });
        Ok(())
    }

    fn next(
        &mut self,
        kind: PacketKind,
        sequence: u8,
        data: &[u8],
        now: Millis,
        last: bool,
    ) -> Result<Option<Packet>, FrameError> {
        let Some(mut partial) = self.partial.take() else {
            return Err(FrameError::Order);
        };
        if now.saturating_sub(partial.since) > Self::TIMEOUT {
            return Err(FrameError::Late);
        }
        if sequence == partial.last {
            self.partial = Some(partial);
            return Ok(None);
        }
        if sequence != partial.last.wrapping_add(1) || kind != partial.kind {
            return Err(FrameError::Order);
        }
        partial.bytes.extend_from_slice(data);
        partial.last = sequence;
        let complete = partial.bytes.len() == partial.length;
        if partial.bytes.len() > partial.length || complete != last {
            return Err(FrameError::Length);
        }
        if complete {
            return Ok(Some(Packet {
                kind,
                bytes: partial.bytes,
            }));
        }
        self.partial = Some(partial);
        Ok(None)
    }
}
