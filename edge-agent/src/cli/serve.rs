//! `run`: builds the agent from settings and files, and stops it when told to.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    agent::{Agent, Parts},
    clock::Clock,
    config::{Config, LogFormat},
    enroll::Files,
    local,
    metrics::Metrics,
    notify::Notifier,
    port::{Port, serial::SerialLine},
    queue, tasks,
};

/// Requests of local tools that may wait.
const ASKS: usize = 8;

pub(super) fn run(config: Config) -> anyhow::Result<()> {
    let filter: EnvFilter = config.log.filter.parse().context("log.filter")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    // Two threads are enough for a box, and its memory is small.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(work(config))
}

async fn work(config: Config) -> anyhow::Result<()> {
    let files = Files::new(&config.node.data_dir);
    let gateway = files.read_gateway(&config)?;
    let identity = files.read_identity()?;
    let secret = files.read_link_secret()?;
    // Before the queue: one agent a data directory.
    let socket = config.socket();
    let listener = local::bind(&socket)
        .await
        .with_context(|| socket.display().to_string())?;
    let clock = Clock::system();
    let (queue, aside) = queue::open_or_set_aside(
        &files.queue(),
        config.queue.limit_mb << 20,
        &clock,
        config.queue.set_aside_damaged,
    )?;
    if let Some(aside) = aside {
        tracing::error!(file = %aside.display(), "the damaged queue lies here; seals send again");
    }
    let metrics = Arc::new(Metrics::new());
    let (asks, asked) = mpsc::channel(ASKS);
    tasks::spawn("local socket", local::serve(listener, asks.clone()));
    if !config.metrics.listen.is_empty() {
        let listener = local::bind_metrics(&config.metrics.listen).await?;
        let served = local::serve_metrics(listener, asks.clone(), Arc::clone(&metrics));
        tasks::spawn("metrics", served);
    }
    drop(asks);
    let stop = CancellationToken::new();
    watch_signals(stop.clone())?;
    let notify = std::env::var("NOTIFY_SOCKET").ok();
    let agent = Agent::start(Parts {
        queue,
        clock,
        ports: ports(&config),
        lines: config.lines(),
        secret,
        gateway,
        identity,
        idle: config.ble.idle_s * 1000,
        metrics,
        notifier: Notifier::new(notify.as_deref()),
    })
    .await?;
    agent.run(asked, stop).await;
    // Gone with the agent; the next one would take it for a leftover.
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

fn ports(config: &Config) -> Vec<Arc<dyn Port>> {
    let mut ports: Vec<Arc<dyn Port>> = Vec::new();
    for line in &config.serial {
        ports.push(Arc::new(SerialLine::new(&line.device, line.baud)));
    }
    #[cfg(feature = "ble")]
    if config.ble.enabled {
        let adapter = Some(config.ble.adapter.clone()).filter(|name| !name.is_empty());
        ports.push(Arc::new(crate::port::ble::Ble::new(adapter)));
    }
    if ports.is_empty() {
        tracing::warn!("no way to any seal is switched on");
    }
    ports
}

fn watch_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tasks::spawn("signals", async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
