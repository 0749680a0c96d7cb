//! One connection's bytes: an inbox, an outbox, and both directions polled by one task.
//!
//! Invariants: an idle connection owns no buffer (the read chunk lives on the stack, both boxes are freed when
//! empty); reading and writing never wait for each other; progress is measured on the socket, below TLS, so that
//! a slow reader is told from a dead one.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

/// Bytes read at once.
const CHUNK: usize = 4_096;

/// What a closing connection may still say before we stop listening to it.
const LINGER_BYTES: usize = 64 * 1024;

/// Bytes that crossed a socket.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    read: AtomicU64,
    written: AtomicU64,
}

impl Meter {
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// A socket that counts.
#[derive(Debug)]
pub(crate) struct Counted {
    socket: TcpStream,
    meter: Arc<Meter>,
}

impl Counted {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            meter: Arc::default(),
        }
    }

    pub(crate) fn shared_meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// Waits for the first byte without taking it.
    pub(crate) async fn first_byte(&self) -> io::Result<()> {
        let mut byte = [0u8; 1];
        match self.socket.peek(&mut byte).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buf);
        let gained = (buf.filled().len() - before) as u64;
        this.meter.read.fetch_add(gained, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            this.meter
                .written
                .fetch_add(written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// A stream over a counted socket.
pub(crate) trait Link: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Progress on the socket.
    fn meter(&self) -> &Meter;
}

impl Link for Counted {
    fn meter(&self) -> &Meter {
        &self.meter
    }
}

impl Link for TlsStream<Counted> {
    fn meter(&self) -> &Meter {
        &self.get_ref().0.meter
    }
}

impl<L: Link> Link for Box<L> {
    fn meter(&self) -> &Meter {
        (**self).meter()
    }
}

/// What a poll brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Io {
    /// The inbox grew.
    Read,
    /// The outbox shrank.
    Wrote,
    /// The peer sends no more.
    End,
}

/// A connection with its two boxes.
#[derive(Debug)]
pub(crate) struct Conn<S> {
    stream: S,
    pub(crate) inbox: BytesMut,
    pub(crate) outbox: BytesMut,
    unflushed: bool,
    /// While bytes wait: what the socket had taken, and since when that has not changed.
    stalled: Option<(u64, Duration)>,
}

impl<S: Link> Conn<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            unflushed: false,
            stalled: None,
        }
    }

    /// Is there anything the peer has not taken yet?
    fn owes_bytes(&self) -> bool {
        self.unflushed || !self.outbox.is_empty()
    }

    /// Since when bytes wait of which the socket takes none. Asked again and again, as time goes on.
    pub(crate) fn stalled_since(&mut self, now: Duration) -> Option<Duration> {
        let written = self.stream.meter().written();
        self.stalled = match self.stalled {
            _ if !self.owes_bytes() => None,
            Some((before, since)) if before == written => Some((written, since)),
            _ => Some((written, now)),
        };
        self.stalled.map(|(_, since)| since)
    }

    /// Frees the inbox once it is empty.
    pub(crate) fn release_inbox(&mut self) {
        if self.inbox.is_empty() {
            self.inbox = BytesMut::new();
        }
    }

    /// Writes what there is to write and, if asked to, reads.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<io::Result<Io>> {
        let wrote = match self.poll_write(cx) {
            Ok(wrote) => wrote,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if read {
            let mut chunk = [0u8; CHUNK];
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Ok(Io::End));
                }
                Poll::Ready(Ok(())) => {
                    self.inbox.extend_from_slice(buffer.filled());
                    return Poll::Ready(Ok(Io::Read));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        if wrote {
            Poll::Ready(Ok(Io::Wrote))
        } else {
            Poll::Pending
        }
    }

    /// Did anything move out?
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while !self.outbox.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.outbox) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(taken)) => {
                    self.outbox.advance(taken);
                    self.unflushed = true;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(moved),
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
            self.outbox = BytesMut::new();
            moved = true;
        }
        Ok(moved)
    }

    /// Reads once more into the inbox.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        loop {
            match std::future::poll_fn(|cx| self.poll(cx, true)).await? {
                Io::Read => return Ok(()),
                Io::Wrote => {}
                Io::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Says the last words and hangs up, listening a little so that a reset does not eat them.
    pub(crate) async fn close(mut self, patience: Duration) {
        let goodbye = async {
            while self.owes_bytes() {
                std::future::poll_fn(|cx| self.poll(cx, false)).await?;
            }
            self.stream.shutdown().await?;
            let mut heard = 0;
            while heard < LINGER_BYTES {
                self.inbox.clear();
                match std::future::poll_fn(|cx| self.poll(cx, true)).await? {
                    Io::End => break,
                    Io::Read | Io::Wrote => heard += self.inbox.len(),
                }
            }
            io::Result::Ok(())
        };
        // A peer that does not listen loses nothing but the reason.
        let _ = timeout(patience, goodbye).await;
    }
}
