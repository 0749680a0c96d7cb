//! The front: seals enter here, over MQTT 3.1.1 or 5 on one mTLS port.
//!
//! Invariants:
//! - A device is who its certificate says, in resumed sessions too; the session host checks it against the fleet
//!   table at every CONNECT. The client id only may repeat it.
//! - A device publishes `s1/<id>/{u,t,w}` and receives `s1/<id>/{d,b}`, nothing else: no wildcards, no retained
//!   messages, no QoS 2, no shared subscriptions. Both down topics are subscribed at CONNECT; wills are ignored.
//! - PUBACK leaves only when the session says that the message is durable, in order of arrival.
//! - Overload stops reading. Nothing that was received is dropped, and the keep-alive clock stands still while we
//!   are the ones who do not read.
//! - One task a session, no shared lock on its way, no buffer while idle.

mod connect;
mod ending;
mod identity;
mod inbound;
mod outbound;
mod session;
mod tickets;
mod tls;
mod topics;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::timeout;

use self::tls::Tls;
pub use self::tls::{TlsError, TlsMaterial};
use super::{
    gate::{self, Gate, GateLimits},
    stats::Stats,
};
use crate::{clock::SharedClock, devices::link::SessionHost};

/// What a drained listener still gives its sessions to say goodbye.
const GRACE: Duration = Duration::from_secs(3);

/// Settings of the seals' listener.
#[derive(Debug, Clone)]
pub struct FrontConfig {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Connections altogether; more are closed before TLS.
    pub max_sessions: usize,
    /// TLS handshakes at a time.
    pub handshakes: usize,
    /// Longest handshake.
    pub handshake_timeout: Duration,
    /// Longest silence of a handshake while others wait for its place.
    pub impatience: Duration,
    /// Longest wait for CONNECT after the handshake.
    pub connect_timeout: Duration,
    /// Longest wait for the session host to open a session.
    pub open_timeout: Duration,
    /// Longest time without progress while we have something to send.
    pub write_timeout: Duration,
    /// Longest time a message down may stay unacknowledged.
    pub ack_timeout: Duration,
    /// Longest keep-alive; longer ones, and none, become this.
    pub max_keep_alive: Duration,
    /// Messages a second of one device.
    pub device_rate: u32,
    /// Messages at once of one device.
    pub device_burst: u32,
    /// Messages up that may be unacknowledged; version 5 clients are told.
    pub receive_maximum: u16,
    /// Messages down that may be unacknowledged, where the client sets no lower limit.
    pub in_flight: u16,
    /// TLS sessions kept for resumption.
    pub tickets: usize,
    /// How long a TLS session may be resumed.
    pub ticket_lifetime: Duration,
}

impl Default for FrontConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8883)),
            max_sessions: 100_000,
            handshakes: 1_024,
            handshake_timeout: Duration::from_secs(15),
            impatience: Duration::from_secs(4),
            connect_timeout: Duration::from_secs(15),
            open_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            ack_timeout: Duration::from_secs(60),
            max_keep_alive: Duration::from_secs(1_200),
            device_rate: 50,
            device_burst: 200,
            receive_maximum: 32,
            in_flight: 16,
            tickets: 100_000,
            ticket_lifetime: Duration::from_secs(24 * 3_600),
        }
    }
}

/// The listener could not start.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// TLS material does not work.
    #[error("TLS of the front")]
    Tls(#[from] TlsError),
    /// The address is taken, or the like.
    #[error("listening on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// What every session of the listener shares.
#[derive(Debug)]
struct Core {
    config: FrontConfig,
    gate: Gate,
    tls: Tls,
    /// Monotonic time at which draining sessions end regardless.
    drain_by: OnceLock<Duration>,
}

/// The seals' listener.
#[derive(Debug)]
pub struct Front;

impl Front {
    /// Binds and starts to accept.
    ///
    /// # Errors
    /// The TLS material does not work or the address cannot be bound.
    pub fn start<H: SessionHost>(
        config: FrontConfig,
        tls: TlsMaterial,
        host: Arc<H>,
        clock: SharedClock,
        stats: Arc<Stats>,
    ) -> Result<FrontHandle, FrontError> {
        let address = config.listen;
        let tls = Tls::new(&config, tls, clock.clone())?;
        let listen = |source| FrontError::Listen { address, source };
        let listener = gate::bind(address).map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let limits = GateLimits {
            max_sessions: config.max_sessions,
            handshakes: config.handshakes,
            handshake_timeout: config.handshake_timeout,
            impatience: config.impatience,
            write_timeout: config.write_timeout,
        };
        let core = Arc::new(Core {
            gate: Gate::new(limits, stats, clock),
            config,
            tls,
            drain_by: OnceLock::new(),
        });
        let accepting = core.clone();
        core.gate.spawn("front", async move {
            let admit = |socket, peer, slot| {
                let admitted = connect::admit(accepting.clone(), host.clone(), socket, peer, slot);
                accepting.gate.spawn("admit", admitted);
            };
            accepting.gate.accept(listener, admit).await;
        });
        Ok(FrontHandle { core, local_addr })
    }
}

/// Controls a running listener.
#[derive(Debug, Clone)]
pub struct FrontHandle {
    core: Arc<Core>,
    local_addr: SocketAddr,
}

impl FrontHandle {
    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.core.gate.stats
    }

    /// Uses other TLS material from the next handshake on.
    ///
    /// # Errors
    /// The material does not work; the old one stays.
    pub fn reload_tls(&self, material: TlsMaterial) -> Result<(), TlsError> {
        self.core.tls.replace(material)
    }

    /// Stops accepting and reading, sends what is owed until `deadline` has passed, closes every session.
    /// Says whether all of them ended.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let gate = &self.core.gate;
        let by = gate.clock.monotonic() + deadline;
        let _ = self.core.drain_by.set(by);
        gate.draining.cancel();
        gate.tasks.close();
        timeout(deadline + GRACE, gate.tasks.wait()).await.is_ok()
    }
}
