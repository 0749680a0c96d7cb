//! From a listening socket to an authenticated stream.
//!
//! Constraints: `accept` waits for nobody. A connection takes a session slot before anything is read (none free:
//! closed at once), shows a first byte before it may queue for a handshake, and handshakes at most so many at a
//! time. Who keeps others waiting gets less patience: while the handshake places are all taken, a place is lost
//! after a short silence ([`GateLimits::impatience`]) instead of the whole timeout, so silent peers cannot hold the door.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    mqtt::conn::{Counted, Meter},
    stats::{Count, Stats},
};
use crate::{clock::SharedClock, tasks};

/// How often patience is reconsidered.
const LOOK: Duration = Duration::from_millis(250);

/// Connections the kernel may hold for us.
const BACKLOG: i32 = 4_096;

/// What TLS may hold for a peer that reads slowly.
const TLS_BUFFER: usize = 16 * 1024;

/// Limits of a listener before a session exists.
#[derive(Debug, Clone)]
pub(super) struct GateLimits {
    /// Connections altogether, sessions included.
    pub(super) max_sessions: usize,
    /// Handshakes at a time.
    pub(super) handshakes: usize,
    /// From the first byte to the end of the handshake, and the longest wait for each of the two before it.
    pub(super) handshake_timeout: Duration,
    /// Silence allowed while others wait for a place. A few round trips of a slow radio link must fit.
    pub(super) impatience: Duration,
    /// Unacknowledged TCP data may be this old.
    pub(super) write_timeout: Duration,
}

/// The door of one listener.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: GateLimits,
    slots: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) clock: SharedClock,
    /// Cancelled when the listener drains.
    pub(crate) draining: CancellationToken,
    /// Every task of the listener.
    pub(crate) tasks: TaskTracker,
}

/// A place among all sessions, given back when dropped.
pub(crate) type Slot = OwnedSemaphorePermit;

/// A handshake that went well.
pub(crate) struct Entered {
    pub(crate) stream: Box<TlsStream<Counted>>,
    /// Held until CONNECT has been read.
    pub(crate) place: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(limits: GateLimits, stats: Arc<Stats>, clock: SharedClock) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(limits.max_sessions)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            limits,
            stats,
            clock,
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Accepts until draining; `admit` must return at once (it spawns).
    pub(crate) async fn accept(
        &self,
        listener: TcpListener,
        admit: impl Fn(Counted, SocketAddr, Slot),
    ) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    self.stats.bump(Count::Accepted);
                    let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                        self.stats.bump(Count::RefusedFull);
                        continue;
                    };
                    self.tune(&socket);
                    admit(Counted::new(socket), peer, slot);
                }
                Err(error) => {
                    // Out of descriptors or memory: the ones we have will free some.
                    self.stats.bump(Count::AcceptFailed);
                    warn!(%error, "accept failed");
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// Spawns a task that draining waits for.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        // Tracked, so nobody needs the handle.
        drop(tasks::spawn_many(name, self.tasks.track_future(task)));
    }

    fn tune(&self, socket: &TcpStream) {
        let tuned = socket.set_nodelay(true).and_then(|()| {
            SockRef::from(socket).set_tcp_user_timeout(Some(self.limits.write_timeout))
        });
        if let Err(error) = tuned {
            debug!(%error, "socket options");
        }
    }

    /// Waits for a first byte and a place, then shakes hands.
    pub(crate) async fn enter(
        &self,
        socket: Counted,
        tls: Arc<ServerConfig>,
    ) -> Result<Entered, Count> {
        let meter = socket.shared_meter();
        let total = self.limits.handshake_timeout;
        self.patiently(&meter, total, socket.first_byte())
            .await
            .ok_or(Count::HandshakeTimeout)?
            .map_err(|_| Count::HandshakeFailed)?;
        let place = timeout(total, self.handshakes.clone().acquire_owned())
            .await
            .map_err(|_| Count::HandshakeTimeout)?
            .map_err(|_| Count::HandshakeFailed)?;
        let accept = TlsAcceptor::from(tls).accept_with(socket, |connection| {
            connection.set_buffer_limit(Some(TLS_BUFFER));
        });
        let stream = self
            .patiently(&meter, total, accept)
            .await
            .ok_or(Count::HandshakeTimeout)?
            .map_err(|error| {
                debug!(%error, "handshake");
                Count::HandshakeFailed
            })?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        self.stats.bump(if resumed {
            Count::HandshakeResumed
        } else {
            Count::HandshakeFull
        });
        Ok(Entered {
            stream: Box::new(stream),
            place,
        })
    }

    /// Runs `future` for at most `total`, and less without a byte while others wait.
    pub(crate) async fn patiently<F: Future>(
        &self,
        meter: &Meter,
        total: Duration,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        let started = self.clock.monotonic();
        let (mut heard, mut heard_at) = (meter.read(), started);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                () = self.draining.cancelled() => return None,
                () = sleep(LOOK.min(total)) => {}
            }
            let now = self.clock.monotonic();
            if meter.read() != heard {
                (heard, heard_at) = (meter.read(), now);
            }
            let crowded = self.handshakes.available_permits() == 0
                || self.slots.available_permits() < self.limits.max_sessions / 16;
            if now - started >= total
                || (crowded && now - heard_at >= self.limits.impatience.min(total))
            {
                return None;
            }
        }
    }
}

/// Binds with a deep backlog.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
