//! A page of any list over many records: fills a database, starts the gateway on it, and walks every list with every
//! filter at its beginning, in its middle and at its end.
//!
//! One client, one request at a time: what is measured is a page, not a crowd.

mod actors;
mod fill;
mod listings;
mod plan;
mod sink;
mod tables;
mod walk;

use std::{collections::HashMap, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use reqwest::Client;
use sealgate::clock::{Clock as _, SystemClock};
use sealgate_domain::Millis;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    report::{Latencies, Report},
    timer::{self, to_f64},
    world::{Gateway, World},
};
use listings::{Asker, Depth, Listing, Samples};
use plan::{Plan, organization_id, text};
use walk::Walker;

/// The largest page there is.
const MAX: u32 = 200;
/// The goal of a page's p99.
const GOAL: &str = "20 ms";

/// How it is run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Stamps.
    pub records: u64,
    /// Pages of each list, page size and depth.
    pub pages: u64,
}

/// What a filled database was filled with.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Filled {
    records: u64,
    at: i64,
    seconds: f64,
}

/// Fills the world's database unless that was done before, and measures.
///
/// # Errors
/// The database or the gateway refuses.
pub async fn run(world: &World, settings: Settings) -> Result<Report> {
    let filled = filled(world, settings.records).await?;
    let plan = Plan::of(filled.records, Millis(filled.at));
    let mut report = Report::of("pages: every list, every filter, at any depth");
    report.set("records", filled.records);
    report.set("pages of a walk", settings.pages);
    report.figure("filling", filled.seconds, "s", None);
    for (name, bytes) in sink::sizes(&world.store).await?.into_iter().take(24) {
        report.figure(&format!("size of {name}"), to_f64(bytes) / 1e6, "MB", None);
    }
    let samples = samples(&world.store, &plan).await?;
    let token = world.token()?;
    let gateway = world.start()?;
    let walker = walker(world, &gateway, &token, (&plan, &samples), settings).await?;
    let worst = measure(&walker, &mut report).await?;
    let (name, p99) = worst.context("there are lists")?;
    report.figure(&format!("worst p99: {name}"), p99, "ms", Some(GOAL));
    report.slowest_first();
    Ok(report)
}

/// Fills once; a note beside the database says with what.
async fn filled(world: &World, records: u64) -> Result<Filled> {
    let note = world.file("filled.json");
    if let Ok(bytes) = std::fs::read(&note) {
        let filled: Filled = serde_json::from_slice(&bytes)?;
        anyhow::ensure!(
            filled.records == records,
            "the folder holds {} records",
            filled.records
        );
        return Ok(filled);
    }
    world.migrate()?;
    let at = SystemClock::new().now();
    let began = timer::now();
    fill::fill(&world.store, &Plan::of(records, at), at).await?;
    let filled = Filled {
        records,
        at: at.0,
        seconds: began.elapsed().as_secs_f64(),
    };
    std::fs::write(&note, serde_json::to_vec(&filled)?)?;
    Ok(filled)
}

async fn samples(store: &str, plan: &Plan) -> Result<Samples> {
    let ordinary = plan.devices() - 1;
    let of = |what: &str, device: u32, seq: i64| {
        let key = plan::device_id(device).to_key();
        format!("SELECT {what} FROM stamp WHERE device_id = {key} AND epoch = 0 AND seq = {seq}")
    };
    let mut positions = HashMap::new();
    for device in [0, ordinary] {
        for depth in [Depth::Middle, Depth::Last] {
            let seq = listings::seq(plan, device, depth);
            let found = sink::ask(store, &of("CAST(position AS TEXT)", device, seq)).await?;
            positions.insert((device, depth), found.parse()?);
        }
    }
    let id = match store.starts_with("sqlite:") {
        true => "lower(hex(grant_id))",
        false => "replace(CAST(grant_id AS TEXT), '-', '')",
    };
    let hex = sink::ask(store, &of(id, ordinary, 7)).await?;
    let grant: uuid::Uuid = hex.parse()?;
    Ok(Samples {
        positions,
        grant: grant.to_string(),
    })
}

async fn walker<'a>(
    world: &World,
    gateway: &Gateway,
    token: &str,
    (plan, samples): (&'a Plan, &'a Samples),
    settings: Settings,
) -> Result<Walker<'a>> {
    let client = Client::builder()
        .timeout(Duration::from_secs(120))
        .no_proxy()
        .build()?;
    let base = format!("http://{}", gateway.at.http);
    let small = plan.organization_of(plan.devices() - 1);
    let bound = async |organization: u32| -> Result<String> {
        let body = json!({
            "name": "pages",
            "scopes": ["fleet:read", "org:read", "stamp:read", "events:read"],
            "organization": text(organization_id(plan, organization)),
        });
        let made = client.post(format!("{base}/api/v1/tokens"));
        let made = made.bearer_auth(token).json(&body).send().await?;
        let made: serde_json::Value = made.error_for_status()?.json().await?;
        let secret = made.get("secret").or_else(|| made.get("token"));
        Ok(secret
            .and_then(|one| one.as_str())
            .context("a secret")?
            .to_owned())
    };
    let tokens = [
        (Asker::Admin, token.to_owned()),
        (Asker::Great, bound(0).await?),
        (Asker::Small, bound(small).await?),
    ];
    Ok(Walker {
        cursors: walk::cursors(Path::new(&world.file("")))?,
        client,
        base,
        tokens,
        plan,
        samples,
        pages: settings.pages,
    })
}

/// Walks them all; says which had the worst p99 of one depth.
async fn measure(walker: &Walker<'_>, report: &mut Report) -> Result<Option<(String, f64)>> {
    let all = listings::all(walker.plan, walker.samples);
    let bar = ProgressBar::new(all.len() as u64).with_message("lists");
    let mut worst: Option<(String, f64)> = None;
    for listing in &all {
        for limit in sizes(listing) {
            let mut sum = Latencies::default();
            for depth in Depth::ALL {
                let some = walker.walk(listing, limit, depth).await?;
                let (p99, size) = (some.millis(0.99), size(listing, limit));
                if worst.as_ref().is_none_or(|(_, known)| p99 > *known) {
                    worst = Some((format!("{} {size} ({depth:?})", listing.name), p99));
                }
                sum.merge(&some);
            }
            report.latency(&format!("{} {}", listing.name, size(listing, limit)), &sum);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(worst)
}

fn sizes(listing: &Listing) -> Vec<Option<u32>> {
    match listing.is_paged() {
        true => vec![None, Some(MAX)],
        false => vec![None],
    }
}

fn size(listing: &Listing, limit: Option<u32>) -> &'static str {
    match (listing.is_paged(), limit) {
        (false, _) => "",
        (true, None) => "50",
        (true, Some(_)) => "200",
    }
}
