//! Offline logs coming in: every seal connects with a log of some hundred records and sends it in batches of 28,
//! two under way, as a seal does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use indicatif::ProgressBar;

use crate::{
    client::Client,
    prepared::Seal,
    report::{Latencies, Report},
    stamps::{HELLO_ACK, LOG_ACK},
    timer,
    world::source,
};

/// Messages under way.
const WINDOW: usize = 2;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Records of each seal.
    pub records: u32,
    /// Seals that drain at once.
    pub parallel: usize,
    /// What the database is asked for, a second.
    pub goal: &'static str,
}

/// Drains every log.
///
/// # Errors
/// A seal was refused.
pub async fn run(
    front: SocketAddr,
    seals: &[Seal],
    messages: Vec<Vec<Vec<u8>>>,
    plan: Plan,
) -> Result<Report> {
    let mut report = Report::of("reconcile: offline logs of seals that come back");
    report.set("seals", seals.len());
    report.set("records each", plan.records);
    report.set("at once", plan.parallel);
    let bar = ProgressBar::new(seals.len() as u64).with_message("draining");
    let began = timer::now();
    let drained: Vec<Result<Duration>> = stream::iter(seals.iter().zip(messages).enumerate())
        .map(|(number, (seal, messages))| {
            let bar = bar.clone();
            async move {
                let taken = drain(front, number, seal, &messages, plan.records)
                    .await
                    .with_context(|| seal.name.clone());
                bar.inc(1);
                taken
            }
        })
        .buffer_unordered(plan.parallel)
        .collect()
        .await;
    let taken = began.elapsed();
    bar.finish_and_clear();
    let mut each = Latencies::default();
    for one in drained {
        each.record(timer::micros(one?));
    }
    let records = seals.len() as u64 * u64::from(plan.records);
    report.figure(
        "records",
        timer::rate(records, taken),
        "1/s",
        Some(plan.goal),
    );
    report.latency("a whole log, HELLO to last LOG-ACK", &each);
    Ok(report)
}

async fn drain(
    front: SocketAddr,
    number: usize,
    seal: &Seal,
    messages: &[Vec<u8>],
    records: u32,
) -> Result<Duration> {
    let hello = seal.hello(records + 1);
    let tls = Arc::clone(&seal.tls);
    let began = timer::now();
    let mut client = Client::connect(front, source(number), tls, &seal.name, Some(&hello)).await?;
    client.wait_for(HELLO_ACK).await?;
    let mut sent = 0;
    for acknowledged in 0..messages.len() {
        while sent < messages.len() && sent < acknowledged + WINDOW {
            client.publish(&messages[sent])?;
            sent += 1;
        }
        client.flush().await?;
        client.wait_for(LOG_ACK).await?;
    }
    Ok(began.elapsed())
}
