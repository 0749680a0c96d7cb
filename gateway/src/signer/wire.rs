//! The signer's socket protocol, version 2.
//!
//! A frame is a big-endian u32 length and that many bytes of CBOR. The client greets, the signer greets back, then
//! requests are pipelined: each carries a number chosen by the client, and answers come in the order of requests.
//! Every length has a cap that is checked before anything is allocated; anything unexpected ends the connection.
//!
//! ```text
//! greeting  [0, version]
//! sign      [1, id, [+ [purpose, known, payload]]]  signed   [1, id, [+ [0, cose] / [1, refusal]]]
//! key set   [2, id]                                 key set  [2, id, bytes]
//! ```

use std::io;

use bytes::{Buf, BytesMut};
use minicbor::{Decoder, Encoder, decode};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Answers, Purpose, Refused, SignRequest, Signed};

/// The version both ends speak.
pub(super) const VERSION: u16 = 2;
/// Most payloads of one request.
pub(super) const MAX_PAYLOADS: usize = 128;
/// Largest payload; the largest ticket is a tenth of it.
pub(super) const MAX_PAYLOAD: usize = 4_096;
/// Largest frame.
pub(super) const MAX_FRAME: usize = MAX_PAYLOADS * (MAX_PAYLOAD + 512);

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Greeting(u16),
    Sign(u32, Vec<SignRequest>),
    KeySet(u32),
}

/// What the signer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Greeting(u16),
    Signed(u32, Answers),
    KeySet(u32, Vec<u8>),
}

/// The other end broke the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("a frame of {0} bytes")]
    TooLarge(usize),
    #[error("a malformed frame")]
    Malformed,
    #[error("version {0} instead of {VERSION}")]
    Version(u16),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<decode::Error> for WireError {
    fn from(_: decode::Error) -> Self {
        Self::Malformed
    }
}

/// Cuts frames out of a stream. `next` may be dropped and called again: what was read stays.
pub(super) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The next frame; `None` when the stream ended between frames.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
                };
            }
        }
    }

    /// Whether a frame has begun but not ended.
    pub(super) fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn cut(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > MAX_FRAME {
            return Err(WireError::TooLarge(length));
        }
        if self.buffer.len() < 4 + length {
            self.buffer.reserve(4 + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).to_vec()))
    }
}

type Writer = Encoder<Vec<u8>>;

impl Request {
    /// The whole frame, length included.
    pub(super) fn frame(&self) -> Vec<u8> {
        frame(|out| match self {
            Self::Greeting(version) => {
                out.array(2)?.u8(0)?.u16(*version)?;
                Ok(())
            }
            Self::Sign(id, requests) => {
                out.array(3)?
                    .u8(1)?
                    .u32(*id)?
                    .array(requests.len() as u64)?;
                for request in requests {
                    out.array(3)?
                        .u8(request.purpose as u8)?
                        .u32(request.key_set)?
                        .bytes(&request.payload)?;
                }
                Ok(())
            }
            Self::KeySet(id) => {
                out.array(2)?.u8(2)?.u32(*id)?;
                Ok(())
            }
        })
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Decoder::new(bytes);
        let (length, kind) = head(&mut input)?;
        let request = match (kind, length) {
            (0, 2) => Self::Greeting(input.u16()?),
            (1, 3) => {
                let id = input.u32()?;
                let count = list(&mut input)?;
                let mut requests = Vec::with_capacity(count);
                for _ in 0..count {
                    array(&mut input, 3)?;
                    let purpose = Purpose::from_number(input.u8()?).ok_or(WireError::Malformed)?;
                    let key_set = input.u32()?;
                    let payload = capped(&mut input, MAX_PAYLOAD)?;
                    requests.push(SignRequest {
                        purpose,
                        key_set,
                        payload,
                    });
                }
                Self::Sign(id, requests)
            }
            (2, 2) => Self::KeySet(input.u32()?),
            _ => return Err(WireError::Malformed),
        };
        finish(&input, bytes, request)
    }
}

impl Reply {
    /// The whole frame, length included.
    pub(super) fn frame(&self) -> Vec<u8> {
        frame(|out| match self {
            Self::Greeting(version) => {
                out.array(2)?.u8(0)?.u16(*version)?;
                Ok(())
            }
            Self::Signed(id, answers) => {
                out.array(3)?.u8(1)?.u32(*id)?.array(answers.len() as u64)?;
                for answer in answers {
                    match answer {
                        Ok(signed) => out.array(2)?.u8(0)?.bytes(&signed.cose)?,
                        Err(refused) => out.array(2)?.u8(1)?.u8(*refused as u8)?,
                    };
                }
                Ok(())
            }
            Self::KeySet(id, bytes) => {
                out.array(3)?.u8(2)?.u32(*id)?.bytes(bytes)?;
                Ok(())
            }
        })
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Decoder::new(bytes);
        let (length, kind) = head(&mut input)?;
        let reply = match (kind, length) {
            (0, 2) => Self::Greeting(input.u16()?),
            (1, 3) => {
                let id = input.u32()?;
                let count = list(&mut input)?;
                let mut answers = Vec::with_capacity(count);
                for _ in 0..count {
                    array(&mut input, 2)?;
                    answers.push(match input.u8()? {
                        0 => Ok(Signed {
                            cose: capped(&mut input, MAX_PAYLOAD + 256)?,
                        }),
                        1 => Err(Refused::from_number(input.u8()?).ok_or(WireError::Malformed)?),
                        _ => return Err(WireError::Malformed),
                    });
                }
                Self::Signed(id, answers)
            }
            (2, 3) => Self::KeySet(input.u32()?, capped(&mut input, 16 * 1024)?),
            _ => return Err(WireError::Malformed),
        };
        finish(&input, bytes, reply)
    }

    /// The request this answers; greetings answer none.
    pub(super) fn id(&self) -> Option<u32> {
        match self {
            Self::Greeting(_) => None,
            Self::Signed(id, _) | Self::KeySet(id, _) => Some(*id),
        }
    }
}

fn frame(
    write: impl FnOnce(&mut Writer) -> Result<(), minicbor::encode::Error<std::convert::Infallible>>,
) -> Vec<u8> {
    let mut out = Encoder::new(vec![0; 4]);
    write(&mut out).expect("writing to memory does not fail");
    let mut bytes = out.into_writer();
    let length = u32::try_from(bytes.len() - 4).expect("requests are capped far below 4 GiB");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

fn head(input: &mut Decoder<'_>) -> Result<(u64, u8), WireError> {
    let length = input.array()?.ok_or(WireError::Malformed)?;
    Ok((length, input.u8()?))
}

fn array(input: &mut Decoder<'_>, length: u64) -> Result<(), WireError> {
    if input.array()? == Some(length) {
        Ok(())
    } else {
        Err(WireError::Malformed)
    }
}

fn list(input: &mut Decoder<'_>) -> Result<usize, WireError> {
    let count = input.array()?.ok_or(WireError::Malformed)?;
    usize::try_from(count)
        .ok()
        .filter(|count| (1..=MAX_PAYLOADS).contains(count))
        .ok_or(WireError::Malformed)
}

fn capped(input: &mut Decoder<'_>, limit: usize) -> Result<Vec<u8>, WireError> {
    let bytes = input.bytes()?;
    if bytes.len() <= limit {
        Ok(bytes.to_vec())
    } else {
        Err(WireError::Malformed)
    }
}

fn finish<T>(input: &Decoder<'_>, bytes: &[u8], value: T) -> Result<T, WireError> {
    if input.position() == bytes.len() {
        Ok(value)
    } else {
        Err(WireError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request() -> Request {
        let one = |purpose, payload: &[u8]| SignRequest {
            purpose,
            key_set: 70_000,
            payload: payload.to_vec(),
        };
        Request::Sign(
            7,
            vec![
                one(Purpose::Ticket, b"abc"),
                one(Purpose::Lease, b""),
                one(Purpose::Receipt, &[0; 300]),
            ],
        )
    }

    fn reply() -> Reply {
        let signed = Signed { cose: vec![1; 120] };
        Reply::Signed(9, vec![Ok(signed), Err(Refused::NoKey)])
    }

    #[test]
    fn every_frame_reads_back() {
        for request in [Request::Greeting(1), request(), Request::KeySet(u32::MAX)] {
            assert_eq!(Request::parse(&request.frame()[4..]).unwrap(), request);
        }
        for reply in [Reply::Greeting(1), reply(), Reply::KeySet(3, vec![5; 900])] {
            assert_eq!(Reply::parse(&reply.frame()[4..]).unwrap(), reply);
        }
    }

    #[tokio::test]
    async fn frames_are_cut_wherever_the_stream_is_split() {
        let bytes = [request().frame(), Request::KeySet(1).frame()].concat();
        for split in 0..bytes.len() {
            let (left, right) = bytes.split_at(split);
            let mut reader = FrameReader::new(AsyncReadExt::chain(left, right));
            let first = reader.next().await.unwrap().unwrap();
            assert_eq!(Request::parse(&first).unwrap(), request());
            reader.next().await.unwrap().unwrap();
            assert!(reader.next().await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_frame_longer_than_the_cap_is_refused_before_it_is_read() {
        let mut reader = FrameReader::new(&[0xff, 0xff, 0xff, 0xff, 0][..]);
        assert!(matches!(reader.next().await, Err(WireError::TooLarge(_))));
        assert!(reader.buffer.capacity() < 64 * 1024);
    }

    #[tokio::test]
    async fn a_stream_that_ends_inside_a_frame_is_an_error() {
        let bytes = request().frame();
        let mut reader = FrameReader::new(&bytes[..bytes.len() - 1]);
        assert!(matches!(reader.next().await, Err(WireError::Io(_))));
    }

    proptest! {
        #[test]
        fn perturbed_frames_are_refused_or_read_as_something_within_the_caps(
            position in 0usize..340, byte: u8, cut in 0usize..340,
        ) {
            for good in [request().frame(), reply().frame()] {
                let mut bytes = good[4..].to_vec();
                let at = position % bytes.len();
                bytes[at] = byte;
                bytes.truncate(bytes.len().min(cut.max(1)));
                if let Ok(Request::Sign(_, requests)) = Request::parse(&bytes) {
                    prop_assert!(requests.len() <= MAX_PAYLOADS);
                }
                let _ = Reply::parse(&bytes);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::parse(&bytes);
            let _ = Reply::parse(&bytes);
        }
    }
}
