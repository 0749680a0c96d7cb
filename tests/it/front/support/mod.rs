//! A front with a session host that is not the gateway's, a fleet CA of its own, and clients that may misbehave.

mod client;
mod fleet;
mod host;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sealgate::{
    clock::{Clock, SharedClock, SystemClock},
    ingress::{
        front::{Front, FrontConfig, FrontHandle},
        stats::{Count, Stats},
    },
};
use sealgate_domain::{DeviceId, Millis};

pub(crate) use self::{
    client::{Client, Heard, Mqtt, connect_bytes, raw_tcp},
    fleet::{Fleet, Papers},
    host::FakeHost,
};

/// Far beyond what anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The machine's clock, which may be made to jump.
#[derive(Debug)]
pub(crate) struct JumpClock {
    real: SystemClock,
    ahead: AtomicI64,
}

impl JumpClock {
    pub(crate) fn jump(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).expect("a reasonable jump");
        self.ahead.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for JumpClock {
    fn now(&self) -> Millis {
        self.real.now().plus(self.ahead.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic()
    }
}

/// A running front, a fleet, and a bystander who must be served whatever happens.
pub(crate) struct Scene {
    pub(crate) front: FrontHandle,
    pub(crate) host: Arc<FakeHost>,
    pub(crate) fleet: Fleet,
    pub(crate) clock: Arc<JumpClock>,
    bystander: Client,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut FrontConfig)) -> Self {
        let fleet = Fleet::new();
        let host = Arc::new(FakeHost::default());
        let clock = Arc::new(JumpClock {
            real: SystemClock::new(),
            ahead: AtomicI64::new(0),
        });
        let mut config = FrontConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            handshake_timeout: Duration::from_secs(3),
            impatience: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(2),
            ..FrontConfig::default()
        };
        change(&mut config);
        let shared: SharedClock = clock.clone();
        let front = Front::start(
            config,
            fleet.server(),
            host.clone(),
            shared,
            Arc::new(Stats::default()),
        )
        .expect("a front");
        let papers = fleet.issue(id(0xB5));
        let bystander = Client::open(front.local_addr(), &papers, Mqtt::V4).await;
        Self {
            front,
            host,
            fleet,
            clock,
            bystander,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.front.local_addr()
    }

    /// A session of device `n`.
    pub(crate) async fn client(&self, n: u8, mqtt: Mqtt) -> Client {
        Client::open(self.address(), &self.fleet.issue(id(n)), mqtt).await
    }

    pub(crate) fn count(&self, count: Count) -> u64 {
        self.front.stats().get(count)
    }

    /// Waits until something has been counted so often.
    pub(crate) async fn counted(&self, count: Count, times: u64) {
        until(count.label(), || self.count(count) >= times).await;
    }

    /// The bystander's session works, and a newcomer gets one.
    pub(crate) async fn others_are_served(&mut self) {
        self.bystander.roundtrip().await;
        let mut newcomer = self.client(0xB6, Mqtt::V5).await;
        newcomer.roundtrip().await;
        newcomer.disconnect().await;
    }
}

/// A device id.
pub(crate) fn id(n: u8) -> DeviceId {
    DeviceId([n; 8])
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "waited in vain: {what}");
}
