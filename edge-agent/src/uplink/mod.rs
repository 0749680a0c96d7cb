//! The one QUIC connection to the gateway.
//!
//! Constraints and invariants:
//! - Connected means: the gateway answered EDGE-HELLO. A QUIC handshake succeeds at a box that is about to be refused.
//! - The control stream goes before all others; the streams of seals take turns.
//! - It ends in [`Backoff`] and another try, whatever happened; only the agent ends it.
//! - On stop: DRAIN is said, what streams hold is flushed within a deadline, then the connection is closed.

mod backoff;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quinn::{ConnectionError, Endpoint, SendStream};
use sealgate_codec::{
    ErrorCode,
    edge::{
        Control, ControlFrame, DrainReason, EdgeAck, EdgeHello, MAX_CONTROL, MINOR, QueueState,
        Ways, stream_frame,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use crate::{clock::Clock, queue::Queue, seal::Streams};

pub use backoff::{Backoff, End};
pub use stream::{Connected, FrameEnd, FrameReader};
pub use tls::{Identity, IdentityError};

/// How long looking up, connecting and the answer to HELLO may take, each.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long flushing may take on stop.
const FLUSH: Duration = Duration::from_secs(3);
/// What waits between the agent and the control stream, each way.
pub const CONTROLS: usize = 64;
/// QUIC's code for "closed without an error of ours".
const CLOSE: u32 = 0;

/// Where the gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// `host:port`.
    pub address: String,
    /// The name in its certificate.
    pub name: String,
}

/// What the uplink tells the agent.
#[derive(Debug)]
pub enum Event {
    /// Connected.
    Up(EdgeAck),
    /// Not connected any more, or not again; with the reason, for people.
    Down(String),
    /// A control message.
    Control(ControlFrame),
}

/// What the agent says to the gateway.
#[derive(Debug)]
pub enum Say {
    /// A message.
    New(Control),
    /// The answer to the message with this number.
    Reply(u16, Control),
}

/// What HELLO says beside the state of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Introduction {
    /// Fresh at every start of the program.
    pub run: [u8; 8],
    /// X25519 public key of the box.
    pub key: [u8; 32],
    /// Version of the assignment it holds.
    pub assignment: u32,
    /// Ways it has.
    pub ways: Ways,
}

/// The uplink's own means.
pub struct Uplink {
    /// Where to.
    pub gateway: Gateway,
    /// As whom.
    pub identity: Identity,
    /// Says how full it is.
    pub queue: Queue,
    /// Clocks.
    pub clock: Clock,
    /// What HELLO says.
    pub introduction: watch::Receiver<Introduction>,
    /// For the agent.
    pub events: mpsc::Sender<Event>,
    /// For the seals' actors.
    pub streams: watch::Sender<Option<Arc<dyn Streams>>>,
}

/// How a session went.
struct Session {
    end: End,
    why: String,
    lived: u64,
    progress: bool,
    /// The agent ends.
    stop: bool,
}

impl Uplink {
    /// Connects again and again until `says` is closed by the agent.
    pub async fn run(self, mut says: mpsc::Receiver<Say>) {
        let mut backoff = Backoff::default();
        loop {
            let session = self.session(&mut says).await;
            self.streams.send_replace(None);
            if session.stop {
                return;
            }
            let wait = backoff.after(
                session.end,
                session.lived,
                session.progress,
                rand::random::<f64>(),
            );
            tracing::info!(why = session.why, wait_ms = wait, "not connected");
            if self.events.send(Event::Down(session.why)).await.is_err() {
                return;
            }
            let pause = sleep(Duration::from_millis(wait));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    // Said to nobody: the agent says it again after the next ACK.
                    say = says.recv() => if say.is_none() {
                        return;
                    },
                }
            }
        }
    }

    async fn session(&self, says: &mut mpsc::Receiver<Say>) -> Session {
        let started = self.clock.monotonic();
        let failed = |end, why: String| Session {
            end,
            why,
            lived: 0,
            progress: false,
            stop: false,
        };
        let dial = tokio::select! {
            dial = self.dial() => dial,
            () = closed(says) => return Session { stop: true, ..failed(End::Lost, String::new()) },
        };
        let (endpoint, connection) = match dial {
            Ok(dialled) => dialled,
            Err((end, why)) => return failed(end, why),
        };
        let connected = Connected::new(connection.clone());
        let (end, why, stop) = match self.greet(&connection).await {
            Ok((control, ack)) => {
                tracing::info!(remote = %connection.remote_address(), "connected");
                let streams: Arc<dyn Streams> = Arc::new(connected.clone());
                if self.events.send(Event::Up(ack)).await.is_err() {
                    return Session {
                        stop: true,
                        ..failed(End::Lost, String::new())
                    };
                }
                self.streams.send_replace(Some(streams));
                self.talk(control, says).await
            }
            Err((end, why)) => (end, why, false),
        };
        self.streams.send_replace(None);
        if stop || end == End::Drained {
            // Actors let go of their streams when they see the connection gone.
            let _ = timeout(FLUSH, connected.flushed()).await;
        }
        connection.close(CLOSE.into(), b"");
        // The close has to leave before the socket does.
        let _ = timeout(Duration::from_millis(500), endpoint.wait_idle()).await;
        Session {
            end,
            why,
            lived: self.clock.monotonic() - started,
            progress: connected.progress(),
            stop,
        }
    }

    /// A QUIC connection to one of the gateway's addresses.
    async fn dial(&self) -> Result<(Endpoint, quinn::Connection), (End, String)> {
        let lost = |why: String| (End::Lost, why);
        let config = self
            .identity
            .client()
            .map_err(|error| (End::Refused(None), error.to_string()))?;
        let found = timeout(PATIENCE, tokio::net::lookup_host(&self.gateway.address))
            .await
            .map_err(|_| lost("the gateway's name is not found in time".to_owned()))?
            .map_err(|error| lost(format!("{}: {error}", self.gateway.address)))?;
        let mut last = lost(format!("{}: no address", self.gateway.address));
        for address in found {
            match self.dial_one(&config, address).await {
                Ok(dialled) => return Ok(dialled),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn dial_one(
        &self,
        config: &quinn::ClientConfig,
        address: SocketAddr,
    ) -> Result<(Endpoint, quinn::Connection), (End, String)> {
        let local: SocketAddr = if address.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        let lost = |why: String| (End::Lost, format!("{address}: {why}"));
        let endpoint = Endpoint::client(local).map_err(|error| lost(error.to_string()))?;
        let connecting = endpoint
            .connect_with(config.clone(), address, &self.gateway.name)
            .map_err(|error| (End::Refused(None), format!("{address}: {error}")))?;
        match timeout(PATIENCE, connecting).await {
            Ok(Ok(connection)) => Ok((endpoint, connection)),
            Ok(Err(error)) => Err((end_of(&error), format!("{address}: {error}"))),
            Err(_) => Err(lost("no answer".to_owned())),
        }
    }

    /// HELLO and its answer.
    async fn greet(
        &self,
        connection: &quinn::Connection,
    ) -> Result<(ControlStream, EdgeAck), (End, String)> {
        let broken = |error: ConnectionError| (end_of(&error), error.to_string());
        // A stream only says that the connection is lost; the connection knows why.
        let why = |stream: String| match connection.close_reason() {
            Some(reason) => broken(reason),
            None => (End::Lost, stream),
        };
        let (send, recv) = connection.open_bi().await.map_err(broken)?;
        // A lock must not wait behind records.
        let _ = send.set_priority(1);
        let mut control = ControlStream {
            send,
            frames: FrameReader::new(recv, MAX_CONTROL),
            mid: 0,
        };
        let introduction = *self.introduction.borrow();
        let queue = self.queue.state().await.unwrap_or_default();
        control
            .say(Control::Hello(hello(introduction, queue)), None)
            .await
            .map_err(why)?;
        let answer = match timeout(PATIENCE, control.frames.next()).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(end)) => return Err(why(end.to_string())),
            Err(_) => return Err((End::Lost, "no answer to HELLO".to_owned())),
        };
        match ControlFrame::decode(&answer).map(|frame| frame.control) {
            Ok(Control::Ack(ack)) => Ok((control, ack)),
            Ok(Control::Err(error)) => {
                let text = error.text.unwrap_or_default();
                let why = format!("refused: {} {text}", error.code);
                Err((End::Refused(error.retry), why))
            }
            Ok(other) => Err((End::Refused(None), format!("{:?} for ACK", other.kind()))),
            Err(error) => Err((End::Refused(None), format!("not an ACK: {error}"))),
        }
    }

    /// Carries control messages both ways until something ends.
    async fn talk(
        &self,
        mut control: ControlStream,
        says: &mut mpsc::Receiver<Say>,
    ) -> (End, String, bool) {
        let mut drained: Option<tokio::time::Instant> = None;
        loop {
            tokio::select! {
                frame = control.frames.next() => {
                    let frame = match frame {
                        Ok(frame) => frame,
                        Err(_) if drained.is_some() => return (End::Drained, "drained".to_owned(), false),
                        Err(end) => return (End::Lost, end.to_string(), false),
                    };
                    let frame = match ControlFrame::decode(&frame) {
                        Ok(frame) => frame,
                        Err(error) => {
                            // A gateway of a later version says what this one does not know.
                            tracing::warn!(%error, "a control message is not understood");
                            continue;
                        }
                    };
                    let last = self.judge(&frame.control, &mut drained);
                    if self.events.send(Event::Control(frame)).await.is_err() {
                        return (End::Lost, String::new(), true);
                    }
                    if let Some((end, why)) = last {
                        return (end, why, false);
                    }
                }
                say = says.recv() => {
                    let said = match say {
                        Some(Say::New(message)) => control.say(message, None).await,
                        Some(Say::Reply(re, message)) => control.say(message, Some(re)).await,
                        None => {
                            let _ = control.send.finish();
                            return (End::Drained, "the agent stops".to_owned(), true);
                        }
                    };
                    if let Err(why) = said {
                        return (End::Lost, why, false);
                    }
                }
                () = at(drained) => return (End::Drained, "drained".to_owned(), false),
            }
        }
    }
}

impl Uplink {
    /// What a control message means for the connection itself; something: it is the last.
    fn judge(
        &self,
        control: &Control,
        drained: &mut Option<tokio::time::Instant>,
    ) -> Option<(End, String)> {
        match control {
            Control::Drain {
                reason: DrainReason::Removed,
                ..
            } => return Some((End::Refused(None), "the box was removed".to_owned())),
            Control::Drain { within, .. } => {
                // Some time before its end, so that not all boxes move at once.
                let within = Duration::from_secs(u64::from(*within).min(600));
                let wait = within.mul_f64(0.5 + rand::random::<f64>() / 2.0);
                *drained = Some(self.clock.instant(self.clock.monotonic()) + wait);
            }
            Control::Err(error) if error.code == ErrorCode::Suspended => {
                return Some((End::Refused(error.retry), "suspended".to_owned()));
            }
            Control::Time(now) => self.clock.correct(*now),
            _ => {}
        }
        None
    }
}

fn hello(introduction: Introduction, queue: QueueState) -> EdgeHello {
    EdgeHello {
        minor: MINOR,
        version: env!("CARGO_PKG_VERSION").chars().take(32).collect(),
        run: introduction.run,
        key: introduction.key,
        assignment: introduction.assignment,
        queue,
        ways: introduction.ways,
    }
}

struct ControlStream {
    send: SendStream,
    frames: FrameReader,
    mid: u16,
}

impl ControlStream {
    async fn say(&mut self, control: Control, re: Option<u16>) -> Result<(), String> {
        self.mid = self.mid.wrapping_add(1);
        let frame = ControlFrame {
            mid: self.mid,
            re,
            control,
        };
        let bytes = stream_frame(&frame.encode());
        self.send
            .write_all(&bytes)
            .await
            .map_err(|error| error.to_string())
    }
}

/// A refusal does not go away by itself soon; what broke may.
fn end_of(error: &ConnectionError) -> End {
    match error {
        ConnectionError::VersionMismatch => End::Refused(None),
        ConnectionError::ApplicationClosed(close) if u64::from(close.error_code) != 0 => {
            End::Refused(None)
        }
        // 0x100 and up: TLS alerts, a certificate above all.
        ConnectionError::ConnectionClosed(close)
            if (0x100..0x200).contains(&u64::from(close.error_code)) =>
        {
            End::Refused(None)
        }
        ConnectionError::TransportError(error)
            if (0x100..0x200).contains(&u64::from(error.code)) =>
        {
            End::Refused(None)
        }
        _ => End::Lost,
    }
}

async fn at(when: Option<tokio::time::Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Waits until the agent ends; what it says meanwhile has no one to hear it.
async fn closed(says: &mut mpsc::Receiver<Say>) {
    while says.recv().await.is_some() {}
}
