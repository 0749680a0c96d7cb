//! One scripted day from an empty folder to unbound seals, with everything that goes wrong in between, and the
//! comparison at its end.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sealgate_simulators::{
    fleet::{DeviceFolder, Fleet, FleetOptions},
    seal::Params,
};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Args,
    api::Api,
    cast::Cast,
    gateway::{Gateway, Ports},
    office,
    prepare::{self, Company},
    roles::ROLES,
    verdict::{self, Summary},
};

/// How long the office works.
const DAY: Duration = Duration::from_secs(24);

/// When the gateway is killed, counted from the beginning of work.
const KILL: Duration = Duration::from_secs(9);

/// Steps the bar counts.
const STEPS: u64 = 9;

/// Plays the day.
pub(crate) async fn play(args: &Args, seed: u64) -> anyhow::Result<Summary> {
    let temporary;
    let data: PathBuf = match &args.data {
        Some(dir) if is_used(dir) => {
            bail!(
                "{} is not empty; --once wants a fresh folder",
                dir.display()
            )
        }
        Some(dir) => dir.clone(),
        None => {
            temporary = tempfile::tempdir()?;
            temporary.path().to_owned()
        }
    };
    let bar = progress();
    step(&bar, "starting the gateway");
    let mut gateway = Gateway::start(&data, Ports::any()?).await?;
    let played = on(&mut gateway, &data, args, seed, &bar).await;
    bar.finish_and_clear();
    if played.is_err() {
        show_last_words(&data);
    }
    gateway.stop(std::future::pending()).await;
    played
}

async fn on(
    gateway: &mut Gateway,
    data: &Path,
    args: &Args,
    seed: u64,
    bar: &ProgressBar,
) -> anyhow::Result<Summary> {
    let (api, _) = prepare::administrator(gateway, data).await?;
    step(bar, "issuing devices and opening the organization");
    let folder = prepare::devices(data, usize::from(args.seals))?;
    prepare::import(&api, &folder).await?;
    let company = prepare::company(&api).await?;
    let folder = DeviceFolder::load(&folder, usize::from(args.seals))?;
    let options = FleetOptions {
        server: gateway.front(),
        server_name: "127.0.0.1".to_owned(),
        seed,
        version: None,
        state: None,
        params: Params::default(),
    };
    let fleet = Fleet::start(&folder, &options)?;
    let cast = assemble(&api, &company, &fleet);
    step(bar, "delivering, turning on and binding the seals");
    let names: Vec<String> = cast.iter().map(|one| one.seal.name().to_owned()).collect();
    prepare::deliver(&api, &company, &names).await?;
    together(&cast, |one| async move { one.switch_on().await }).await?;
    prepare::bind(&api, &names).await?;
    step(bar, "at work");
    let lock_ms = work(gateway, &cast, seed, bar).await?;
    step(bar, "uploading what is left");
    together(&cast, |one| async move { one.drained().await }).await?;
    step(bar, "unbinding the seals");
    together(&cast, |one| async move { one.unbind().await }).await?;
    step(bar, "comparing");
    let truths = fleet.truths().await;
    drop(cast);
    let stamps = api
        .all(&format!("/stamps?organization={}", company.id))
        .await?;
    let mut summary = verdict::compare(&truths, &stamps)?;
    summary.lock_ms = lock_ms;
    summary.seed = seed;
    fleet.stop().await;
    Ok(summary)
}

/// Everybody at once; in the middle of it the gateway is killed and started again. Returns the lock's time.
async fn work(
    gateway: &mut Gateway,
    cast: &[Cast],
    seed: u64,
    bar: &ProgressBar,
) -> anyhow::Result<u64> {
    let mut parts: JoinSet<anyhow::Result<Option<u64>>> = JoinSet::new();
    for (place, one) in cast.iter().cloned().enumerate() {
        match ROLES.get(place) {
            Some(role) => {
                let role = *role;
                parts.spawn(async move {
                    let played = role.play(one).await;
                    played.with_context(|| format!("the part {role:?}"))
                });
            }
            None => {
                let seed = seed.rotate_left(32) ^ place as u64;
                parts.spawn(async move { office::work(one, DAY, seed).await.map(|()| None) });
            }
        }
    }
    sleep(KILL).await;
    bar.set_message("the gateway is killed");
    gateway.kill_and_restart().await?;
    bar.set_message("at work again");
    let mut lock_ms = None;
    while let Some(done) = parts.join_next().await {
        let took = done.context("a part ended badly")??;
        lock_ms = lock_ms.max(took);
        gateway.check()?;
    }
    lock_ms.context("nobody locked a seal")
}

fn assemble(api: &Api, company: &Company, fleet: &Fleet) -> Vec<Cast> {
    fleet
        .seals()
        .iter()
        .enumerate()
        .map(|(place, seal)| Cast {
            api: api.clone(),
            seal: seal.clone(),
            organization: company.id.clone(),
            member: company.members[place % company.members.len()].clone(),
        })
        .collect()
}

async fn together<F>(cast: &[Cast], what: impl Fn(Cast) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut work = JoinSet::new();
    for one in cast.iter().cloned() {
        work.spawn(what(one));
    }
    prepare::all_of(work).await
}

fn is_used(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

fn show_last_words(data: &Path) {
    let text = std::fs::read_to_string(data.join("gateway.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(15).collect();
    for line in lines.into_iter().rev() {
        eprintln!("gateway: {line}");
    }
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:24}] {msg}")
        .expect("the template is ours")
        .progress_chars("=> ");
    let bar = ProgressBar::new(STEPS).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn step(bar: &ProgressBar, words: &'static str) {
    bar.inc(1);
    bar.set_message(words);
    tracing::info!(words, "step");
}
