//! Composition root: builds the rooms, holds the tasks, drains them in order.
//!
//! Start: data folder (locked against a second gateway), database, signer, use cases, bus, sessions, listeners, jobs,
//! HTTP; `run/addresses.json` appears when all of them work. Stop, in this order: not ready, seals' listener (what
//! was received is committed and acknowledged), sessions, jobs, business listener, HTTP, bus, database. Every step has
//! the same deadline; what is not done by then is abandoned, which loses nothing that was acknowledged.

mod certificates;
pub mod dev;
mod error;
mod listeners;
mod place;
mod settings;
mod tokens;
mod web;

use std::{net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration};

use sealgate_broker_config::files;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

pub use error::ServerError;

use crate::{
    app::{self, App, AppError},
    bus::Bus,
    clock::{SharedClock, SystemClock},
    config::{Config, SmsProvider},
    devices::{self, Devices},
    http::{Api, router},
    ingress::{
        business::{Business, BusinessHandle},
        front::{Front, FrontHandle, TlsMaterial},
    },
    jobs::{self, Jobs},
    providers::{
        Providers,
        sms::{LogSms, MemorySms},
    },
    signer::{Client, InProcess, SharedSigner},
    store::Store,
    tasks,
    telemetry::{self, Metrics},
};

use place::Place;
use tokens::Tokens;

/// How often readiness is looked at.
const WATCH: Duration = Duration::from_secs(1);
/// What costs the database something is looked at every so many times.
const SLOW_BEAT: u64 = 10;
/// A step of the end that takes longer is told.
const PATIENCE: Duration = Duration::from_secs(1);
/// A bus whose canary is away longer is not ready.
const BUS_LIMIT_S: f64 = 10.0;

/// Starts gateways.
#[derive(Debug)]
pub struct Server;

/// A running gateway.
#[derive(Debug)]
pub struct Running {
    /// Where the HTTP interface listens.
    pub http_addr: SocketAddr,
    /// Where seals connect.
    pub front_addr: SocketAddr,
    /// Where business subscribers connect.
    pub business_addr: SocketAddr,
    rooms: Rooms,
    http: JoinHandle<()>,
    stop: CancellationToken,
    deadline: Duration,
    place: Place,
}

/// What runs inside.
#[derive(Debug)]
struct Rooms {
    app: App,
    metrics: Arc<Metrics>,
    bus: Bus,
    devices: Devices,
    front: FrontHandle,
    business: BusinessHandle,
    jobs: Jobs,
}

impl Server {
    /// Starts a gateway; it is ready when this returns.
    ///
    /// # Errors
    /// See [`ServerError`]. What was started by then is stopped again.
    pub async fn start(config: Config) -> Result<Running, ServerError> {
        Self::start_with_clock(config, Arc::new(SystemClock::new())).await
    }

    /// The same with another clock, for tests.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn start_with_clock(
        config: Config,
        clock: SharedClock,
    ) -> Result<Running, ServerError> {
        let place = Place::take(&config)?;
        // The address is taken first: an operator hears of a wrong one before anything else happens.
        let listener = web::bind(&config).await?;
        let http_addr = web::local(&listener)?;
        let rooms = Rooms::build(&config, clock).await?;
        let stop = CancellationToken::new();
        let api = Api::new(
            rooms.app.clone(),
            rooms.metrics.clone(),
            config.http.clone(),
        );
        let limits = web::Limits::of(&config);
        let serving = web::serve(listener, router(api), limits, stop.clone());
        let http = tasks::spawn("http", serving);
        tasks::spawn(
            "readiness",
            watch(rooms.app.clone(), rooms.metrics.clone(), stop.clone()),
        );
        let running = Running {
            http_addr,
            front_addr: rooms.front.local_addr(),
            business_addr: rooms.business.local_addr(),
            rooms,
            http,
            stop,
            deadline: config.node.drain_timeout(),
            place,
        };
        let Running {
            front_addr,
            business_addr,
            ..
        } = running;
        running
            .place
            .announce(http_addr, front_addr, business_addr)?;
        tracing::info!(%http_addr, %front_addr, %business_addr, node = config.node.id, "ready");
        Ok(running)
    }
}

impl Rooms {
    async fn build(config: &Config, clock: SharedClock) -> Result<Self, ServerError> {
        let metrics = Arc::new(Metrics::new());
        let version = env!("CARGO_PKG_VERSION");
        telemetry::panics::count(&metrics);
        metrics.build_info.with_label_values(&[version]).set(1);
        let material = tls(config)?;
        certificates::show(&metrics, &material);
        let signer = build_signer(config, &clock, &metrics)?;
        let app = build_app(config, clock.clone()).await?;
        let bus = Bus::start(clock.clone(), Some(metrics.clone()));
        let settings = devices::Settings::new(config);
        let devices = Devices::start(app.clone(), signer.clone(), metrics.clone(), settings)
            .await
            .map_err(failed)?;
        let business = Business::start(
            settings::business(config)?,
            Some(material.clone()),
            bus.clone(),
            Arc::new(Tokens(app.clone())),
            clock.clone(),
            Arc::default(),
        )?;
        listeners::show(&metrics, "business", Arc::clone(business.stats()));
        let jobs = Jobs::start(&jobs::Parts {
            app: app.clone(),
            devices: devices.clone(),
            signer,
            bus: Some(bus.clone()),
            metrics: metrics.clone(),
            node: config.node.id.clone(),
            commands: config.commands.clone(),
        });
        // Seals last: the first one that connects finds everything running.
        let host = Arc::new(devices.clone());
        let observed = clock.clone();
        let front = Front::start(
            settings::front(config)?,
            material,
            host,
            clock,
            Arc::default(),
        )?;
        listeners::show(&metrics, "front", Arc::clone(front.stats()));
        app.store().observe(metrics.clone(), observed);
        app.readiness().set_front(true);
        app.readiness().set_bus(true);
        Ok(Self {
            app,
            metrics,
            bus,
            devices,
            front,
            business,
            jobs,
        })
    }

    /// Seals first: what was received is committed and acknowledged. Says whether all was done in time.
    async fn drain(&self, deadline: Duration) -> bool {
        self.metrics.ready.set(0);
        self.app.readiness().drain();
        self.app.readiness().set_front(false);
        let front = self.front.drain(deadline);
        let mut clean = within(deadline, "seals' connections", front).await == Some(true);
        let devices = self.devices.drain();
        clean &= within(deadline, "sessions of seals", devices)
            .await
            .is_some();
        let jobs = self.jobs.stop();
        clean &= within(deadline, "background work", jobs).await.is_some();
        let business = self.business.drain(deadline);
        clean & (within(deadline, "business subscribers", business).await == Some(true))
    }
}

/// A step of the end, within its deadline; says what is waited for when it takes long.
async fn within<T>(
    deadline: Duration,
    what: &'static str,
    step: impl Future<Output = T>,
) -> Option<T> {
    let mut step = pin!(step);
    let patience = PATIENCE.min(deadline);
    if let Ok(done) = timeout(patience, step.as_mut()).await {
        return Some(done);
    }
    let most = deadline.as_secs();
    tracing::info!(what, most, "stopping: still waiting");
    let done = timeout(deadline.saturating_sub(patience), step).await.ok();
    if done.is_none() {
        tracing::warn!(what, "stopping: not waited for any longer");
    }
    done
}

impl Running {
    /// The use cases.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.rooms.app
    }

    /// The live sessions.
    #[must_use]
    pub const fn devices(&self) -> &Devices {
        &self.rooms.devices
    }

    /// What this gateway counts.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.rooms.metrics
    }

    /// Reads the certificates anew, for both listeners; sessions stay.
    ///
    /// # Errors
    /// The files do not work; the old certificates stay in use.
    pub fn reload_tls(&self, config: &Config) -> Result<(), ServerError> {
        let material = tls(config)?;
        self.rooms.business.reload_tls(material.clone())?;
        self.rooms.front.reload_tls(material.clone())?;
        certificates::show(&self.rooms.metrics, &material);
        Ok(())
    }

    /// Stops in order. Says whether everything was done by the deadline.
    pub async fn shutdown(self) -> bool {
        self.place.withdraw();
        let mut clean = self.rooms.drain(self.deadline).await;
        self.stop.cancel();
        let http = within(self.deadline, "HTTP requests under way", self.http);
        clean &= http.await.is_some();
        self.rooms.bus.stop();
        let store = self.rooms.app.store().clone();
        let closed = within(self.deadline, "the database", store.close()).await;
        clean & closed.is_some()
    }
}

/// Keeps what `/readyz` and the metrics say about readiness current.
async fn watch(app: App, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut beat = tokio::time::interval(WATCH);
    for round in 0u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        let lively = metrics.bus_canary_age_seconds.get() < BUS_LIMIT_S;
        app.readiness().set_bus(lively);
        if round % SLOW_BEAT == 0 {
            let writable = app.probe().await.store;
            metrics.ready.set(i64::from(app.report().ready()));
            if writable && let Ok(open) = app.open_commands().await {
                metrics
                    .commands_open
                    .set(i64::try_from(open).unwrap_or(i64::MAX));
            }
        }
        metrics.ready.set(i64::from(app.report().ready()));
    }
}

/// The use cases over the configured database, for commands that work without a running gateway.
///
/// # Errors
/// The database can not be reached, or a file can not be made.
pub async fn open_app(config: &Config) -> Result<App, ServerError> {
    dev::make_data_dir(config)?;
    build_app(config, Arc::new(SystemClock::new())).await
}

fn failed(error: AppError) -> ServerError {
    match error {
        AppError::Store(error) => ServerError::Store(error),
        other => ServerError::Failed(other.to_string()),
    }
}

async fn build_app(config: &Config, clock: SharedClock) -> Result<App, ServerError> {
    let settings = config.resolved_store();
    if !settings.tls.key.as_os_str().is_empty() {
        // Like any other key, it is refused when others may read it.
        files::read_secret(&settings.tls.key)?;
    }
    let store = Store::open(&settings).await?;
    let migrated = store.migrate().await?;
    if migrated.from != migrated.to {
        tracing::info!(from = migrated.from, to = migrated.to, "database migrated");
    }
    let memory = config.sms.provider == SmsProvider::Memory;
    let providers = Providers {
        sms: if memory {
            Arc::new(MemorySms::default())
        } else {
            Arc::new(LogSms)
        },
    };
    let settings = app::Settings {
        secret: dev::secret(config)?,
        sms_inbox: memory,
    };
    Ok(App::new(store, clock, providers).with_settings(settings))
}

fn build_signer(
    config: &Config,
    clock: &SharedClock,
    metrics: &Arc<Metrics>,
) -> Result<SharedSigner, ServerError> {
    let settings = &config.signer;
    if settings.in_process {
        let keys = config.under_data(&settings.keys_dir);
        let audit = keys.join("signer-audit.log");
        let signer = InProcess::open(&keys, Some(&audit), clock.clone(), metrics.clone())
            .map_err(ServerError::Keys)?;
        return Ok(Arc::new(signer));
    }
    let socket = config.under_data(&settings.socket);
    let client = Client::new(socket, settings, clock.clone(), metrics.clone());
    Ok(Arc::new(client))
}

fn tls(config: &Config) -> Result<TlsMaterial, ServerError> {
    let tls = &config.front.tls;
    let file = |path: &Path| config.under_data(path);
    Ok(TlsMaterial::from_files(
        &file(&tls.ca),
        &file(&tls.cert),
        &file(&tls.key),
    )?)
}

#[cfg(test)]
mod tests;
