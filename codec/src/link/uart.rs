//! Packets on a serial line: `COBS([version << 4 | kind] [sequence] packet CRC-32C) 0x00`, the checksum little-endian.
//!
//! Constraints and invariants:
//! - 0x00 stands only between frames, so a receiver that joins late or lost bytes is in step again at the next one.
//! - A frame longer than the longest is dropped up to the next 0x00; memory never follows what the line says.
//! - The sequence counts frames round in 8 bits. It tells lost frames apart from silence; acknowledgements are inside the
//!   encrypted packets, where nobody on the line can make one.

use alloc::vec::Vec;

use super::{
    FrameError, MAX_PACKET, Packet, PacketKind,
    crc::{crc32c, strip},
};

/// Version of the frame's head.
pub const UART_VERSION: u8 = 1;
const MAX_FRAME: usize = 2 + MAX_PACKET + 4;
const MAX_ENCODED: usize = MAX_FRAME + MAX_FRAME / 254 + 1;

/// A packet as bytes for the line, 0x00 behind it included; counted on `sequence`.
#[must_use]
pub fn uart_frame(packet: &Packet, sequence: &mut u8) -> Vec<u8> {
    let mut frame = Vec::with_capacity(packet.bytes.len() + 6);
    frame.push(UART_VERSION << 4 | packet.kind.number());
    frame.push(*sequence);
    *sequence = sequence.wrapping_add(1);
    frame.extend_from_slice(&packet.bytes);
    let sum = crc32c(&frame);
    frame.extend_from_slice(&sum.to_le_bytes());
    let mut line = cobs_encode(&frame);
    line.push(0);
    line
}

/// Bytes without 0x00 that stand for any bytes.
#[must_use]
pub fn cobs_encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 254 + 1);
    let mut blocks = bytes.split(|byte| *byte == 0).peekable();
    while let Some(block) = blocks.next() {
        let chunks = block.chunks_exact(254);
        let tail = chunks.remainder();
        for chunk in chunks {
            out.push(255);
            out.extend_from_slice(chunk);
        }
        // A block of 255 says nothing of a zero behind it: an empty block does, unless the bytes end here.
        let ends_here = blocks.peek().is_none();
        if !tail.is_empty() || block.is_empty() || !ends_here {
            out.push(u8::try_from(tail.len() + 1).expect("at most 254"));
            out.extend_from_slice(tail);
        }
    }
    out
}

/// The bytes that COBS bytes stand for.
///
/// # Errors
/// A 0x00, or a block that reaches beyond the end.
pub fn cobs_decode(bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((code, tail)) = rest.split_first() {
        let length = usize::from(*code).checked_sub(1).ok_or(FrameError::Cobs)?;
        let block = tail.get(..length).ok_or(FrameError::Cobs)?;
        if block.contains(&0) {
            return Err(FrameError::Cobs);
        }
        out.extend_from_slice(block);
        rest = &tail[length..];
        if *code != 255 && !rest.is_empty() {
            out.push(0);
        }
    }
    Ok(out)
}

/// Finds frames in what a serial line gives.
#[derive(Debug, Clone, Default)]
pub struct UartDecoder {
    buffer: Vec<u8>,
    overflow: bool,
    expected: Option<u8>,
    lost: u32,
}

impl UartDecoder {
    /// Takes one byte; returns the packet, or the fault, of the frame it ends.
    pub fn push(&mut self, byte: u8) -> Option<Result<Packet, FrameError>> {
        if byte != 0 {
            if self.buffer.len() < MAX_ENCODED {
                self.buffer.push(byte);
            } else {
                self.overflow = true;
            }
            return None;
        }
        let line = core::mem::take(&mut self.buffer);
        if core::mem::take(&mut self.overflow) {
            return Some(Err(FrameError::TooLong));
        }
        // Zeros between frames wake a line up; they are no frame.
        (!line.is_empty()).then(|| self.frame(&line))
    }

    /// Frames that did not arrive, as the sequence tells.
    #[must_use]
    pub const fn lost(&self) -> u32 {
        self.lost
    }

    fn frame(&mut self, line: &[u8]) -> Result<Packet, FrameError> {
        let frame = cobs_decode(line)?;
        let body = strip(&frame).ok_or(FrameError::Checksum)?;
        let [head, sequence, bytes @ ..] = body else {
            return Err(FrameError::Short);
        };
        if head >> 4 != UART_VERSION {
            return Err(FrameError::Version);
        }
        let kind = PacketKind::from_number(head & 0x0f).ok_or(FrameError::Kind)?;
        if bytes.len() > MAX_PACKET {
            return Err(FrameError::TooLong);
        }
        let missed = self
            .expected
            .map_or(0, |expected| sequence.wrapping_sub(expected));
        // A frame from behind came twice or late; it is none that is lost.
        if missed < 128 {
            self.lost = self.lost.saturating_add(u32::from(missed));
        }
        self.expected = Some(sequence.wrapping_add(1));
        Ok(Packet {
            kind,
            bytes: bytes.to_vec(),
        })
    }
}
