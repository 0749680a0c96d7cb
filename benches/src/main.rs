//! `sealgate-load`: measures a gateway on this machine, with load in a process of its own.
//!
//! The gateway is a child, from the binary `sealgate-load-gateway` beside this one; so is the bare TLS server, which is
//! this program again. Loopback only; counts and durations are bounded.

mod runs;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use runs::{connect, idle, lists, live, locks, offline, show};
use sealgate_benches::{ceiling, lock, pages, stamps, storm};

/// Measures a gateway on this machine.
#[derive(Debug, Parser)]
#[command(name = "sealgate-load", version)]
struct Arguments {
    #[command(subcommand)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Run {
    /// Live stamps, window one: rate, and latency at half load.
    Stamps {
        #[command(flatten)]
        common: Common,
        /// Seconds as fast as it goes.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
        full: u64,
        /// Seconds at half load.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
        half: u64,
        /// Stamps prepared for each seal.
        #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        prepared: u32,
        /// Also measure mosquitto, a consumer and PostgreSQL.
        #[arg(long)]
        peer: bool,
        /// Also measure the limit of the storage.
        #[arg(long)]
        ceiling: bool,
    },
    /// Offline logs coming in.
    Reconcile {
        #[command(flatten)]
        common: Common,
        /// Records of each seal.
        #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=800))]
        records: u32,
        /// Seals that drain at once.
        #[arg(long, default_value_t = 256)]
        parallel: usize,
    },
    /// Everybody connects at once.
    Storm {
        #[command(flatten)]
        common: Common,
        /// Connections under way at once.
        #[arg(long, default_value_t = 128)]
        parallel: usize,
    },
    /// Memory of idle sessions.
    Idle {
        #[command(flatten)]
        common: Common,
    },
    /// API call to locked, with everybody connected.
    Lock {
        #[command(flatten)]
        common: Common,
        /// Lock calls measured.
        #[arg(long, default_value_t = 200)]
        calls: usize,
        /// Seed of which seals are taken.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// A page of every list, with every filter, at any depth.
    Pages {
        /// Stamps in the database, and everything else in proportion.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(50_000..=20_000_000))]
        records: u64,
        /// Pages of each list, page size and depth.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        pages: u64,
        /// Work folder; filled once, used again by later runs. A temporary one unless named.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Use PostgreSQL, started for the run, instead of SQLite.
        #[arg(long)]
        postgres: bool,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// All rows of a stamp in group commits, no network, no checks.
    Ceiling {
        /// Seals.
        #[arg(long, default_value_t = 4_000)]
        seals: u32,
        /// Stamps of all of them.
        #[arg(long, default_value_t = 200_000)]
        stamps: u32,
        /// Stamps a commit.
        #[arg(long, default_value_t = 512)]
        batch: u32,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// The bare TLS server, as a child.
    #[command(hide = true)]
    BareTls { pki: PathBuf, address_file: PathBuf },
}

#[derive(Debug, Args)]
struct Common {
    /// Seals.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    seals: u64,
    /// Work folder; a temporary one unless named. Must not exist or be empty.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Use PostgreSQL, started for the run, instead of SQLite.
    #[arg(long)]
    postgres: bool,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sealgate-load: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(Arguments::parse().run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealgate-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(run: Run) -> Result<()> {
    // reqwest speaks plain HTTP here, but refuses to be built without a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run {
        Run::Stamps {
            common,
            full,
            half,
            prepared,
            peer,
            ceiling,
        } => {
            let plan = stamps::Plan {
                full: Duration::from_secs(full),
                half: Duration::from_secs(half),
                sl1: true,
            };
            live(&common, plan, prepared, peer, ceiling).await
        }
        Run::Reconcile {
            common,
            records,
            parallel,
        } => offline(&common, records, parallel).await,
        Run::Storm { common, parallel } => connect(&common, storm::Plan { parallel }).await,
        Run::Idle { common } => idle(&common).await,
        Run::Lock {
            common,
            calls,
            seed,
        } => locks(&common, lock::Plan { calls, seed }).await,
        Run::Pages {
            records,
            pages,
            data,
            postgres,
            json,
        } => lists(pages::Settings { records, pages }, data, postgres, json).await,
        Run::Ceiling {
            seals,
            stamps,
            batch,
            json,
        } => {
            let dir = tempfile::tempdir()?;
            let plan = ceiling::Plan {
                seals,
                stamps,
                batch,
            };
            show(&ceiling::sqlite(dir.path(), plan)?, json)
        }
        Run::BareTls { pki, address_file } => storm::serve_bare(&pki, &address_file).await,
    }
}
