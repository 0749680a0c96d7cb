//! Frames on QUIC streams: reading them one by one, and the two tasks of a seal's stream.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::BoxFuture;
use quinn::{Connection, RecvStream, SendStream};
use sealgate_codec::edge::{MAX_SEAL_FRAME, SealFrame, StreamDecoder, stream_frame};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::seal::{FRAMES, SealStream, Streams};

/// Bytes taken from a stream at once.
const CHUNK: usize = 16 * 1024;
/// Frames written together.
const TOGETHER: usize = 32;

/// Why no further frame comes.
#[derive(Debug, thiserror::Error)]
pub enum FrameEnd {
    /// The stream ended where it may.
    #[error("the stream ended")]
    Finished,
    /// The stream or the connection broke.
    #[error("{0}")]
    Broken(String),
    /// What came is no frame.
    #[error("not a frame: {0}")]
    Malformed(String),
}

/// Reads frames. [`FrameReader::next`] may be cancelled: what it has stays in it.
pub struct FrameReader {
    stream: RecvStream,
    decoder: StreamDecoder,
    /// Read and not taken yet: from this place on.
    chunk: Vec<u8>,
    at: usize,
}

impl FrameReader {
    /// Frames of at most `cap` bytes.
    #[must_use]
    pub fn new(stream: RecvStream, cap: usize) -> Self {
        Self {
            stream,
            decoder: StreamDecoder::new(cap),
            chunk: Vec::new(),
            at: 0,
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// See [`FrameEnd`]; no further frame comes.
    pub async fn next(&mut self) -> Result<Vec<u8>, FrameEnd> {
        loop {
            while self.at < self.chunk.len() {
                let (taken, frame) = self
                    .decoder
                    .take(&self.chunk[self.at..])
                    .map_err(|error| FrameEnd::Malformed(error.to_string()))?;
                self.at += taken;
                if let Some(frame) = frame {
                    return Ok(frame);
                }
            }
            match self.stream.read_chunk(CHUNK, true).await {
                Ok(Some(chunk)) => {
                    self.chunk = chunk.bytes.to_vec();
                    self.at = 0;
                }
                Ok(None) if self.decoder.is_between_frames() => return Err(FrameEnd::Finished),
                Ok(None) => return Err(FrameEnd::Malformed("cut off".to_owned())),
                Err(error) => return Err(FrameEnd::Broken(error.to_string())),
            }
        }
    }
}

/// A connection that is open: seals get their streams from it.
#[derive(Debug, Clone)]
pub struct Connected {
    connection: Connection,
    tasks: TaskTracker,
    progress: Arc<AtomicBool>,
}

impl Connected {
    /// Over this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            tasks: TaskTracker::new(),
            progress: Arc::default(),
        }
    }

    /// Whether the gateway stored anything.
    #[must_use]
    pub fn progress(&self) -> bool {
        self.progress.load(Ordering::Relaxed)
    }

    /// Waits until what was written on streams that ended is with the gateway.
    pub async fn flushed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Streams for Connected {
    fn open(&self) -> BoxFuture<'_, Option<SealStream>> {
        Box::pin(async move {
            let (send, recv) = self.connection.open_bi().await.ok()?;
            let (up, frames) = mpsc::channel(FRAMES);
            let (answers, down) = mpsc::channel(FRAMES);
            self.tasks.spawn(write(send, frames));
            let progress = Arc::clone(&self.progress);
            self.tasks.spawn(read(recv, answers, progress));
            Some(SealStream { up, down })
        })
    }
}

/// Writes until the actor lets go, then waits until the gateway's end has everything.
async fn write(mut stream: SendStream, mut frames: mpsc::Receiver<SealFrame>) {
    let mut batch = Vec::with_capacity(TOGETHER);
    while frames.recv_many(&mut batch, TOGETHER).await > 0 {
        let mut bytes = Vec::new();
        for frame in batch.drain(..) {
            bytes.extend_from_slice(&stream_frame(&frame.encode()));
        }
        if let Err(error) = stream.write_all(&bytes).await {
            tracing::debug!(%error, "a seal's stream broke");
            return;
        }
    }
    if stream.finish().is_ok() {
        // An error: the connection is over, and with it the waiting.
        let _ = stream.stopped().await;
    }
}

async fn read(stream: RecvStream, answers: mpsc::Sender<SealFrame>, progress: Arc<AtomicBool>) {
    let mut reader = FrameReader::new(stream, MAX_SEAL_FRAME);
    loop {
        let bytes = tokio::select! {
            bytes = reader.next() => bytes,
            () = answers.closed() => {
                // The stream may be gone already.
                let _ = reader.stream.stop(0_u32.into());
                return;
            }
        };
        let frame = match bytes {
            Ok(bytes) => match SealFrame::decode(&bytes) {
                Ok(frame) if !frame.is_up() => frame,
                Ok(_) => return tracing::warn!("the gateway sent a frame of boxes"),
                Err(error) => return tracing::warn!(%error, "not a frame of a seal's stream"),
            },
            Err(end) => return tracing::debug!(%end, "a seal's stream ended"),
        };
        if matches!(frame, SealFrame::Stored { .. }) {
            progress.store(true, Ordering::Relaxed);
        }
        if answers.send(frame).await.is_err() {
            return;
        }
    }
}
