//! The fleet as a child process: office days without end.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Parser;
use sealgate_simulators::{
    fleet::{DeviceFolder, Fleet, FleetOptions, Scenario, play},
    seal::Params,
};

use crate::child;

/// The hidden word this part is called by.
pub(crate) const WORD: &str = "__fleet";

/// Presses of each seal that are remembered: this runs for ever.
const REMEMBERED: usize = 256;

#[derive(Debug, Parser)]
struct Args {
    #[arg(long)]
    devices: PathBuf,
    #[arg(long)]
    state: PathBuf,
    #[arg(long)]
    server: std::net::SocketAddr,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    count: usize,
    #[arg(long)]
    day_s: u64,
}

/// Plays office days until the parent wants no more.
pub(crate) async fn run(words: Vec<OsString>) -> anyhow::Result<bool> {
    let args = Args::parse_from([OsString::from(WORD)].into_iter().chain(words));
    let folder = DeviceFolder::load(&args.devices, args.count)?;
    let options = FleetOptions {
        server: args.server,
        server_name: "127.0.0.1".to_owned(),
        seed: args.seed,
        version: None,
        state: Some(args.state),
        params: Params {
            remembered: Some(REMEMBERED),
            ..Params::default()
        },
    };
    let fleet = Fleet::start(&folder, &options)?;
    // Bound for the first time while everybody is on.
    for seal in fleet.seals() {
        seal.power_on().await?;
    }
    let days = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        for day in 0_u64.. {
            let length = Duration::from_secs(args.day_s);
            let seed = args.seed.wrapping_add(day);
            play(fleet.seals(), Scenario::OfficeDay, length, seed).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::select! {
        () = days => {}
        () = child::orphaned() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    fleet.stop().await;
    Ok(true)
}
