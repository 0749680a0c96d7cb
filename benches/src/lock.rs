//! From the API call to the seal that knows it is locked, with everybody connected.
//!
//! The seal answers CMD-ACK as a real one would, so that each command runs its whole course; every other call unlocks.

use anyhow::{Context as _, Result};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sealgate_codec::{
    Frame, Message, cose,
    message::{CmdAck, CmdStatus},
    ticket::Ticket,
};
use tokio::sync::mpsc;

use crate::{
    client::Client,
    idle,
    prepared::Seal,
    report::{Latencies, Report},
    timer,
    world::Gateway,
};

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Lock calls measured.
    pub calls: usize,
    /// Seed of which seals are taken.
    pub seed: u64,
}

/// Measures.
///
/// # Errors
/// A session or a call was refused.
pub async fn run(gateway: &Gateway, token: &str, seals: &[Seal], plan: Plan) -> Result<Report> {
    let mut report = Report::of("lock: API call to the seal's knowledge of it");
    report.set("connected", seals.len());
    report.set("calls", plan.calls);
    report.set("seed", plan.seed);
    let (heard, mut news) = mpsc::channel(1024);
    for (number, client) in idle::connect(gateway.at.front, seals)
        .await?
        .into_iter()
        .enumerate()
    {
        sealgate::tasks::spawn("seal", listen(client, number, heard.clone()));
    }
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let mut latencies = Latencies::default();
    for _ in 0..plan.calls {
        let number = rng.random_range(0..seals.len());
        for action in ["lock", "unlock"] {
            let url = format!(
                "http://{}/api/v1/devices/{}/{action}",
                gateway.at.http, seals[number].name
            );
            let began = timer::now();
            let asked = http
                .post(url)
                .bearer_auth(token)
                .json(&serde_json::json!({"reason": "bench"}))
                .send();
            let (answer, who) = tokio::join!(asked, news.recv());
            let answer = answer?;
            anyhow::ensure!(
                answer.status().is_success(),
                "{action}: {}",
                answer.text().await?
            );
            let (who, at) = who.context("no seal is left")?;
            anyhow::ensure!(who == number, "another seal was locked");
            if action == "lock" {
                latencies.record(timer::micros(at.duration_since(began)));
            }
        }
    }
    report.figure("p50", latencies.millis(0.5), "ms", Some("5 ms"));
    report.figure("p99", latencies.millis(0.99), "ms", Some("50 ms"));
    report.latency("API call to CMD at the seal", &latencies);
    Ok(report)
}

async fn listen(
    mut client: Client,
    number: usize,
    heard: mpsc::Sender<(usize, std::time::Instant)>,
) -> Result<()> {
    loop {
        let message = client.message().await?;
        let at = timer::now();
        let Ok(Frame {
            mid,
            message: Message::Cmd(signed),
            ..
        }) = Frame::decode(&message)
        else {
            continue;
        };
        let ticket = Ticket::decode(cose::parse(&signed).map_err(bad)?.payload).map_err(bad)?;
        let ack = Frame {
            mid: mid.wrapping_add(1),
            re: Some(mid),
            message: Message::CmdAck(CmdAck {
                domain: ticket.domain,
                ctr: ticket.ctr,
                status: CmdStatus::Applied,
                err: None,
            }),
        };
        client.publish(&ack.encode())?;
        client.flush().await?;
        heard.send((number, at)).await?;
    }
}

fn bad(error: sealgate_codec::DecodeError) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}
