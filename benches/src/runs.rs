//! The runs: each builds its world, measures, and shows a report.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use sealgate_benches::{
    ceiling, idle, lock, pages, peer,
    prepared::Seal,
    reconcile,
    report::Report,
    servers::{self, ServerTls},
    stamps, storm,
    world::{self, World},
};

use crate::Common;

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

    /// The address of the PostgreSQL server, started for the run; none for SQLite.
    fn store(&mut self, postgres: bool) -> Result<Option<String>> {
        if !postgres {
            return Ok(None);
        }
        let server = servers::postgres(&self.dir)?.map_err(|reason| anyhow::anyhow!(reason))?;
        let url = format!("postgres://sealgate@127.0.0.1:{}/postgres", server.port);
        self.postgres = Some(server);
        Ok(Some(url))
    }

    async fn world(&mut self, common: &Common) -> Result<World> {
        let store = self.store(common.postgres)?;
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

pub(crate) async fn live(
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
    seals: &[Seal],
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

pub(crate) async fn idle(common: &Common) -> Result<()> {
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

pub(crate) async fn locks(common: &Common, plan: lock::Plan) -> Result<()> {
    let _ = world::descriptors(common.seals + 200);
    let mut place = Place::of(common)?;
    let world = place.world(common).await?;
    let token = world.token()?;
    let gateway = world.start()?;
    let mut report = lock::run(&gateway, &token, &world.seals(false)?, plan).await?;
    describe(&mut report, common);
    show(&report, common.json)
}

pub(crate) async fn offline(common: &Common, records: u32, parallel: usize) -> Result<()> {
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

pub(crate) async fn lists(
    settings: pages::Settings,
    data: Option<PathBuf>,
    postgres: bool,
    json: bool,
) -> Result<()> {
    let common = Common {
        seals: 1,
        dir: data,
        postgres,
        json,
    };
    let mut place = Place::of(&common)?;
    let store = place.store(postgres)?;
    let dir = place.dir.join("gateway");
    let world = match dir.join("sealgate.toml").exists() {
        true => World::reopen(&dir, store)?,
        false => World::create(&dir, 1, store)?,
    };
    let mut report = pages::run(&world, settings).await?;
    report.set("machine", world::machine());
    report.set("store", if postgres { "PostgreSQL" } else { "SQLite" });
    show(&report, json)
}

pub(crate) async fn connect(common: &Common, plan: storm::Plan) -> Result<()> {
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

pub(crate) fn show(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    Ok(())
}
