//! Composition root: builds the rooms, holds the tasks, drains them in order.
//!
//! Start: data folder (locked against a second gateway), database, signer, use cases, bus, sessions, listeners, jobs,
//! HTTP; `run/addresses.json` appears when all of them work. Stop, in this order: not ready, seals' listener (what
//! was received is committed and acknowledged), sessions, jobs, business listener, HTTP, bus, database. Every step has
//! the same deadline; what is not done by then is abandoned, which loses nothing that was acknowledged.

pub mod dev;
mod error;
mod listeners;
mod place;
mod settings;
mod tokens;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use error::ServerError;

use crate::{
    app::{self, App, AppError},
    bus::Bus,
    clock::{SharedClock, SystemClock},
    config::{Config, SmsProvider},
    devices::{self, Devices},
    ingress::{
        business::{Business, BusinessHandle},
        front::{Front, FrontHandle, TlsMaterial},
    },
    providers::{
        Providers,
        sms::{LogSms, MemorySms},
    },
    signer::{Client, InProcess, SharedSigner},
    store::Store,
    telemetry::Metrics,
};

use place::Place;
use tokens::Tokens;

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
    app: App,
    metrics: Arc<Metrics>,
    bus: Bus,
    devices: Devices,
    front: FrontHandle,
    business: BusinessHandle,
    stop: CancellationToken,
    deadline: Duration,
    place: Place,
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
        let metrics = Arc::new(Metrics::new());
        let version = env!("CARGO_PKG_VERSION");
        metrics.build_info.with_label_values(&[version]).set(1);
        let material = tls(&config)?;
        let app = build_app(&config, clock.clone()).await?;
        let signer = build_signer(&config, &clock, &metrics)?;
        let devices = Devices::start(
            app.clone(),
            signer,
            metrics.clone(),
            devices::Settings::new(&config),
        )
        .await
        .map_err(failed)?;
        let bus = Bus::start(clock.clone(), Some(metrics.clone()));
        let front = Front::start(
            settings::front(&config)?,
            material.clone(),
            Arc::new(devices.clone()),
            clock.clone(),
            Arc::default(),
        )?;
        listeners::show(&metrics, "front", Arc::clone(front.stats()));
        let business = Business::start(
            settings::business(&config)?,
            Some(material),
            bus.clone(),
            Arc::new(Tokens(app.clone())),
            clock,
            Arc::default(),
        )?;
        listeners::show(&metrics, "business", Arc::clone(business.stats()));
        let business_addr = business.local_addr();
        let running = Running {
            http_addr: business_addr,
            front_addr: front.local_addr(),
            business_addr,
            app,
            metrics,
            bus,
            devices,
            front,
            business,
            stop: CancellationToken::new(),
            deadline: config.node.drain_timeout(),
            place,
        };
        running
            .place
            .announce(running.http_addr, running.front_addr, running.business_addr)?;
        running.metrics.ready.set(1);
        Ok(running)
    }
}

impl Running {
    /// The use cases.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// What this gateway counts.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Stops in order. Says whether everything was done by the deadline.
    pub async fn shutdown(self) -> bool {
        self.metrics.ready.set(0);
        self.app.readiness().drain();
        self.place.withdraw();
        self.stop.cancel();
        let mut clean = self.front.drain(self.deadline).await;
        clean &= timeout(self.deadline, self.devices.drain()).await.is_ok();
        clean &= self.business.drain(self.deadline).await;
        self.bus.stop();
        self.app.store().clone().close().await;
        clean
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
    let store = Store::open(&config.resolved_store()).await?;
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
