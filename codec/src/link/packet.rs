//! What is encrypted: `[kind] [segment, 2 bytes] [acknowledgement, 2 bytes] data`, numbers big-endian. In front of the
//! ciphertext stands the packet's counter, 4 bytes, which is its nonce.

use alloc::vec::Vec;

use crate::DecodeError;

/// Bytes in front of the data.
const HEAD: usize = 5;

wire_enum! { @closed
    /// What a packet of the open link is.
    PlainKind: u8 {
        /// The last or only segment of a message.
        Last = 0 => "last segment",
        /// A segment, more follow.
        More = 1 => "segment",
        /// Only an acknowledgement.
        Ack = 2 => "acknowledgement",
        /// Asks for an acknowledgement: proves the box, and that the link lives.
        Ping = 3 => "ping",
        /// The link ends; the data is one byte, a [`super::CloseCode`].
        Close = 4 => "close",
    }
}

/// A packet of the open link, decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// What it is.
    pub kind: PlainKind,
    /// Number of the segment, counting round; 0 where there is none.
    pub segment: u16,
    /// Number of the segment expected from the other end.
    pub ack: u16,
    /// The segment's bytes.
    pub data: Vec<u8>,
}

impl Plain {
    /// The bytes to be encrypted.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.data.len());
        bytes.push(self.kind.number());
        bytes.extend_from_slice(&self.segment.to_be_bytes());
        bytes.extend_from_slice(&self.ack.to_be_bytes());
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// Reads what was decrypted.
    ///
    /// # Errors
    /// Too short, an unknown kind, a segment without data, data or a number where none belongs.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let [kind, s0, s1, a0, a1, data @ ..] = bytes else {
            return Err(DecodeError::Truncated);
        };
        let kind = PlainKind::from_number(*kind).ok_or(DecodeError::Range("kind of packet"))?;
        let segment = u16::from_be_bytes([*s0, *s1]);
        let fits = match kind {
            PlainKind::Last | PlainKind::More => !data.is_empty(),
            PlainKind::Ack | PlainKind::Ping => data.is_empty() && segment == 0,
            PlainKind::Close => data.len() == 1 && segment == 0,
        };
        if !fits {
            return Err(DecodeError::Malformed("data that does not fit the kind"));
        }
        Ok(Self {
            kind,
            segment,
            ack: u16::from_be_bytes([*a0, *a1]),
            data: data.to_vec(),
        })
    }
}
