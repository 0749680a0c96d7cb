//! `sealgate-load`: measures a gateway on this machine, with load in a process of its own.
//!
//! The gateway is a child, from the binary `sealgate-load-gateway` beside this one; so is the bare TLS server, which is
//! this program again. Loopback only; counts and durations are bounded.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use sealgate_benches::{
    ceiling, idle, lock, peer, reconcile,
    report::Report,
    servers::{self, ServerTls},
    stamps, storm,
    world::{self, World},
};

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

/// The work folder and, when asked for, the PostgreSQL server in it.
struct Place {
    dir: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    postgres: Option<servers::Server>,
}

impl Place {
    fn of(common: &Common) -> Result<Self> {
        let temporary = match &common.dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("sealgate-load-")
                    .tempdir()?,
            ),
        };
        let dir = match (&common.dir, &temporary) {
            (Some(dir), _) => std::path::absolute(dir)?,
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => anyhow::bail!("no work folder"),
        };
        std::fs::create_dir_all(&dir)?;
        Ok(Self {
            dir,
            _temporary: temporary,
            postgres: None,
        })
    }

    async fn world(&mut self, common: &Common) -> Result<World> {
        let store = if common.postgres {
            let server = servers::postgres(&self.dir)?.map_err(|reason| anyhow::anyhow!(reason))?;
            let url = format!("postgres://sealgate@127.0.0.1:{}/postgres", server.port);
            self.postgres = Some(server);
            Some(url)
        } else {
            None
        };
        let count = usize::try_from(common.seals)?;
        let world = World::create(&self.dir.join("gateway"), count, store)?;
        world.seed().await?;
        Ok(world)
    }
}

fn describe(report: &mut Report, common: &Common) {
    report.set("machine", world::machine());
    report.set(
        "store",
        if common.postgres {
            "PostgreSQL"
        } else {
            "SQLite"
        },
    );
    report.set("seals", common.seals);
}

async fn live(
    common: &Common,
    plan: stamps::Plan,
    prepared: u32,
    with_peer: bool,
    with_ceiling: bool,
) -> Result<()> {
    let _ = world::descriptors(common.seals * 2 + 400);
    let mut place = Place::of(common)?;
    let world = place.world(common).await?;
    let seals = world.seals(false)?;
    let mut report = Report::of("stamps: live, end to end, window one");
    describe(&mut report, common);
    let messages = world::prepare("signing", &seals, |seal| seal.stamps(prepared, 1));
    let ours = {
        let gateway = world.start()?;
        let lives = stamps::open(gateway.at.front, &seals, messages.clone(), true).await?;
        let before = gateway.cpu()?;
        let rate = stamps::measure(&mut report, "sealgate", lives, plan).await?;
        let spent = gateway.cpu()?.saturating_sub(before);
        report.figure(
            "sealgate: processor time of the gateway",
            spent.as_secs_f64(),
            "s",
            None,
        );
        rate
    };
    if with_peer {
        match against_peer(&mut report, &world, &place, &seals, messages, plan).await? {
            Ok(theirs) => report.figure("ratio to the pipeline", ours / theirs, "x", Some("3 x")),
            Err(reason) => report.skip(reason),
        }
    }
    if with_ceiling {
        let dir = tempfile::tempdir_in(&place.dir)?;
        let plan = ceiling::Plan {
            seals: u32::try_from(common.seals)?,
            stamps: 200_000,
            batch: 512,
        };
        let limit = ceiling::sqlite(dir.path(), plan)?;
        let rate = limit.figures.first().context("a figure")?.value;
        report.figure("limit of the storage (SQLite)", rate, "1/s", None);
        report.figure("ratio to the limit", ours / rate, "x", Some("0.5 x"));
    }
    show(&report, common.json)
}

/// The comparison pipeline's rate, or why it could not run.
async fn against_peer(
    report: &mut Report,
    world: &World,
    place: &Place,
    seals: &[sealgate_benches::prepared::Seal],
    messages: Vec<Vec<Vec<u8>>>,
    plan: stamps::Plan,
) -> Result<std::result::Result<f64, String>> {
    let dir = tempfile::tempdir_in(&place.dir)?;
    let tls = ServerTls {
        ca: world.pki("ca.pem"),
        cert: world.pki("server.pem"),
        key: world.pki("server.key"),
    };
    let (broker, plain) = match servers::mosquitto(dir.path(), &tls)? {
        Ok(started) => started,
        Err(reason) => return Ok(Err(reason)),
    };
    let database = match servers::postgres(dir.path())? {
        Ok(server) => server,
        Err(reason) => return Ok(Err(reason)),
    };
    let consumer = sealgate::tasks::spawn("consumer", peer::consume(plain, database.port));
    tokio::time::sleep(Duration::from_secs(2)).await;
    if consumer.is_finished() {
        consumer.await??;
        anyhow::bail!("the consumer ended");
    }
    let front = ([127, 0, 0, 1], broker.port).into();
    let lives = stamps::open(front, seals, messages, false).await?;
    let plan = stamps::Plan { sl1: false, ..plan };
    let rate = stamps::measure(report, "mosquitto + consumer + PostgreSQL", lives, plan).await?;
    consumer.abort();
    Ok(Ok(rate))
}

async fn idle(common: &Common) -> Result<()> {
    if let Some(reason) = world::descriptors(common.seals + 200) {
        let mut report = Report::of("idle");
        report.skip(reason);
        return show(&report, common.json);
    }
    let mut place = Place::of(common)?;
    let world = place.world(common).await?;
    let gateway = world.start()?;
    let mut report = idle::run(&gateway, &world.seals(false)?).await?;
    describe(&mut report, common);
    show(&report, common.json)
}

async fn locks(common: &Common, plan: lock::Plan) -> Result<()> {
    let _ = world::descriptors(common.seals + 200);
    let mut place = Place::of(common)?;
    let world = place.world(common).await?;
    let token = world.token()?;
    let gateway = world.start()?;
    let mut report = lock::run(&gateway, &token, &world.seals(false)?, plan).await?;
    describe(&mut report, common);
    show(&report, common.json)
}

async fn offline(common: &Common, records: u32, parallel: usize) -> Result<()> {
    let _ = world::descriptors(parallel as u64 + 400);
    let mut place = Place::of(common)?;
    let world = place.world(common).await?;
    let seals = world.seals(false)?;
    let messages = world::prepare("signing", &seals, |seal| seal.stamps(records, 28));
    let gateway = world.start()?;
    let plan = reconcile::Plan {
        records,
        parallel,
        goal: if common.postgres {
            "50,000/s"
        } else {
            "25,000/s"
        },
    };
    let mut report = reconcile::run(gateway.at.front, &seals, messages, plan).await?;
    describe(&mut report, common);
    show(&report, common.json)
}

async fn connect(common: &Common, plan: storm::Plan) -> Result<()> {
    let _ = world::descriptors(common.seals + 400);
    let mut place = Place::of(common)?;
    let world = place.world(common).await?;
    let mut report = Report::of("storm: everybody connects at once");
    describe(&mut report, common);
    report.set("under way", plan.parallel);
    let ours = {
        let gateway = world.start()?;
        storm::gateway(&mut report, gateway.at.front, &world.seals(true)?, plan).await?
    };
    let server = storm::Bare::start(&place.dir.join("gateway/pki"), &place.dir)?;
    let limit = storm::bare(&mut report, server.address, &world.seals(true)?, plan).await?;
    report.figure(
        "full: ratio to rustls alone",
        ours[0] / limit[0],
        "x",
        Some("0.7 x"),
    );
    report.figure(
        "resumed: ratio to rustls alone",
        ours[1] / limit[1],
        "x",
        Some("0.7 x"),
    );
    show(&report, common.json)
}

fn show(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    Ok(())
}
