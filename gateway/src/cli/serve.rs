//! `serve`, `signer`, `migrate`: the commands that run until told to stop, and the one that prepares.

use std::{io::IsTerminal as _, path::PathBuf};

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    Exit, Failure,
    args::{ServeArgs, SettingsArgs, SignerArgs},
    exit::chain,
    local::settings,
    out::Out,
};
use crate::{
    clock::SystemClock,
    config::{Config, Sources},
    server::{Server, ServerError, dev},
    signer::{Process, ProcessError},
    store::Store,
    tasks, telemetry,
};

pub(super) async fn serve(args: &ServeArgs, data: Option<PathBuf>) -> Result<(), Failure> {
    let mut config = sources(args, data).load()?;
    telemetry::init(&config.log).map_err(|error| Failure::of(Exit::Config, &error))?;
    if args.dev {
        config.signer.in_process = true;
        dev::prepare(&config)?;
    }
    let mut signals = Signals::new()?;
    let running = Server::start(config.clone()).await?;
    if args.dev {
        announce(&config, &running).await?;
    }
    while signals.stop_or_reload().await == Told::Reload {
        match running.reload_tls(&config) {
            Ok(()) => tracing::info!("the certificates were read again"),
            Err(error) => tracing::error!(
                error = chain(&error),
                "the certificates were not read again; the old ones stay in use"
            ),
        }
    }
    tracing::info!("stopping; a second signal ends at once");
    tokio::select! {
        clean = running.shutdown() => {
            if clean {
                tracing::info!("stopped");
            } else {
                tracing::warn!("stopped before everything was closed in order");
            }
            Ok(())
        }
        () = signals.stop() => Err(Failure::new(Exit::Failed, "ended by a second signal")),
    }
}

/// Settings of a gateway. One to look around listens on this machine only, until somebody says otherwise.
pub(super) fn sources(args: &ServeArgs, data: Option<PathBuf>) -> Sources {
    let text = |path: PathBuf| path.display().to_string();
    let mut sources = Sources::of_process(args.settings.config.clone());
    if args.dev {
        sources = sources
            .fallback("front.listen", "127.0.0.1:8883")
            .fallback("front.business_listen", "127.0.0.1:8884");
    }
    sources
        .flag("node.data_dir", data.map(text))
        .flag("http.listen", args.http.clone())
        .flag("front.listen", args.front.clone())
        .flag("front.business_listen", args.business.clone())
        .flag("log.level", args.log.clone())
}

/// Says where everything is, and makes the first admin token when there is none.
async fn announce(config: &Config, running: &crate::server::Running) -> Result<(), Failure> {
    let file = config.under_data("admin.token".as_ref());
    eprintln!("Docs     http://{}/docs", running.http_addr);
    eprintln!("seals    mqtts://{}", running.front_addr);
    eprintln!("events   mqtts://{}", running.business_addr);
    match dev::admin_token(running.app(), &file).await? {
        // Not into a log: files of standard error are read by more people than this one.
        Some(token) if std::io::stderr().is_terminal() => eprintln!(
            "token    {token}   (shown once; also in {})",
            file.display()
        ),
        _ => eprintln!("token    in {}", file.display()),
    }
    Ok(())
}

pub(super) async fn signer(args: &SignerArgs, data: Option<PathBuf>) -> Result<(), Failure> {
    let config = settings(&args.settings, data.as_deref())?;
    telemetry::init(&config.log).map_err(|error| Failure::of(Exit::Config, &error))?;
    let keys = args
        .keys
        .clone()
        .unwrap_or_else(|| config.under_data(&config.signer.keys_dir));
    let socket = args
        .socket
        .clone()
        .unwrap_or_else(|| config.under_data(&config.signer.socket));
    let audit = args
        .audit
        .clone()
        .unwrap_or_else(|| keys.join("signer-audit.log"));
    let mut signals = Signals::new()?;
    let clock = std::sync::Arc::new(SystemClock::new());
    let process = Process::start(&keys, &socket, &audit, clock)
        .await
        .map_err(refused)?;
    tracing::info!(socket = %socket.display(), keys = %keys.display(), "the signer listens");
    let process = std::sync::Arc::new(process);
    let stop = CancellationToken::new();
    let running = tasks::spawn("signer", {
        let (process, stop) = (std::sync::Arc::clone(&process), stop.clone());
        async move { process.run(stop).await }
    });
    while signals.stop_or_reload().await == Told::Reload {
        if let Err(error) = process.reload() {
            tracing::error!(
                error = chain(&error),
                "the keys were not read again; the old ones stay in use"
            );
        }
    }
    stop.cancel();
    running
        .await
        .map_err(|error| Failure::new(Exit::Failed, format!("the signer ended badly: {error}")))
}

fn refused(error: ProcessError) -> Failure {
    match error {
        ProcessError::Keys(error) => Failure::from(error)
            .hint("make keys with `sealgate key init --dir DIR`, or name them with --keys"),
        ProcessError::Taken(_) => Failure::of(Exit::Conflict, &error),
        ProcessError::Socket { .. } => Failure::of(Exit::Config, &error),
    }
}

pub(super) async fn migrate(
    args: &SettingsArgs,
    data: Option<PathBuf>,
    out: &Out,
) -> Result<(), Failure> {
    let config = settings(args, data.as_deref())?;
    dev::make_data_dir(&config)?;
    let failed = |error: crate::store::StoreError| {
        Failure::of(Exit::Unreachable, &error)
            .hint("is store.url right, and does the database run?")
    };
    let store = Store::open(&config.resolved_store())
        .await
        .map_err(failed)?;
    let migrated = store.migrate().await.map_err(failed)?;
    store.close().await;
    let facts = json!({"from": migrated.from, "to": migrated.to});
    let sentence = if migrated.from == migrated.to {
        format!("the database is at version {} already", migrated.to)
    } else {
        format!(
            "the database went from version {} to {}",
            migrated.from, migrated.to
        )
    };
    out.done(&sentence, &facts)
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let exit = match &error {
            ServerError::Store(_) => Exit::Unreachable,
            ServerError::Listen { .. } => Exit::Conflict,
            ServerError::Failed(_) => Exit::Failed,
            _ => Exit::Config,
        };
        let hint = match &error {
            ServerError::Keys(_) => Some(
                "signer.keys_dir names no keys (relative to data_dir); make some with `sealgate key init --dir sealgate-data/keys`, or start with --dev",
            ),
            ServerError::Front(_) => Some(
                "[front.tls] names the certificates (relative to data_dir); `sealgate config check` tells what is missing, `sealgate ca init --dir sealgate-data/pki` makes some, --dev too",
            ),
            ServerError::Store(_) => Some("is store.url right, and does the database run?"),
            ServerError::Listen { .. } => {
                Some("another process listens there; choose another address")
            }
            _ => None,
        };
        let failure = Self::of(exit, &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The signals this process listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::of(Exit::Failed, &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn stop_or_reload(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    async fn stop(&mut self) {
        while self.stop_or_reload().await == Told::Reload {}
    }
}
