//! `sealgate-sim`: simulated seals against a real gateway, and the media that stand between them.

mod cli;

use std::{
    fs,
    io::IsTerminal as _,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use sealgate_simulators::{
    fleet::{DeviceFolder, Fleet, FleetOptions, Platform, Report, Scenario, play},
    net::Version,
    seal::Params,
};
use serde::Serialize;

#[derive(Parser)]
#[command(
    name = "sealgate-sim",
    version,
    about = "Simulated seals, radios, wires and networks"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seals through a scenario and sums up.
    Fleet(FleetArgs),
    /// Runs a fake BlueZ on a private D-Bus and prints its address.
    Bluez(cli::bluez::Args),
    /// Puts seals on pseudo-terminals and prints their paths.
    Serial(cli::serial::Args),
    /// Carries UDP through a bad network.
    Proxy(cli::proxy::Args),
}

#[derive(clap::Args)]
struct FleetArgs {
    /// Folder written by `sealgate device issue`.
    #[arg(long)]
    devices: PathBuf,
    /// Where the gateway's front listens.
    #[arg(long, default_value = "127.0.0.1:8883")]
    server: String,
    /// Name the gateway's certificate carries, when it is not the host of --server.
    #[arg(long)]
    server_name: Option<String>,
    /// Deliver and bind the seals first, through the gateway's HTTP interface at this address.
    #[arg(long, value_name = "URL", requires = "token")]
    api: Option<String>,
    /// Token for --api.
    #[arg(long, env = "SEALGATE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How many seals; the folder must hold as many.
    #[arg(long, default_value_t = 1_000)]
    count: usize,
    /// office-day, idle, stamps or faults.
    #[arg(long, default_value = "office-day")]
    scenario: Scenario,
    /// How long the day takes, such as 60s or 5m.
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Seed of everything random; drawn and printed when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// MQTT version of the modems; half and half when not given.
    #[arg(long)]
    mqtt: Option<MqttVersion>,
    /// Where to write every press as JSON.
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Where the seals keep their flash, so that this process may be killed and started again.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Wait at most this long at the end for records to be acknowledged.
    #[arg(long, default_value = "30s", value_parser = duration)]
    drain: Duration,
}

#[derive(Clone, Copy, ValueEnum)]
enum MqttVersion {
    #[value(name = "3.1.1")]
    V4,
    #[value(name = "5")]
    V5,
}

#[derive(Serialize)]
struct Summary {
    scenario: String,
    seed: u64,
    #[serde(flatten)]
    report: Report,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let outcome = match Args::parse().command {
        Command::Fleet(args) => fleet(args).await,
        Command::Bluez(args) => cli::bluez::run(args).await.map(|()| true),
        Command::Serial(args) => cli::serial::run(args).await.map(|()| true),
        Command::Proxy(args) => cli::proxy::run(args).await.map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("sealgate-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when the platform acknowledged every record.
async fn fleet(args: FleetArgs) -> anyhow::Result<bool> {
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}");
    let folder = DeviceFolder::load(&args.devices, args.count)?;
    if folder.devices.len() < args.count {
        bail!(
            "{} holds {} devices, {} were asked for",
            args.devices.display(),
            folder.devices.len(),
            args.count
        );
    }
    let options = FleetOptions {
        server: address(&args.server)?,
        server_name: args.server_name.unwrap_or_else(|| host(&args.server)),
        seed,
        version: args.mqtt.map(|version| match version {
            MqttVersion::V4 => Version::V4,
            MqttVersion::V5 => Version::V5,
        }),
        state: args.state,
        params: Params::default(),
    };
    let fleet = Fleet::start(&folder, &options)?;
    let before = Report::of(&fleet.truths().await).sessions;
    if let (Some(api), Some(token)) = (&args.api, &args.token) {
        provision(&fleet, &args.devices, &Platform::new(api, token)?).await?;
    }
    let bar = progress(args.duration);
    tokio::select! {
        () = play(fleet.seals(), args.scenario, args.duration, seed) => {}
        () = show(&bar, &fleet) => {}
        _ = tokio::signal::ctrl_c() => bar.println("interrupted: ending the day here"),
    }
    settle(&fleet, &bar, args.drain).await;
    bar.finish_and_clear();
    let fault = last_fault(&fleet).await;
    let truths = fleet.stop().await;
    let report = Report::of(&truths);
    if let Some(path) = args.truth {
        let json = serde_json::to_vec(&truths)?;
        fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let complete = report.unacknowledged == 0;
    let met = report.sessions > before;
    let summary = Summary {
        scenario: format!("{:?}", args.scenario),
        seed,
        report,
    };
    let text = serde_json::to_string_pretty(&summary)?;
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}")?;
    if !met {
        let fault = fault.unwrap_or_else(|| "the platform never answered".to_owned());
        bail!("no seal had a session with {}: {fault}", args.server);
    }
    Ok(complete)
}

/// Delivers the seals, turns them on and binds them.
async fn provision(fleet: &Fleet, devices: &Path, platform: &Platform) -> anyhow::Result<()> {
    let names: Vec<String> = fleet
        .seals()
        .iter()
        .map(|seal| seal.name().to_owned())
        .collect();
    eprintln!("delivering {} seals", names.len());
    platform.deliver(devices, &names).await?;
    for seal in fleet.seals() {
        seal.power_on().await?;
        // A hundred a second: this is no storm yet.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eprintln!("binding them");
    platform.bind(&names).await?;
    Ok(())
}

/// What the first seal that has something to say says of its connection.
async fn last_fault(fleet: &Fleet) -> Option<String> {
    for seal in fleet.seals() {
        if let Ok(view) = seal.view().await
            && view.fault.is_some()
        {
            return view.fault;
        }
    }
    None
}

/// Refreshes the bar until dropped.
async fn show(bar: &ProgressBar, fleet: &Fleet) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let report = Report::of(&fleet.truths().await);
        bar.set_position(fleet.clock().elapsed().as_secs());
        bar.set_message(format!(
            "{} records, {} not yet acknowledged, {} sessions, p99 {} ms",
            report.records, report.unacknowledged, report.sessions, report.latency_ms.p99
        ));
    }
}

/// Turns off seals back on until their records are acknowledged, then off again.
async fn settle(fleet: &Fleet, bar: &ProgressBar, patience: Duration) {
    let begun = fleet.clock().elapsed();
    loop {
        let mut waiting = 0_usize;
        for seal in fleet.seals() {
            let Ok(view) = seal.view().await else {
                continue;
            };
            if view.unsent > 0 {
                waiting += 1;
                // A seal that stopped meanwhile has nothing to wait for.
                let _ = seal.power_on().await;
            }
        }
        if waiting == 0 || fleet.clock().elapsed() - begun > patience {
            return;
        }
        bar.set_message(format!("{waiting} seals wait for acknowledgements"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn progress(day: Duration) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {msg}")
        .expect("the template is ours")
        .progress_chars("=> ");
    ProgressBar::new(day.as_secs()).with_style(style)
}

fn address(text: &str) -> anyhow::Result<SocketAddr> {
    text.to_socket_addrs()
        .with_context(|| format!("{text:?} is no HOST:PORT"))?
        .next()
        .with_context(|| format!("{text:?} has no address"))
}

fn host(text: &str) -> String {
    text.rsplit_once(':')
        .map_or(text, |(host, _)| host)
        .trim_matches(['[', ']'])
        .to_owned()
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is no duration such as 60s"))?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1_000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        unit => return Err(format!("no unit {unit:?}; use ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
