//! One actor a seal: its link, its part of the queue, its stream to the gateway.
//!
//! Constraints and invariants:
//! - All decisions are [`SealCore`]'s; the actor carries them out, one at a time, in order.
//! - It owns its connection and its stream. A panic ends one seal's actor; the agent begins it again.
//! - Nobody waits for an actor: whoever has something for it uses a bounded channel and does not wait when it is full.
//! - A stream that does not move is ended and opened anew: everything in it is in the queue, or worth nothing later.

mod core;
mod live;
#[cfg(test)]
pub(crate) mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sealgate_codec::{
    DeviceId, ErrorCode,
    edge::{Assigned, LinkState, SealFrame},
    link::{BoxSetup, CloseCode, CloseReason, Millis},
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep_until, timeout},
};
use zeroize::Zeroizing;

use crate::{clock::Clock, port::Connection, queue::Queue};

pub use core::{Appended, Output, SealCore};

/// Frames that wait in a stream, each way.
pub const FRAMES: usize = 256;
/// Room that live frames have while messages of the queue go up.
const LIVE: usize = 64;
/// Bytes read from the queue at once.
const READ: usize = 32 * 1024;
/// Values that wait to be written, before the connection counts as stuck.
const WRITES: usize = 128;
/// How long opening a stream may take, and how long until the next try.
const OPEN: (Duration, Millis) = (Duration::from_secs(2), 2_000);
/// How long the queue is left alone after it failed.
const QUEUE_AGAIN: Millis = 1_000;

/// A seal's stream, as its actor sees it. Dropping it ends the stream.
#[derive(Debug)]
pub struct SealStream {
    /// To the gateway.
    pub up: mpsc::Sender<SealFrame>,
    /// From the gateway; its end is the end of the stream.
    pub down: mpsc::Receiver<SealFrame>,
}

/// A connection to the gateway on which streams can be opened.
pub trait Streams: Send + Sync + 'static {
    /// Opens one; nothing: the connection is over.
    fn open(&self) -> BoxFuture<'_, Option<SealStream>>;
}

/// The present connection to the gateway, if there is one.
pub type Uplink = watch::Receiver<Option<Arc<dyn Streams>>>;

/// What an actor is told.
pub enum Command {
    /// Open a link over this connection.
    Link {
        /// The connection.
        connection: Connection,
        /// The seal's keys and ticket.
        seal: Box<Assigned>,
    },
    /// End the link.
    Close(CloseCode),
}

/// What an actor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The link is open.
    Opened {
        /// Only part of the messages pass.
        restricted: bool,
    },
    /// The link is over.
    Closed(CloseReason),
    /// A link was not even begun: the ticket is not for this box, or the queue gives no number.
    NotBegun(ErrorCode),
    /// The queue had no room for what the seal said.
    NoRoom,
    /// The gateway stored something.
    Progress,
    /// The gateway refuses the seal's stream.
    Refused(ErrorCode),
}

/// What an actor needs beside its seal.
#[derive(Clone)]
pub struct Means {
    /// The queue.
    pub queue: Queue,
    /// Clocks.
    pub clock: Clock,
    /// The box's X25519 secret.
    pub secret: Arc<Zeroizing<[u8; 32]>>,
    /// The connection to the gateway.
    pub uplink: Uplink,
    /// Where notices go.
    pub notices: mpsc::Sender<(DeviceId, Notice)>,
    /// BLE links without a word for so long are ended.
    pub idle: Millis,
}

/// One seal.
pub struct SealActor {
    dev: DeviceId,
    means: Means,
    core: SealCore,
    connection: Option<Connection>,
    writes: VecDeque<Vec<u8>>,
    stream: Option<SealStream>,
    /// Something waits in the queue, as far as is known.
    waiting: bool,
    /// No stream is tried before this.
    stream_at: Millis,
    /// The queue is not read before this.
    read_at: Millis,
}

enum Turn {
    Command(Option<Command>),
    Value(Option<Vec<u8>>),
    Written(bool),
    Frame(Option<SealFrame>),
    Uplink(bool),
    Due,
}

impl SealActor {
    /// For this seal, whose last link had this number.
    #[must_use]
    pub fn new(dev: DeviceId, term: u32, means: Means) -> Self {
        let core = SealCore::new(dev, term, means.idle);
        Self {
            dev,
            means,
            core,
            connection: None,
            writes: VecDeque::new(),
            stream: None,
            waiting: true,
            stream_at: 0,
            read_at: 0,
        }
    }

    /// Works until `commands` is closed; then ends the link, and the stream as soon as nothing waits in the queue.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut open = true;
        loop {
            self.streams().await;
            self.carry_out().await;
            while self.pump().await {
                self.carry_out().await;
            }
            if !open && !self.core.has_link() && (self.stream.is_none() || self.core.is_drained()) {
                return;
            }
            match self.turn(&mut commands, open).await {
                Turn::Command(Some(command)) => self.obey(command).await,
                Turn::Command(None) => {
                    open = false;
                    self.core.close(CloseCode::Stop, self.now());
                }
                Turn::Value(Some(value)) => self.core.bytes(&value, self.now()),
                Turn::Value(None) => self.core.hung_up(self.now()),
                Turn::Written(true) => {}
                Turn::Written(false) => self.core.hung_up(self.now()),
                Turn::Frame(Some(frame)) => {
                    if self.core.frame(frame, self.now()).is_err() {
                        tracing::warn!(dev = %self.dev, "the gateway broke the order of a stream");
                        self.end_stream(10_000);
                    }
                }
                Turn::Frame(None) => self.end_stream(1_000),
                Turn::Uplink(true) => self.stream_at = 0,
                Turn::Uplink(false) => return,
                Turn::Due => self.core.tick(self.now()),
            }
        }
    }

    fn now(&self) -> Millis {
        self.means.clock.monotonic()
    }

    async fn turn(&mut self, commands: &mut mpsc::Receiver<Command>, open: bool) -> Turn {
        let deadline = self.deadline();
        let due = self.means.clock.instant(deadline.unwrap_or(0));
        let takes = self.core.takes_frames();
        let (incoming, outgoing) = match &mut self.connection {
            Some(connection) => (
                Some(&mut connection.incoming),
                Some(&connection.outgoing).filter(|_| !self.writes.is_empty()),
            ),
            None => (None, None),
        };
        let down = self.stream.as_mut().map(|stream| &mut stream.down);
        // No order among them: a seal that floods its link must not keep a lock from coming.
        tokio::select! {
            command = commands.recv(), if open => Turn::Command(command),
            changed = self.means.uplink.changed() => Turn::Uplink(changed.is_ok()),
            permit = reserve(outgoing) => match (permit, self.writes.pop_front()) {
                (Some(permit), Some(value)) => {
                    permit.send(value);
                    Turn::Written(true)
                }
                _ => Turn::Written(false),
            },
            value = receive(incoming) => Turn::Value(value),
            frame = receive(down.filter(|_| takes)) => Turn::Frame(frame),
            () = sleep_until(due), if deadline.is_some() => Turn::Due,
        }
    }

    fn deadline(&self) -> Option<Millis> {
        let stream = (self.stream.is_none()
            && self.core.wants_stream(self.waiting)
            && self.means.uplink.borrow().is_some())
        .then_some(self.stream_at);
        let read = (self.stream.is_some() && self.core.wants().is_some() && self.read_at > 0)
            .then_some(self.read_at);
        [self.core.deadline(), stream, read]
            .into_iter()
            .flatten()
            .min()
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Close(code) => self.core.close(code, self.now()),
            Command::Link { connection, seal } => {
                if self.core.has_link() {
                    self.core.close(CloseCode::Done, self.now());
                    self.carry_out().await;
                }
                if let Err(code) = self.link(connection, *seal).await {
                    self.tell(Notice::NotBegun(code)).await;
                }
            }
        }
    }

    async fn link(&mut self, connection: Connection, seal: Assigned) -> Result<(), ErrorCode> {
        let ticket = seal.ticket.ok_or(ErrorCode::NotUser)?;
        let term = match self.means.queue.next_term(self.dev).await {
            Ok(term) => term,
            Err(error) => {
                tracing::error!(dev = %self.dev, %error, "no number for a link");
                return Err(ErrorCode::Internal);
            }
        };
        let setup = BoxSetup {
            framing: connection.framing,
            limits: connection.limits,
            secret: **self.means.secret,
            seal: seal.key,
            ticket,
            ephemeral: rand::random(),
        };
        self.core
            .connect(setup, term, connection.rssi, self.means.clock.monotonic())?;
        self.writes.clear();
        self.connection = Some(connection);
        Ok(())
    }

    /// Opens or ends the stream, as the connection to the gateway and the work demand.
    async fn streams(&mut self) {
        let uplink = self.means.uplink.borrow_and_update().clone();
        let Some(uplink) = uplink else {
            if self.stream.is_some() {
                self.end_stream(0);
            }
            return;
        };
        let now = self.now();
        if self.stream.is_some() || now < self.stream_at || !self.core.wants_stream(self.waiting) {
            return;
        }
        self.stream_at = now + OPEN.1;
        let queued = match self.means.queue.read(self.dev, 0, 1).await {
            Ok(first) => first.first().map_or(0, |message| message.pos),
            Err(error) => {
                tracing::error!(dev = %self.dev, %error, "the queue cannot be read");
                return;
            }
        };
        self.waiting = queued > 0;
        if !self.core.wants_stream(self.waiting) {
            self.stream_at = 0;
            return;
        }
        if let Ok(Some(stream)) = timeout(OPEN.0, uplink.open()).await {
            self.stream = Some(stream);
            self.core.stream_opened(queued, self.now());
        }
    }

    fn end_stream(&mut self, again: Millis) {
        self.stream = None;
        self.stream_at = self.now() + again;
        self.core.stream_closed();
    }

    /// Messages of the queue go up as far as the window and the stream allow; whether some did.
    async fn pump(&mut self) -> bool {
        let now = self.now();
        let room = self.stream.as_ref().map_or(0, |s| s.up.capacity());
        let Some(after) = self
            .core
            .wants()
            .filter(|_| room > LIVE && now >= self.read_at)
        else {
            return false;
        };
        match self.means.queue.read(self.dev, after, READ).await {
            Ok(mut messages) => {
                self.read_at = 0;
                // What the stream has no room for is read again.
                messages.truncate(room - LIVE);
                let any = !messages.is_empty();
                self.waiting = any || self.waiting && after > 0;
                self.core.queued(messages);
                any
            }
            Err(error) => {
                tracing::error!(dev = %self.dev, %error, "the queue cannot be read");
                self.read_at = now + QUEUE_AGAIN;
                false
            }
        }
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Write(value) => self.write(value),
                Output::Append {
                    term,
                    message,
                    reserve,
                } => self.append(term, message, reserve).await,
                Output::Stored(upto) => {
                    match self.means.queue.stored(self.dev, upto).await {
                        Ok(()) => self.tell(Notice::Progress).await,
                        // It stays, goes up again, and is answered by "stored" again.
                        Err(error) => tracing::error!(dev = %self.dev, %error, "not dropped"),
                    }
                }
                Output::Up(frame) => self.up(frame),
                Output::Opened { restricted } => self.tell(Notice::Opened { restricted }).await,
                Output::Closed(reason) => {
                    self.flush();
                    self.connection = None;
                    self.tell(Notice::Closed(reason)).await;
                }
                Output::NoRoom => self.tell(Notice::NoRoom).await,
                Output::Refused(code, retry) => {
                    self.end_stream(Millis::from(retry.max(1)) * 1000);
                    self.tell(Notice::Refused(code)).await;
                }
            }
        }
    }

    fn write(&mut self, value: Vec<u8>) {
        let Some(connection) = &self.connection else {
            return;
        };
        if self.writes.is_empty() {
            match connection.outgoing.try_send(value) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(value)) => self.writes.push_back(value),
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        } else {
            self.writes.push_back(value);
        }
        if self.writes.len() > WRITES {
            tracing::debug!(dev = %self.dev, "the connection is stuck");
            self.writes.clear();
            self.core.hung_up(self.means.clock.monotonic());
        }
    }

    /// The last words of a link, as far as they find room.
    fn flush(&mut self) {
        if let Some(connection) = &self.connection {
            for value in self.writes.drain(..) {
                if connection.outgoing.try_send(value).is_err() {
                    break;
                }
            }
        }
        self.writes.clear();
    }

    async fn append(&mut self, term: u32, message: Vec<u8>, reserve: bool) {
        let queue = &self.means.queue;
        let result = match queue.append(self.dev, term, message.clone(), reserve).await {
            Ok(Some(_)) => Appended::Done,
            Ok(None) => Appended::NoRoom,
            Err(error) => {
                tracing::error!(dev = %self.dev, %error, "not appended");
                Appended::NoRoom
            }
        };
        self.waiting |= result == Appended::Done;
        self.core.appended(&message, result, self.now());
    }

    fn up(&mut self, frame: SealFrame) {
        let stuck = match &self.stream {
            Some(stream) => stream.up.try_send(frame).is_err(),
            None => false,
        };
        if stuck {
            tracing::debug!(dev = %self.dev, "the stream does not move");
            self.end_stream(1_000);
        }
    }

    async fn tell(&self, notice: Notice) {
        // Without an agent there is nobody to tell; the actor ends with its commands.
        let _ = self.means.notices.send((self.dev, notice)).await;
    }

    /// How the link is.
    #[must_use]
    pub const fn link_state(&self) -> LinkState {
        self.core.link_state()
    }
}

async fn receive<T>(from: Option<&mut mpsc::Receiver<T>>) -> Option<T> {
    match from {
        Some(from) => from.recv().await,
        None => std::future::pending().await,
    }
}

async fn reserve(to: Option<&mpsc::Sender<Vec<u8>>>) -> Option<mpsc::Permit<'_, Vec<u8>>> {
    match to {
        Some(to) => to.reserve().await.ok(),
        None => std::future::pending().await,
    }
}
