//! The office day that never stops, for looking around.

use std::{ffi::OsString, io::Write as _, path::PathBuf, time::Duration};

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use sealgate_simulators::fleet::DeviceFolder;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Args,
    api::Api,
    child::{Offspring, Parting},
    gateway::{Gateway, Ports},
    prepare::{self, Company},
    seals,
};

/// How long the seals' orderly end may take.
const PARTING: Duration = Duration::from_secs(10);
/// How long a day takes.
const DAY_S: u64 = 120;

/// Runs until interrupted.
pub(crate) async fn run(args: Args) -> anyhow::Result<bool> {
    let data = args
        .data
        .clone()
        .unwrap_or_else(|| PathBuf::from("sealgate-data"));
    let seed = args.seed.unwrap_or_else(|| rand::random::<u32>().into());
    eprintln!("starting; everything is kept in {}", data.display());
    let mut gateway = Gateway::start(&data, Ports::choose()?).await?;
    let (api, token) = prepare::administrator(&gateway, &data).await?;
    let count = usize::from(args.seals);
    let devices = prepare::devices(&data, count)?;
    prepare::import(&api, &devices).await?;
    let company = prepare::company(&api).await?;
    let folder = DeviceFolder::load(&devices, count)?;
    let names: Vec<String> = folder.devices.iter().map(|one| one.name.clone()).collect();
    prepare::deliver(&api, &company, &names).await?;
    let words: Vec<OsString> = vec![
        seals::WORD.into(),
        "--devices".into(),
        devices.into(),
        "--state".into(),
        data.join("seals").into(),
        "--server".into(),
        gateway.front().to_string().into(),
        "--seed".into(),
        seed.to_string().into(),
        "--count".into(),
        count.to_string().into(),
        "--day-s".into(),
        DAY_S.to_string().into(),
    ];
    let mut fleet = Offspring::this(&words, &data.join("seals.log"))?;
    eprintln!("binding {count} seals and giving grants");
    prepare::bind(&api, &names).await?;
    grant_all(&api, &company, &names).await?;
    tell(&api, &token, &names[0])?;
    let outcome = watch(&mut gateway, &mut fleet).await;
    part(&mut gateway, &mut fleet).await;
    outcome.map(|()| true)
}

/// Ends both in order, seals first; a further Ctrl-C ends the one that is waited for at once.
async fn part(gateway: &mut Gateway, fleet: &mut Offspring) {
    eprintln!("stopping the simulated seals");
    let parting = fleet.part("the simulated seals", PARTING, interrupted());
    if parting.await == Parting::Killed {
        eprintln!("the simulated seals were ended as they were");
    }
    eprintln!("stopping the gateway");
    if gateway.stop(interrupted()).await == Parting::Killed {
        eprintln!("the gateway was ended as it was; what it had acknowledged is kept");
    }
    eprintln!("stopped");
}

async fn interrupted() {
    // Without a handler nobody can be impatient.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Until somebody interrupts, or a child ends by itself.
async fn watch(gateway: &mut Gateway, fleet: &mut Offspring) -> anyhow::Result<()> {
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = beat.tick() => {
                gateway.check()?;
                if let Some(status) = fleet.ended() {
                    bail!("the simulated seals ended ({status})");
                }
            }
        }
    }
}

/// A grant without limit for every seal that has none open.
async fn grant_all(api: &Api, company: &Company, names: &[String]) -> anyhow::Result<()> {
    let mut work = JoinSet::new();
    for (place, name) in names.iter().enumerate() {
        let (api, name) = (api.clone(), name.clone());
        let member = company.members[place % company.members.len()].clone();
        work.spawn(async move {
            let given = api.all(&format!("/grants?device={name}")).await?;
            if given.iter().any(|grant| grant["state"] != "ended") {
                return Ok(());
            }
            let now = Timestamp::now();
            let body = json!({
                "device": name,
                "member": member,
                // Every fifth seal has few stamps left, so that something goes wrong now and then.
                "count": if place % 5 == 4 { 20 } else { 0 },
                "not_before": (now - SignedDuration::from_secs(60)).to_string(),
                "not_after": (now + SignedDuration::from_hours(24 * 30)).to_string(),
            });
            api.post("/grants", body).await.map(drop)
        });
    }
    prepare::all_of(work).await
}

fn tell(api: &Api, token: &str, device: &str) -> anyhow::Result<()> {
    let base = api.base();
    let mut out = std::io::stdout();
    writeln!(
        out,
        r#"
API    {base}/api/v1
Docs   {base}/docs
Token  {token}

Try, in another terminal:
TOKEN={token}
SEAL={device}
curl -s -H "Authorization: Bearer $TOKEN" "{base}/api/v1/stamps?limit=5"
curl -s -H "Authorization: Bearer $TOKEN" "{base}/api/v1/abnormal?limit=5"
curl -s -X POST -H "Authorization: Bearer $TOKEN" "{base}/api/v1/devices/$SEAL/lock"

The first shows the latest records, the second the abnormal ones. The third locks a seal: it stamps no more until
curl -s -X POST -H "Authorization: Bearer $TOKEN" "{base}/api/v1/devices/$SEAL/unlock"

A day takes two minutes. Ctrl-C ends it."#
    )?;
    out.flush()?;
    Ok(())
}
