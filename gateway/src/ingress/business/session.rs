//! One subscriber: events its filters select go out, nothing comes in but subscriptions and pings.

use std::{future::poll_fn, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{sleep, timeout},
};
use tracing::debug;
use zeroize::Zeroizing;

use super::{
    Core, Subscriber, TokenCheck,
    filter::{Filters, NotGranted},
    seats::Seat,
};
use crate::{
    bus::{BEHIND, Event},
    ingress::{
        gate::Slot,
        mqtt::{
            Fault, Version,
            conn::{Conn, Io, Link},
            decode::{self, Packet},
            encode::{self, Name},
            reason,
        },
        rate::Rate,
        stats::Count,
    },
};

/// Unsent bytes beyond which no event is taken; the bus then counts how far the subscriber is behind.
const OUTBOX: usize = 64 * 1024;

/// How long a closing session may take to say why.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// How often a subscriber that takes nothing is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How it ends: what is counted and what a version 5 client is told.
type Ending = (Count, Option<u8>);

/// The session.
pub(super) struct Reader<T, S> {
    core: Arc<Core<T>>,
    conn: Conn<S>,
    version: Version,
    keep_alive: Duration,
    subscriber: Subscriber,
    filters: Filters,
    events: broadcast::Receiver<Arc<Event>>,
    rate: Rate,
    throttled: Option<Duration>,
    heard: Duration,
}

impl<T: TokenCheck, S: Link> Reader<T, S> {
    pub(super) fn new(
        core: Arc<Core<T>>,
        conn: Conn<S>,
        (version, keep_alive): (Version, Duration),
        subscriber: Subscriber,
    ) -> Self {
        let now = core.gate.clock.monotonic();
        core.gate.stats.session_opened();
        Self {
            events: core.bus.subscribe(),
            rate: Rate::new(core.config.client_rate, 2 * core.config.client_rate),
            core,
            conn,
            version,
            keep_alive,
            subscriber,
            filters: Filters::default(),
            throttled: None,
            heard: now,
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self: Box<Self>, token: String, places: (Slot, Seat)) {
        let (count, told) = self.serve(&Zeroizing::new(token)).await;
        let stats = self.core.gate.stats.clone();
        debug!(name = self.subscriber.name, ?count, "subscriber gone");
        stats.bump(count);
        if let Some(reason) = told {
            encode::disconnect(&mut self.conn.outbox, self.version, reason);
            self.conn.close(CLOSE_PATIENCE).await;
        }
        stats.session_closed();
        drop(places);
    }

    async fn serve(&mut self, token: &str) -> Ending {
        let core = self.core.clone();
        let draining = core.gate.draining.child_token();
        let mut recheck = pin!(sleep(core.config.recheck));
        loop {
            let now = core.gate.clock.monotonic();
            if let Err(ending) = self.take_packets(now) {
                return ending;
            }
            self.conn.release_inbox();
            let due = match self.check_clocks(now) {
                Ok(due) => due,
                Err(ending) => return ending,
            };
            let reading = self.throttled.is_none() && self.conn.outbox.len() < OUTBOX;
            let taking = self.conn.outbox.len() < OUTBOX;
            let conn = &mut self.conn;
            tokio::select! {
                biased;
                () = draining.cancelled() => return (Count::Drained, Some(reason::SHUTTING_DOWN)),
                () = &mut recheck => {
                    if let Err(ending) = self.recheck(token).await {
                        return ending;
                    }
                    recheck.set(sleep(core.config.recheck));
                }
                event = self.events.recv(), if taking => match event {
                    Ok(event) => self.send(&event),
                    Err(RecvError::Lagged(_)) => return (Count::Lagged, Some(reason::QUOTA)),
                    Err(RecvError::Closed) => return (Count::Drained, Some(reason::SHUTTING_DOWN)),
                },
                io = poll_fn(|cx| conn.poll(cx, reading)) => match io {
                    Ok(Io::Read) => self.heard = core.gate.clock.monotonic(),
                    Ok(Io::Wrote) => {}
                    Ok(Io::End) | Err(_) => return (Count::Lost, None),
                },
                () = sleep(due.saturating_sub(now)) => {}
            }
        }
    }

    /// A revoked token ends its sessions; a narrowed one loses filters.
    async fn recheck(&mut self, token: &str) -> Result<(), Ending> {
        match timeout(CLOSE_PATIENCE, self.core.tokens.check(token)).await {
            // Not answered now: asked again next time.
            Err(_) => Ok(()),
            Ok(None) => Err((Count::ClosedByHost, Some(reason::NOT_AUTHORIZED))),
            Ok(Some(subscriber)) => {
                self.filters.restrict(&subscriber);
                self.subscriber = subscriber;
                Ok(())
            }
        }
    }

    fn send(&mut self, event: &Event) {
        if self.filters.select(&event.topic) && self.subscriber.may_see(&event.topic) {
            let name = Name::Full(&event.topic);
            encode::publish(
                &mut self.conn.outbox,
                self.version,
                name,
                None,
                &event.payload,
            );
            self.core.gate.stats.bump(Count::MessagesDown);
        }
    }

    fn take_packets(&mut self, now: Duration) -> Result<(), Ending> {
        self.throttled = self.throttled.filter(|until| *until > now);
        while self.throttled.is_none() && self.conn.outbox.len() < OUTBOX {
            if decode::frame(&self.conn.inbox).map_err(broken)?.is_none() {
                break;
            }
            if let Err(wait) = self.rate.take(now) {
                self.throttled = Some(now + wait);
                self.core.gate.stats.bump(Count::Throttled);
                break;
            }
            if let Some(packet) =
                decode::next(self.version, &mut self.conn.inbox).map_err(broken)?
            {
                self.packet(packet)?;
            }
        }
        Ok(())
    }

    fn packet(&mut self, packet: Packet) -> Result<(), Ending> {
        match packet {
            Packet::Subscribe { id, filters } => {
                let codes: Vec<u8> = filters
                    .into_iter()
                    .map(|(f, _)| self.subscribe(f))
                    .collect();
                encode::suback(&mut self.conn.outbox, self.version, id, &codes);
            }
            Packet::Unsubscribe { id, filters } => {
                let codes = filters.iter().map(|filter| {
                    if self.filters.remove(filter) {
                        0
                    } else {
                        reason::NO_SUBSCRIPTION
                    }
                });
                let codes: Vec<u8> = codes.collect();
                encode::unsuback(&mut self.conn.outbox, self.version, id, &codes);
            }
            Packet::PingReq => encode::pingresp(&mut self.conn.outbox),
            Packet::PubAck(_) => {}
            // Read-only.
            Packet::Publish(_) => return Err(broken(Fault::ForeignTopic)),
            Packet::Disconnect => return Err((Count::Disconnected, None)),
        }
        Ok(())
    }

    fn subscribe(&mut self, filter: String) -> u8 {
        let Err(refused) = self.filters.add(&self.subscriber, filter) else {
            return 0;
        };
        self.core.gate.stats.bump(Count::SubscribeRefused);
        match (self.version, refused) {
            (Version::V4, _) => 0x80,
            (Version::V5, NotGranted::Invalid) => reason::FILTER_INVALID,
            (Version::V5, NotGranted::NotYours) => reason::NOT_AUTHORIZED,
            (Version::V5, NotGranted::TooMany) => reason::QUOTA,
        }
    }

    fn check_clocks(&mut self, now: Duration) -> Result<Duration, Ending> {
        let silence = self.keep_alive + self.keep_alive / 2;
        if self.throttled.is_none() && self.heard + silence <= now {
            return Err((Count::KeepAliveTimeout, Some(reason::KEEP_ALIVE)));
        }
        let mut due = (self.heard + silence).max(now + Duration::from_millis(10));
        if let Some(since) = self.conn.stalled_since(now) {
            let until = since + self.core.config.write_timeout;
            if until <= now {
                return Err((Count::WriteTimeout, None));
            }
            due = due.min(until);
        }
        if self.conn.outbox.len() >= OUTBOX {
            // It takes nothing, so nobody else would notice how far behind it is.
            if self.events.len() >= BEHIND {
                return Err((Count::Lagged, Some(reason::QUOTA)));
            }
            due = due.min(now + LOOK);
        }
        Ok(self.throttled.map_or(due, |until| due.min(until)))
    }
}

fn broken(fault: Fault) -> Ending {
    (fault.count(), Some(fault.reason()))
}
