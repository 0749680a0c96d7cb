//! Frames on a stream: two bytes of length, big-endian, then so many bytes.
//!
//! Invariants: a length of 0 or above the stream's cap ends the stream; no more than one frame is buffered for a peer.

use alloc::vec::Vec;

/// Longest frame of the control stream.
pub const MAX_CONTROL: usize = 16_384;
/// Longest frame of a seal's stream: a message of the longest type and its envelope.
pub const MAX_SEAL_FRAME: usize = 2_432;

/// Why a stream has to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A frame of no bytes.
    #[error("an empty frame")]
    Empty,
    /// A frame above the cap.
    #[error("a frame of {len} bytes where at most {cap} are allowed")]
    TooLong {
        /// Bytes announced.
        len: usize,
        /// Bytes allowed.
        cap: usize,
    },
}

/// A frame as it is written to a stream.
///
/// # Panics
/// More than 65,535 bytes: no message of this protocol is as long.
#[must_use]
pub fn stream_frame(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("frames are shorter than 64 kB");
    let mut frame = Vec::with_capacity(bytes.len() + 2);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(bytes);
    frame
}

/// Finds frames in what a stream gives.
#[derive(Debug, Clone)]
pub struct StreamDecoder {
    buffer: Vec<u8>,
    cap: usize,
}

impl StreamDecoder {
    /// For a stream whose frames have at most `cap` bytes: [`MAX_CONTROL`] or [`MAX_SEAL_FRAME`].
    #[must_use]
    pub const fn new(cap: usize) -> Self {
        Self {
            buffer: Vec::new(),
            cap,
        }
    }

    /// Takes bytes up to the end of the next frame; returns how many, and the frame if it is complete. Call it until
    /// it took everything.
    ///
    /// # Errors
    /// The stream has to be ended.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Vec<u8>>), StreamError> {
        let mut taken = self.fill(bytes, 2);
        let Some(length) = self.buffer.first_chunk() else {
            return Ok((taken, None));
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 {
            return Err(StreamError::Empty);
        }
        if length > self.cap {
            return Err(StreamError::TooLong {
                len: length,
                cap: self.cap,
            });
        }
        taken += self.fill(&bytes[taken..], 2 + length);
        if self.buffer.len() < 2 + length {
            return Ok((taken, None));
        }
        let frame = self.buffer.split_off(2);
        self.buffer.clear();
        Ok((taken, Some(frame)))
    }

    /// Whether the stream may end here: not inside a frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    fn fill(&mut self, bytes: &[u8], upto: usize) -> usize {
        let wanted = upto.saturating_sub(self.buffer.len()).min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..wanted]);
        wanted
    }
}
