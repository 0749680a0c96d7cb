//! Live stamps end to end: seal, mutual TLS, MQTT, checks, durable commit, LOG-ACK. Window one: a seal sends its next
//! stamp when the one before is acknowledged, as real ones do.
//!
//! Two phases over the same sessions: as fast as it goes (the rate), then paced at half of that (the latency).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use tokio::{sync::Semaphore, task::JoinHandle, time::Instant};

use crate::{
    client::Client,
    prepared::Seal,
    report::{Latencies, Report},
    timer,
    world::source,
};

/// Type number of HELLO-ACK.
pub const HELLO_ACK: u8 = 2;
/// Type number of LOG-ACK.
pub const LOG_ACK: u8 = 17;
/// Handshakes at once while sessions are set up.
const SETUP: usize = 64;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Seconds of the first phase.
    pub full: Duration,
    /// Seconds of the second phase.
    pub half: Duration,
    /// Whether the other end speaks SL/1 (HELLO first) or is the comparison pipeline (SUBSCRIBE first).
    pub sl1: bool,
}

/// A seal with its session and what it will send.
#[derive(Debug)]
pub struct Live {
    client: Client,
    messages: std::vec::IntoIter<Vec<u8>>,
    answer: Option<u8>,
}

/// Opens a session for every seal.
///
/// # Errors
/// One was refused.
pub async fn open(
    front: SocketAddr,
    seals: &[Seal],
    messages: Vec<Vec<Vec<u8>>>,
    sl1: bool,
) -> Result<Vec<Live>> {
    let sessions = stream::iter(seals.iter().zip(messages).enumerate()).map(
        |(number, (seal, messages))| async move {
            let hello = sl1.then(|| seal.hello(1));
            let tls = Arc::clone(&seal.tls);
            let mut client =
                Client::connect(front, source(number), tls, &seal.name, hello.as_deref())
                    .await
                    .with_context(|| seal.name.clone())?;
            if sl1 {
                client.wait_for(HELLO_ACK).await?;
            } else {
                client.subscribe(&format!("s1/{}/d", seal.name)).await?;
            }
            Ok(Live {
                client,
                messages: messages.into_iter(),
                answer: sl1.then_some(LOG_ACK),
            })
        },
    );
    let opened: Vec<Result<Live>> = sessions.buffer_unordered(SETUP).collect().await;
    opened.into_iter().collect()
}

/// What one phase found.
#[derive(Debug)]
pub struct Phase {
    /// Stamps acknowledged.
    pub done: u64,
    /// In this time.
    pub taken: Duration,
    /// From sending to LOG-ACK.
    pub latencies: Latencies,
    /// Seals whose prepared stamps ran out: the phase was too long for what was prepared.
    pub exhausted: u64,
    /// Seals that failed, with the first reason.
    pub failed: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    done: AtomicU64,
    exhausted: AtomicU64,
}

struct Outcome {
    live: Option<Live>,
    latencies: Latencies,
    error: Option<String>,
}

/// Runs all sessions for `duration`; with a `rate`, that many stamps a second over all of them.
pub async fn run(lives: Vec<Live>, duration: Duration, rate: Option<f64>) -> (Phase, Vec<Live>) {
    let shared = Arc::new(Shared::default());
    let tickets = rate.map(|_| Arc::new(Semaphore::new(0)));
    let pace = rate.zip(tickets.clone()).map(|(rate, tickets)| {
        let shared = Arc::clone(&shared);
        sealgate::tasks::spawn("pace", give_tickets(rate, tickets, shared))
    });
    let began = timer::now();
    let running: Vec<JoinHandle<Outcome>> = lives
        .into_iter()
        .map(|live| {
            let (shared, tickets) = (Arc::clone(&shared), tickets.clone());
            sealgate::tasks::spawn("seal", drive(live, shared, tickets))
        })
        .collect();
    tokio::time::sleep(duration).await;
    shared.stop.store(true, Ordering::Relaxed);
    let (done, taken) = (shared.done.load(Ordering::Relaxed), began.elapsed());
    if let Some(pace) = pace {
        pace.abort();
    }
    if let Some(tickets) = tickets {
        tickets.close();
    }
    let mut phase = Phase {
        done,
        taken,
        latencies: Latencies::default(),
        exhausted: 0,
        failed: Vec::new(),
    };
    let mut lives = Vec::new();
    for task in running {
        if let Ok(outcome) = task.await {
            phase.latencies.merge(&outcome.latencies);
            phase.failed.extend(outcome.error);
            lives.extend(outcome.live);
        }
    }
    phase.exhausted = shared.exhausted.load(Ordering::Relaxed);
    (phase, lives)
}

/// Gives out the right to send, evenly. A late tick gives what was missed, so the rate holds.
async fn give_tickets(rate: f64, tickets: Arc<Semaphore>, shared: Arc<Shared>) {
    let began = Instant::now();
    let mut given = 0_u64;
    while !shared.stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(2)).await;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small positive number"
        )]
        let due = (began.elapsed().as_secs_f64() * rate) as u64;
        let now = usize::try_from(due - given).unwrap_or(0);
        // Never more than a second's worth waiting: a stalled gateway must not be flooded afterwards.
        if tickets.available_permits() < 100_000 {
            tickets.add_permits(now);
        }
        given = due;
    }
}

async fn drive(mut live: Live, shared: Arc<Shared>, tickets: Option<Arc<Semaphore>>) -> Outcome {
    let mut latencies = Latencies::small();
    while !shared.stop.load(Ordering::Relaxed) {
        if let Some(tickets) = &tickets {
            match tickets.acquire().await {
                Ok(ticket) => ticket.forget(),
                Err(_) => break,
            }
        }
        let Some(message) = live.messages.next() else {
            shared.exhausted.fetch_add(1, Ordering::Relaxed);
            break;
        };
        let sent = timer::now();
        if let Err(error) = exchange(&mut live, &message).await {
            return Outcome {
                live: None,
                latencies,
                error: Some(format!("{error:#}")),
            };
        }
        latencies.record(timer::micros(sent.elapsed()));
        shared.done.fetch_add(1, Ordering::Relaxed);
    }
    Outcome {
        live: Some(live),
        latencies,
        error: None,
    }
}

async fn exchange(live: &mut Live, message: &[u8]) -> Result<()> {
    live.client.publish(message)?;
    live.client.flush().await?;
    match live.answer {
        Some(kind) => live.client.wait_for(kind).await?,
        None => live.client.message().await?,
    };
    Ok(())
}

/// Both phases, into a report. The rate of the first, for ratios.
///
/// # Errors
/// Every session failed.
pub async fn measure(report: &mut Report, who: &str, lives: Vec<Live>, plan: Plan) -> Result<f64> {
    let goal = plan.sl1.then_some("12,000/s");
    let (full, lives) = run(lives, plan.full, None).await;
    let rate = timer::rate(full.done, full.taken);
    report.figure(
        &format!("{who}: stamps, as fast as it goes"),
        rate,
        "1/s",
        goal,
    );
    report.latency(&format!("{who}: as fast as it goes"), &full.latencies);
    note(report, who, &full);
    anyhow::ensure!(
        !lives.is_empty(),
        "{who}: every session failed: {:?}",
        full.failed.first()
    );
    let (half, _) = run(lives, plan.half, Some(rate / 2.0)).await;
    report.figure(
        &format!("{who}: stamps, at half load"),
        timer::rate(half.done, half.taken),
        "1/s",
        None,
    );
    let goal = plan.sl1.then_some("25 ms");
    report.figure(
        &format!("{who}: p99 at half load"),
        half.latencies.millis(0.99),
        "ms",
        goal,
    );
    report.latency(&format!("{who}: at half load"), &half.latencies);
    note(report, who, &half);
    Ok(rate)
}

fn note(report: &mut Report, who: &str, phase: &Phase) {
    if phase.exhausted > 0 {
        report.skip(format!(
            "{who}: {} seals ran out of prepared stamps",
            phase.exhausted
        ));
    }
    if let Some(first) = phase.failed.first() {
        report.skip(format!(
            "{who}: {} sessions failed, the first: {first}",
            phase.failed.len()
        ));
    }
}
