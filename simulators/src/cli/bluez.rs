//! `sealgate-sim bluez`: a fake BlueZ with stations that echo, and faults by script or by chance.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use sealgate_simulators::{
    bluez::{Address, Advertisement, Air, FakeBluez, Options, Script, Station, uuids},
    peripheral::Echo,
};

use super::{end, say};

/// The company number that stands for tests.
const TEST_COMPANY: u16 = 0xffff;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many stations are within reach; each sends back what it gets.
    #[arg(long, default_value_t = 3)]
    stations: u32,
    /// Connections the adapter bears.
    #[arg(long, default_value_t = Options::default().connections)]
    connections: usize,
    /// How often each station advertises.
    #[arg(long, default_value = "500ms", value_parser = crate::duration)]
    advertising: Duration,
    /// ATT MTU of every connection.
    #[arg(long, default_value_t = 247, value_parser = clap::value_parser!(u16).range(23..=517))]
    mtu: u16,
    /// JSON array of {"at_ms", "fault"} to inflict.
    #[arg(long, value_name = "FILE", conflicts_with = "chaos")]
    faults: Option<PathBuf>,
    /// Draw a fault this often on average, from the seed.
    #[arg(long, value_name = "INTERVAL", value_parser = crate::duration, requires = "duration")]
    chaos: Option<Duration>,
    /// Seed of everything random; drawn and printed when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// End after this time; otherwise when told to.
    #[arg(long, value_parser = crate::duration)]
    duration: Option<Duration>,
}

/// Prints the bus address on the first line, and what happened on the last.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}");
    let air = Air::new();
    for number in 1..=args.stations {
        let mut station = Station::new(advertisement(number), Box::new(Echo::default()));
        station.mtu = args.mtu;
        air.add(Address::numbered(number), station);
    }
    let script = match (&args.faults, args.chaos) {
        (Some(path), _) => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Script::parse(&text).with_context(|| format!("{} is no script", path.display()))?
        }
        (None, Some(every)) => Script::drawn(
            seed,
            &air.addresses(),
            args.duration.unwrap_or_default(),
            every,
        ),
        (None, None) => Script::default(),
    };
    let options = Options {
        connections: args.connections,
        advertising: args.advertising,
        seed,
        ..Options::default()
    };
    let mut bluez = FakeBluez::start(air, options).await?;
    say(&format!("DBUS_SYSTEM_BUS_ADDRESS={}", bluez.address()))?;
    let outcome = tokio::select! {
        ended = end(args.duration) => ended.map_err(Into::into),
        failed = play(&mut bluez, &script) => failed,
    };
    let counters = bluez.counters();
    bluez.stop().await;
    say(&serde_json::to_string(&counters)?)?;
    outcome
}

/// Plays the script, then stands still; returns on failure only.
async fn play(bluez: &mut FakeBluez, script: &Script) -> anyhow::Result<()> {
    bluez.play(script).await?;
    std::future::pending().await
}

fn advertisement(number: u32) -> Advertisement {
    Advertisement {
        name: Some(format!("echo-{number}")),
        manufacturer_data: BTreeMap::from([(TEST_COMPANY, number.to_be_bytes().to_vec())]),
        services: vec![uuids::SERVICE],
        ..Advertisement::default()
    }
}
