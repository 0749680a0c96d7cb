//! The second listener: business subscribers, who read events over MQTT 3.1.1 or 5.
//!
//! Constraints: a token is the password (the user name is free), looked at again every half minute; nothing can be
//! published; a filter is granted only if every organization it could select is the token's to see, and what a
//! wildcard selects is delivered only where the token has the right to that family too; QoS 0 only, because
//! the bus is lossy and a subscriber catches up over HTTP; one token has some sessions, never all of them; whoever does not keep up is disconnected.

mod connect;
mod filter;
mod seats;
mod session;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{ServerConfig, crypto::ring, version};
use tokio::time::timeout;
use uuid::Uuid;

use seats::Seats;

use super::{
    front::{TlsError, TlsMaterial},
    gate::{self, Gate, GateLimits},
    stats::Stats,
};
use crate::{
    bus::{Bus, Families, Family},
    clock::SharedClock,
};

/// What a drained listener still gives its sessions to say goodbye.
const GRACE: Duration = Duration::from_secs(3);

/// Longest silence of a handshake while others wait for its place.
const IMPATIENCE: Duration = Duration::from_secs(2);

/// What a token may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Every organization's events.
    All,
    /// One organization's events.
    Organization(Uuid),
}

impl Sees {
    /// Is the organization of that name in?
    fn reaches(self, organization: &str) -> bool {
        match self {
            Self::All => true,
            Self::Organization(own) => {
                let mut text = Uuid::encode_buffer();
                organization == &*own.hyphenated().encode_lower(&mut text)
            }
        }
    }
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// What it may see.
    pub sees: Sees,
    /// What it may see of that.
    pub families: Families,
    /// For logs.
    pub name: String,
}

impl Subscriber {
    /// May it see what is published under this topic?
    pub(super) fn may_see(&self, topic: &str) -> bool {
        let mut levels = topic.splitn(3, '/').skip(1);
        let (Some(organization), Some(family)) = (levels.next(), levels.next()) else {
            return false;
        };
        self.sees.reaches(organization)
            && Family::from_name(family).is_some_and(|family| self.families.has(family))
    }
}

/// Checks tokens; implemented over the use cases.
pub trait TokenCheck: Send + Sync + 'static {
    /// The subscriber a token stands for, if it is valid now and may read events.
    fn check(&self, token: &str) -> impl Future<Output = Option<Subscriber>> + Send;
}

/// Settings of the business listener.
#[derive(Debug, Clone)]
pub struct BusinessConfig {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Connections altogether.
    pub max_sessions: usize,
    /// Connections with one token.
    pub max_sessions_per_token: usize,
    /// TLS handshakes at a time.
    pub handshakes: usize,
    /// Longest handshake.
    pub handshake_timeout: Duration,
    /// Longest wait for CONNECT.
    pub connect_timeout: Duration,
    /// Longest time without progress while we have something to send.
    pub write_timeout: Duration,
    /// Longest keep-alive.
    pub max_keep_alive: Duration,
    /// How often a token is checked again.
    pub recheck: Duration,
    /// Packets a second of one client; they only ever ask, so more is slowed down.
    pub client_rate: u32,
}

impl Default for BusinessConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8884)),
            max_sessions: 256,
            max_sessions_per_token: 32,
            handshakes: 64,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            max_keep_alive: Duration::from_secs(1_200),
            recheck: Duration::from_secs(30),
            client_rate: 50,
        }
    }
}

/// The listener could not start.
#[derive(Debug, thiserror::Error)]
pub enum BusinessError {
    /// TLS material does not work.
    #[error("TLS of the business listener")]
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
struct Core<T> {
    config: BusinessConfig,
    gate: Arc<Gate>,
    tls: Option<Arc<Tls>>,
    bus: Bus,
    tokens: Arc<T>,
    seats: Arc<Seats>,
}

/// The business listener.
#[derive(Debug)]
pub struct Business;

impl Business {
    /// Binds and starts to accept; with TLS if there is material for it.
    ///
    /// # Errors
    /// The TLS material does not work or the address cannot be bound.
    pub fn start<T: TokenCheck>(
        config: BusinessConfig,
        tls: Option<TlsMaterial>,
        bus: Bus,
        tokens: Arc<T>,
        clock: SharedClock,
        stats: Arc<Stats>,
    ) -> Result<BusinessHandle, BusinessError> {
        let address = config.listen;
        let tls = tls.map(Tls::new).transpose()?.map(Arc::new);
        let listen = |source| BusinessError::Listen { address, source };
        let listener = gate::bind(address).map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let limits = GateLimits {
            max_sessions: config.max_sessions,
            handshakes: config.handshakes,
            handshake_timeout: config.handshake_timeout,
            impatience: IMPATIENCE,
            write_timeout: config.write_timeout,
        };
        let gate = Arc::new(Gate::new(limits, stats, clock));
        let core = Arc::new(Core {
            seats: Arc::new(Seats::new(config.max_sessions_per_token)),
            config,
            gate: gate.clone(),
            tls: tls.clone(),
            bus,
            tokens,
        });
        gate.spawn("business", async move {
            let admit = |socket, peer, slot| {
                let admitted = connect::admit(core.clone(), socket, peer, slot);
                core.gate.spawn("subscriber", admitted);
            };
            core.gate.accept(listener, admit).await;
        });
        Ok(BusinessHandle {
            gate,
            tls,
            local_addr,
        })
    }
}

/// The current configuration, replaceable while running.
#[derive(Debug)]
struct Tls(RwLock<Arc<ServerConfig>>);

impl Tls {
    fn new(material: TlsMaterial) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(configure(material)?)))
    }

    /// What the next handshake uses.
    fn config(&self) -> Arc<ServerConfig> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    fn replace(&self, material: TlsMaterial) -> Result<(), TlsError> {
        let config = configure(material)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }
}

fn configure(material: TlsMaterial) -> Result<Arc<ServerConfig>, TlsError> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(material.chain, material.key)?;
    Ok(Arc::new(config))
}

/// Controls a running listener.
#[derive(Debug, Clone)]
pub struct BusinessHandle {
    gate: Arc<Gate>,
    tls: Option<Arc<Tls>>,
    local_addr: SocketAddr,
}

impl BusinessHandle {
    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.gate.stats
    }

    /// Uses other TLS material from the next handshake on; a listener without TLS stays without.
    ///
    /// # Errors
    /// The material does not work; the old one stays.
    pub fn reload_tls(&self, material: TlsMaterial) -> Result<(), TlsError> {
        self.tls
            .as_ref()
            .map_or(Ok(()), |tls| tls.replace(material))
    }

    /// Stops accepting and closes every session. Says whether all of them ended.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.gate.draining.cancel();
        self.gate.tasks.close();
        timeout(deadline + GRACE, self.gate.tasks.wait())
            .await
            .is_ok()
    }
}
