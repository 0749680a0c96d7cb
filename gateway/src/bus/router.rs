//! One router at a time, watched.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use rumqttd::{
    Notification, Router, RouterConfig,
    local::{LinkBuilder, LinkError, LinkRx, LinkTx},
};
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{info, warn};

use super::{Event, Shared};

/// Everything subscribers may see.
const EVENTS: &str = "events/#";

/// The canary's topic, which no subscriber may see.
const CANARY: &str = "canary";

/// How often the canary flies.
const FLIGHT: Duration = Duration::from_secs(1);

/// Canaries that may be on their way.
const LOST_CANARIES: u64 = 3;

/// Packets the router may leave in its inbox before we call it stuck.
const INBOX: usize = 8_192;

/// Between rebuilds.
const PAUSE: Duration = Duration::from_millis(200);

/// Longest wait for a router to answer at all.
const ANSWER: Duration = Duration::from_secs(5);

/// Why a router is given up.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the canary did not return")]
    Canary,
    #[error("disconnected by the router")]
    Disconnected,
    #[error("the router does not answer")]
    Silent,
    #[error("the router does not read")]
    Stuck,
    #[error("link: {0}")]
    Link(Box<LinkError>),
}

impl From<LinkError> for Broken {
    fn from(error: LinkError) -> Self {
        Self::Link(Box::new(error))
    }
}

/// Builds routers until stopped.
pub(super) async fn supervise(shared: Arc<Shared>, mut queued: mpsc::Receiver<Event>) {
    loop {
        let ended = tokio::select! {
            () = shared.stop.cancelled() => return,
            ended = run(&shared, &mut queued) => ended,
        };
        let Err(broken) = ended else {
            return;
        };
        warn!(%broken, "rebuilding the bus");
        if let Some(metrics) = &shared.metrics {
            metrics.bus_restarts.inc();
        }
        sleep(PAUSE).await;
    }
}

/// One router's life. Ends well only when nobody can publish any more.
async fn run(shared: &Shared, queued: &mut mpsc::Receiver<Event>) -> Result<(), Broken> {
    let (mut tx, mut rx) = build().await?;
    shared.builds.fetch_add(1, Ordering::Relaxed);
    info!("bus ready");
    let mut flight = interval(FLIGHT);
    flight.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut flown, mut back) = (0u64, 0u64);
    let mut seen = shared.clock.monotonic();
    loop {
        tokio::select! {
            biased;
            _ = flight.tick() => {
                if flown - back >= LOST_CANARIES {
                    return Err(Broken::Canary);
                }
                flown += 1;
                push(&mut tx, CANARY.to_owned(), Bytes::copy_from_slice(&flown.to_be_bytes()))?;
                if let Some(metrics) = &shared.metrics {
                    let age = shared.clock.monotonic().saturating_sub(seen);
                    metrics.bus_canary_age_seconds.set(age.as_secs_f64());
                }
            }
            came = rx.next() => match came? {
                Some(Notification::Forward(forward)) => {
                    let publish = forward.publish;
                    if publish.topic == CANARY {
                        back = flown;
                        seen = shared.clock.monotonic();
                    } else if let Ok(topic) = String::from_utf8(publish.topic.to_vec()) {
                        let event = Event { topic, payload: publish.payload };
                        // Nobody listening is fine.
                        let _ = shared.out.send(Arc::new(event));
                    }
                }
                // The router waits for a sign that we have read so far.
                Some(Notification::Unschedule) => {
                    timeout(ANSWER, rx.wake()).await.map_err(|_| Broken::Stuck)??;
                }
                // A sign after this would kill the router for whoever has our place.
                Some(Notification::Disconnect(..)) => return Err(Broken::Disconnected),
                _ => {}
            },
            event = queued.recv() => match event {
                Some(event) => push(&mut tx, event.topic, event.payload)?,
                None => return Ok(()),
            },
        }
    }
}

/// Hands a packet over without ever blocking: the router's inbox is shared memory, the channel only a bell.
fn push(tx: &mut LinkTx, topic: String, payload: Bytes) -> Result<(), Broken> {
    if tx.buffer().len() >= INBOX {
        return Err(Broken::Stuck);
    }
    match tx.try_publish(topic, payload) {
        // The bell could not be rung again: it rings already, and the packet is in the inbox. Were the router
        // gone, our receiving half would say so.
        Ok(_) | Err(LinkError::TrySend(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A new router with our one link. The link's builder blocks, so it gets a thread.
async fn build() -> Result<(LinkTx, LinkRx), Broken> {
    let building = spawn_blocking(|| -> Result<_, Broken> {
        let router = Router::new(0, config()).spawn();
        let (mut tx, rx, _) = LinkBuilder::new("sealgate", router).build()?;
        tx.subscribe(EVENTS)?;
        tx.subscribe(CANARY)?;
        Ok((tx, rx))
    });
    match timeout(ANSWER, building).await {
        Ok(Ok(built)) => built,
        _ => Err(Broken::Silent),
    }
}

fn config() -> RouterConfig {
    RouterConfig {
        max_connections: 4,
        max_outgoing_packet_count: 200,
        max_segment_size: 1024 * 1024,
        max_segment_count: 4,
        ..RouterConfig::default()
    }
}
