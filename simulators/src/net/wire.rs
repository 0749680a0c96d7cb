//! One MQTT session over one TLS stream: reads and writes without ever waiting for only one of the two.
//!
//! What is not yet written stays in `out`; what is not yet a packet stays in `input`. Both are given back when
//! empty, so an idle session costs its TLS state and little more.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::mqtt::{Inbound, Mqtt};

/// How long an answer to a ping may take.
const PING_PATIENCE_MS: u64 = 20_000;

/// A session in use.
#[derive(Debug)]
pub struct Wire {
    stream: TlsStream<TcpStream>,
    mqtt: Mqtt,
    input: BytesMut,
    out: BytesMut,
    flushed: bool,
    next_pkid: u16,
    keep_alive_ms: u64,
    ping_at: u64,
    pong_by: Option<u64>,
}

impl Wire {
    /// Wraps an established stream; CONNECT is queued, not yet written.
    #[must_use]
    pub fn new(stream: TlsStream<TcpStream>, mqtt: Mqtt, opening: &Opening<'_>, now: u64) -> Self {
        let mut out = BytesMut::with_capacity(512);
        mqtt.connect(
            &mut out,
            opening.client,
            opening.keep_alive_s,
            opening.will.clone(),
        );
        let keep_alive_ms = u64::from(opening.keep_alive_s) * 1_000;
        Self {
            stream,
            mqtt,
            input: BytesMut::new(),
            out,
            flushed: false,
            next_pkid: 1,
            keep_alive_ms,
            ping_at: now + keep_alive_ms,
            pong_by: None,
        }
    }

    /// Queues a message.
    pub fn publish(&mut self, topic: &str, reliable: bool, payload: &[u8]) {
        let pkid = reliable.then(|| {
            let pkid = self.next_pkid;
            self.next_pkid = self.next_pkid.checked_add(1).unwrap_or(1);
            pkid
        });
        self.mqtt.publish(&mut self.out, topic, pkid, payload);
        self.flushed = false;
    }

    /// Queues an acknowledgement.
    pub fn acknowledge(&mut self, pkid: u16) {
        self.mqtt.puback(&mut self.out, pkid);
        self.flushed = false;
    }

    /// Queues DISCONNECT.
    pub fn say_goodbye(&mut self) {
        self.mqtt.disconnect(&mut self.out);
        self.flushed = false;
    }

    /// The server chose another keep-alive.
    pub fn set_keep_alive(&mut self, seconds: u16, now: u64) {
        if seconds > 0 {
            self.keep_alive_ms = u64::from(seconds) * 1_000;
            self.ping_at = now + self.keep_alive_ms;
        }
    }

    /// The server answered a ping.
    pub fn pong(&mut self) {
        self.pong_by = None;
    }

    /// When [`Wire::tick`] wants to be called.
    #[must_use]
    pub fn timeout(&self) -> u64 {
        self.pong_by.map_or(self.ping_at, |by| by.min(self.ping_at))
    }

    /// Sends a ping when one is due.
    ///
    /// # Errors
    /// The server left a ping unanswered: the link is dead.
    pub fn tick(&mut self, now: u64) -> io::Result<()> {
        if self.pong_by.is_some_and(|by| now >= by) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if now >= self.ping_at {
            self.mqtt.ping(&mut self.out);
            self.flushed = false;
            self.ping_at = now + self.keep_alive_ms;
            self.pong_by.get_or_insert(now + PING_PATIENCE_MS);
        }
        Ok(())
    }

    /// Writes what can be written and yields the next packet.
    ///
    /// # Errors
    /// The link is over or the server speaks no MQTT.
    pub fn poll_packet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Inbound>> {
        if let Poll::Ready(Err(error)) = self.poll_write_out(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            match self.mqtt.read(&mut self.input) {
                Ok(Some(packet)) => return Poll::Ready(Ok(packet)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
            let mut space = [0_u8; 4_096];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.input.extend_from_slice(buffer.filled());
        }
    }

    /// Writes everything queued; ready when the last byte left.
    ///
    /// # Errors
    /// The link is over.
    pub fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.flushed = true;
            self.out = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// What CONNECT says.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// Client id.
    pub client: &'a str,
    /// Keep-alive in seconds.
    pub keep_alive_s: u16,
    /// Topic and message of the will.
    pub will: Option<(&'a str, Bytes)>,
}
