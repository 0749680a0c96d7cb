//! Committed events out to MQTT subscribers of the business side, over rumqttd's router in process.
//!
//! The router is fast and fragile: topics that are not ASCII, odd client ids, churn of clients, shared
//! subscriptions, a full connection table and a `ready` after a disconnect each kill or stall it for everybody.
//! So none of that reaches it. Constraints:
//! - One link of ours, with a fixed name and two fixed filters (`events/#` and the canary's), connected once and
//!   never disconnected. Subscribers come and go at [`Bus::subscribe`], behind the router.
//! - Only topics built by [`Topic`] go in: `events/<organization>/<family>`.
//! - Nobody waits for it: a full queue refuses, a subscriber that falls behind is told and leaves. The bus is
//!   lossy by contract; consumers catch up from the database by position.
//! - A canary goes round every second. Three that do not return, a disconnect or a dead router thread, and the
//!   router is rebuilt; subscribers notice nothing but the gap.
//!
//! A router thread that hangs cannot be stopped from outside; it is abandoned, one for each rebuild, and rebuilds
//! are spaced.

mod router;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::{clock::SharedClock, tasks, telemetry::Metrics};

/// Events that may wait for the router.
const QUEUE: usize = 4_096;

/// Events a subscriber may be behind.
pub const BEHIND: usize = 4_096;

/// Largest payload: it must fit one MQTT packet of a subscriber.
pub const MAX_PAYLOAD: usize = 4_096;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// A stamp record was stored.
    Stamp,
    /// Something needs a person.
    Alarm,
    /// A device came or went.
    Presence,
    /// A command changed its state.
    Command,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::Stamp, Self::Alarm, Self::Presence, Self::Command];

    /// Its name in topics and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stamp => "stamp",
            Self::Alarm => "alarm",
            Self::Presence => "presence",
            Self::Command => "command",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.as_str() == name)
    }
}

/// A set of families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Families(u8);

impl Families {
    /// Every family.
    #[must_use]
    pub fn all() -> Self {
        Family::ALL.into_iter().collect()
    }

    /// Whether `family` is in.
    #[must_use]
    pub const fn has(self, family: Family) -> bool {
        self.0 & (1 << family as u8) != 0
    }

    /// Whether none is in.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let bit = |bits, family| bits | 1 << family as u8;
        Self(families.into_iter().fold(0, bit))
    }
}

/// `events/<organization>/<family>`; the only topics there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Whose event it is.
    pub organization: Uuid,
    /// What it is about.
    pub family: Family,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "events/{}/{}",
            self.organization.hyphenated(),
            self.family.as_str()
        )
    }
}

/// An event as subscribers receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `events/<organization>/<family>`.
    pub topic: String,
    /// JSON.
    pub payload: Bytes,
}

/// Why an event was not taken. It is in the database all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    /// The queue is full or the router is being rebuilt.
    #[error("the bus is behind")]
    Behind,
    /// The payload does not fit an MQTT packet.
    #[error("the event is larger than {MAX_PAYLOAD} bytes")]
    TooLarge,
}

/// The bus. Cheap to clone; ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Bus {
    shared: Arc<Shared>,
    _supervisor: Arc<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Event>,
    out: broadcast::Sender<Arc<Event>>,
    builds: AtomicU64,
    metrics: Option<Arc<Metrics>>,
    clock: SharedClock,
    stop: CancellationToken,
}

impl Bus {
    /// Starts the router and its supervisor.
    #[must_use]
    pub fn start(clock: SharedClock, metrics: Option<Arc<Metrics>>) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let (out, _) = broadcast::channel(BEHIND);
        let shared = Arc::new(Shared {
            queue,
            out,
            builds: AtomicU64::new(0),
            metrics,
            clock,
            stop: CancellationToken::new(),
        });
        let supervisor = tasks::spawn("bus", router::supervise(shared.clone(), queued));
        Self {
            shared,
            _supervisor: Arc::new(AbortOnDropHandle::new(supervisor)),
        }
    }

    /// Sends a committed event on its way. Never waits.
    ///
    /// # Errors
    /// The bus is behind, or the event too large; subscribers then miss it and read the database.
    pub fn publish(&self, topic: Topic, payload: Bytes) -> Result<(), NotPublished> {
        if payload.len() > MAX_PAYLOAD {
            return Err(NotPublished::TooLarge);
        }
        let event = Event {
            topic: topic.to_string(),
            payload,
        };
        let taken = self.shared.queue.try_send(event);
        if let (Ok(()), Some(metrics)) = (&taken, &self.shared.metrics) {
            let family = topic.family.as_str();
            metrics.bus_published.with_label_values(&[family]).inc();
        }
        taken.map_err(|_| NotPublished::Behind)
    }

    /// Every event from now on. A receiver that falls [`BEHIND`] events behind is told so and should leave.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.shared.out.subscribe()
    }

    /// Whether anybody subscribes at the moment; an event published to nobody is gone.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.shared.out.receiver_count() > 0
    }

    /// How often a router was built: 1 when nothing ever failed.
    #[must_use]
    pub fn builds(&self) -> u64 {
        self.shared.builds.load(Ordering::Relaxed)
    }

    /// Stops for good.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
