//! One framing for both kinds of links, and the checksum of what is sent in the clear.

use alloc::vec::Vec;

use super::{
    FrameError, MAX_SEGMENT, MAX_VALUES, Millis, PACKET_OVERHEAD, Packet, PacketKind,
    crc::{crc32c, strip},
    fragment::{Reassembler, capacity, fragment},
    uart::{UartDecoder, uart_frame},
};

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// In ATT values at this MTU (23 to 517).
    Ble {
        /// The MTU agreed upon.
        mtu: u16,
    },
    /// In frames on a serial line.
    Uart,
}

/// Packets to values or frames and back.
#[derive(Debug, Clone)]
pub struct Framer {
    framing: Framing,
    sequence: u8,
    values: Reassembler,
    line: UartDecoder,
    faults: u32,
}

impl Framer {
    /// A framer for a new connection.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            sequence: 0,
            values: Reassembler::default(),
            line: UartDecoder::default(),
            faults: 0,
        }
    }

    /// Another MTU; without effect on a line.
    pub fn set_mtu(&mut self, mtu: u16) {
        if let Framing::Ble { mtu: present } = &mut self.framing {
            *present = mtu;
        }
    }

    /// Bytes of a message in one packet.
    #[must_use]
    pub fn segment_size(&self) -> usize {
        match self.framing {
            Framing::Ble { mtu } => (capacity(mtu, MAX_VALUES) - PACKET_OVERHEAD).min(MAX_SEGMENT),
            Framing::Uart => MAX_SEGMENT,
        }
    }

    /// Values or frames for a packet.
    pub fn pack(&mut self, kind: PacketKind, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut packet = Packet { kind, bytes };
        match self.framing {
            Framing::Uart => alloc::vec![uart_frame(&packet, &mut self.sequence)],
            Framing::Ble { mtu } => {
                if kind == PacketKind::Handshake {
                    let sum = crc32c(&packet.bytes);
                    packet.bytes.extend_from_slice(&sum.to_le_bytes());
                }
                fragment(&packet, mtu, &mut self.sequence)
            }
        }
    }

    /// Packets that these bytes complete. Faults are counted and dropped.
    pub fn unpack(&mut self, bytes: &[u8], now: Millis) -> Vec<Packet> {
        let mut packets = Vec::new();
        let mut take = |result: Result<Option<Packet>, FrameError>, faults: &mut u32| match result {
            Ok(packet) => packets.extend(packet),
            Err(_) => *faults = faults.saturating_add(1),
        };
        match self.framing {
            Framing::Ble { .. } => {
                let result = self.values.push(bytes, now).and_then(checked);
                take(result, &mut self.faults);
            }
            Framing::Uart => {
                for byte in bytes {
                    if let Some(result) = self.line.push(*byte) {
                        take(result.map(Some), &mut self.faults);
                    }
                }
            }
        }
        packets
    }

    /// Values or frames that were dropped.
    #[must_use]
    pub const fn faults(&self) -> u32 {
        self.faults
    }
}

/// What is in the clear has a checksum behind it; the AEAD tag covers the rest.
fn checked(packet: Option<Packet>) -> Result<Option<Packet>, FrameError> {
    match packet {
        Some(packet) if packet.kind == PacketKind::Handshake => {
            let bytes = strip(&packet.bytes).ok_or(FrameError::Checksum)?.to_vec();
            Ok(Some(Packet { bytes, ..packet }))
        }
        other => Ok(other),
    }
}
