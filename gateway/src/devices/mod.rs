//! Live sessions of devices: registry (terms), one actor a session, wire to domain translation, ingest, dispatch.
//!
//! - A session is opened only for a certificate the fleet table knows at that moment, resumed TLS sessions too.
//! - One device has one live session, the one of the highest term.
//! - Nothing here decides about users: commands arrive signed, records leave checked.

pub mod link;

mod fleet;
mod flight;
mod ingest;
mod mailbox;
mod presence;
mod proof;
mod rate;
mod registry;
mod session;
mod settings;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sealgate_domain::{DeviceId, OrganizationId, command::Domain, device::Life};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    fleet::Fleet,
    ingest::{Ingest, Limits},
    link::{CloseReason, Identity, LinkKind, Refusal, SessionHost, UplinkSink},
    mailbox::Note,
    presence::Presence,
    registry::Registry,
    session::Session,
};
use crate::{
    app::{
        App, AppError,
        session::{Credentials, PresenceNote},
    },
    clock::SharedClock,
    signer::SharedSigner,
    tasks,
    telemetry::Metrics,
};

pub use ingest::Fault;
pub use mailbox::Outgoing;
pub use rate::Rate;
pub use settings::Settings;

/// How long a device is told to stay away while there is no room.
const BUSY: Duration = Duration::from_secs(10);

/// What all sessions share.
struct Host {
    app: App,
    signer: SharedSigner,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    settings: Settings,
    registry: Registry,
    fleet: Fleet<Credentials>,
    ingest: Ingest<session::StampCommit>,
    presence: Arc<Presence>,
    draining: AtomicBool,
    sessions: TaskTracker,
    stop_presence: CancellationToken,
    workers: TaskTracker,
}

/// The live sessions of this node. Cheap to clone.
#[derive(Clone)]
pub struct Devices {
    host: Arc<Host>,
}

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Devices")
            .field("sessions", &self.host.registry.len())
            .finish_non_exhaustive()
    }
}

impl Devices {
    /// Marks what an earlier run of this node left as disconnected, and gets ready for sessions.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn start(
        app: App,
        signer: SharedSigner,
        metrics: Arc<Metrics>,
        settings: Settings,
    ) -> Result<Self, AppError> {
        let last_term = app.forget_presence(&settings.node).await?;
        let clock = app.clock.clone();
        let limits = Limits {
            queue: settings.ingest_queue,
            rows: settings.ingest_rows,
        };
        let commit = session::StampCommit::new(app.clone());
        let workers = TaskTracker::new();
        let ingest = Ingest::start(commit, limits, clock.clone(), metrics.clone());
        let presence = Arc::new(Presence::default());
        let stop_presence = CancellationToken::new();
        let writing =
            Arc::clone(&presence).run(app.clone(), settings.node.clone(), stop_presence.clone());
        tasks::spawn("presence", workers.track_future(writing));
        let host = Host {
            app,
            signer,
            clock,
            metrics,
            registry: Registry::new(settings.max_sessions, last_term),
            settings,
            fleet: Fleet::new(),
            ingest,
            presence,
            draining: AtomicBool::new(false),
            sessions: TaskTracker::new(),
            stop_presence,
            workers,
        };
        Ok(Self {
            host: Arc::new(host),
        })
    }

    /// Hands a signed command to the device's session. False when there is none here that takes it, or when it has no
    /// room: the command waits.
    #[must_use]
    pub fn dispatch(&self, device: DeviceId, command: Outgoing) -> bool {
        let handle = self.host.registry.find(device);
        handle.is_some_and(|handle| {
            (handle.is_greeted() || command.domain == Domain::Lock.number())
                && handle.mailbox.push(Note::Command(command))
        })
    }

    /// Whether the device has a session on this node that takes commands of that domain: before HELLO those of the
    /// lock alone.
    #[must_use]
    pub fn takes(&self, device: DeviceId, domain: Option<Domain>) -> bool {
        let handle = self.host.registry.find(device);
        handle.is_some_and(|handle| handle.is_greeted() || domain == Some(Domain::Lock))
    }

    /// The devices with a session on this node.
    #[must_use]
    pub fn live(&self) -> Vec<DeviceId> {
        self.host.registry.devices()
    }

    /// The device's row changed: the next session is checked against it, a live one at once.
    pub fn changed(&self, device: DeviceId) {
        self.host.fleet.forget(device);
        if let Some(handle) = self.host.registry.find(device) {
            handle.mailbox.push(Note::Refresh);
        }
    }

    /// Ends the device's session at once and forgets its certificate.
    pub fn revoke(&self, device: DeviceId) {
        self.host.fleet.forget(device);
        if let Some(handle) = self.host.registry.find(device) {
            handle.close(CloseReason::NotAuthorized);
        }
    }

    /// Live sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.host.registry.len()
    }

    /// Opens no more sessions, settles what is under way, ends all and writes the last presence. Waits until done.
    pub async fn drain(&self) {
        self.host.draining.store(true, Ordering::SeqCst);
        self.host.registry.close_all(CloseReason::Draining);
        self.host.sessions.close();
        self.host.sessions.wait().await;
        self.host.stop_presence.cancel();
        self.host.workers.close();
        self.host.workers.wait().await;
    }
}

impl Host {
    /// The device's row of the fleet table.
    async fn credentials(&self, device: DeviceId) -> Result<Option<Arc<Credentials>>, AppError> {
        let asked = match self.fleet.find(device) {
            Ok(known) => return Ok(Some(known)),
            Err(asked) => asked,
        };
        let Some(found) = self.app.device_credentials(device).await? else {
            return Ok(None);
        };
        let found = Arc::new(found);
        self.fleet.keep(device, asked, Arc::clone(&found));
        Ok(Some(found))
    }

    /// Checks the certificate against the fleet table.
    async fn admit(&self, identity: &Identity) -> Result<Arc<Credentials>, Refusal> {
        let unreadable = |error: AppError| {
            tracing::error!(%error, "the fleet table cannot be read");
            Refusal::Unavailable
        };
        let device = identity.device;
        let known = self.credentials(device).await.map_err(unreadable)?;
        let mut row = known.ok_or(Refusal::NotAuthorized)?;
        if row.certificate != identity.certificate {
            // A renewed one, seen here for the first time, or registered while another node held the session.
            let proven = self.app.certificate_proven(device, identity.certificate);
            proven.await.map_err(unreadable)?;
            self.fleet.forget(device);
            let known = self.credentials(device).await.map_err(unreadable)?;
            row = known.ok_or(Refusal::NotAuthorized)?;
        }
        if row.certificate != identity.certificate {
            return Err(Refusal::NotAuthorized);
        }
        check(&row).map(|()| row)
    }
}

/// May a device with this row have a session?
fn check(row: &Credentials) -> Result<(), Refusal> {
    match row.life {
        _ if row.revoked => Err(Refusal::NotAuthorized),
        Life::Retired => Err(Refusal::Retired),
        _ => Ok(()),
    }
}

/// A device's place in the registry, given back however its session ends.
struct Seat {
    host: Arc<Host>,
    device: DeviceId,
    term: u64,
    link: LinkKind,
    organization: Option<OrganizationId>,
}

impl Seat {
    fn note(&self, connected: bool) {
        self.host.presence.note(PresenceNote {
            device: self.device,
            organization: self.organization,
            term: self.term,
            connected: Some((connected, label(self.link))),
            at: self.host.clock.now(),
            status: None,
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.host.registry.leave(self.device, self.term);
        let sessions = &self.host.metrics.sessions;
        sessions.with_label_values(&[label(self.link)]).dec();
        self.note(false);
    }
}

const fn label(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Mqtt => "mqtt",
        LinkKind::Cluster => "cluster",
        LinkKind::Edge => "edge",
    }
}

impl SessionHost for Devices {
    async fn open(&self, identity: Identity) -> Result<link::Session, Refusal> {
        let host = &self.host;
        if host.draining.load(Ordering::SeqCst) {
            return Err(Refusal::Unavailable);
        }
        let (device, kind) = (identity.device, identity.kind);
        let mut credentials = host.admit(&identity).await?;
        let now = (host.clock.now(), host.clock.monotonic());
        let entered = host.registry.enter(device, now);
        let (handle, taken_over) = entered.map_err(|_| Refusal::Busy(BUSY))?;
        host.metrics
            .sessions
            .with_label_values(&[label(kind)])
            .inc();
        let seat = Seat {
            host: Arc::clone(host),
            device,
            term: handle.term,
            link: kind,
            organization: credentials.organization,
        };
        if taken_over {
            host.metrics.takeovers.inc();
        }
        // Who was revoked between the check and the registry would be missed by both.
        if !host.fleet.still(device, &credentials) {
            credentials = host.admit(&identity).await?;
        }
        if host.draining.load(Ordering::SeqCst) {
            return Err(Refusal::Unavailable);
        }
        seat.note(true);
        let (up, from_link) = mpsc::channel(host.settings.uplink_queue);
        let (to_link, down) = mpsc::channel(host.settings.downlink_queue);
        let (term, closed) = (handle.term, handle.cancel.clone());
        let session = Box::new(Session::new(
            Arc::clone(host),
            (device, kind),
            handle,
            to_link,
            credentials,
        ));
        let running = async move {
            let end = session.run(from_link).await;
            let ends = &seat.host.metrics.session_ends;
            ends.with_label_values(&[end.label()]).inc();
        };
        tasks::spawn_many("session", host.sessions.track_future(running));
        Ok(link::Session {
            term,
            uplink: UplinkSink::new(up),
            downlink: down,
            closed,
        })
    }
}
