//! One live session: a task that moves bytes and payloads until either side ends.
//!
//! Everything that can happen is one `select!`; what may happen next depends only on state, so that no event can
//! be missed: reading stops while a payload waits for the session, while the device is too fast, while too much is
//! unacknowledged or unsent, and while draining.

use std::{future::poll_fn, io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use sealgate_domain::DeviceId;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Core,
    connect::Stream,
    ending::Ending,
    inbound::{self, Inbound},
    outbound::{Outbound, Sent},
    topics::Topics,
};
use crate::{
    devices::link::{
        CloseReason, Downlink, DownlinkLane, LinkEnd, Session, SessionOver, UplinkLane, UplinkSink,
    },
    ingress::{
        gate::Slot,
        mqtt::{
            Version,
            conn::{Conn, Io},
            decode::{self, Packet},
            encode, reason,
        },
        rate::Rate,
        stats::Count,
    },
};

/// Unsent bytes beyond which nothing more is produced.
const OUTBOX: usize = 16 * 1024;

/// How long a closing session may take to say why.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// What CONNECT settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) device: DeviceId,
    pub(super) version: Version,
    pub(super) keep_alive: Duration,
    pub(super) max_packet: usize,
    pub(super) alias_maximum: u16,
    pub(super) in_flight: u16,
}

/// What woke the session.
enum Event {
    /// The host ended it.
    Closed,
    Drain,
    Taken(Result<(), SessionOver>),
    Down(Option<Downlink>),
    Io(io::Result<Io>),
    Tick,
}

/// The session.
#[derive(Debug)]
pub(super) struct Pump {
    core: Arc<Core>,
    conn: Conn<Stream>,
    client: Client,
    topics: Topics,
    uplink: UplinkSink,
    downlink: mpsc::Receiver<Downlink>,
    closed: CancellationToken,
    inbound: Inbound,
    outbound: Outbound,
    /// Monotonic time of the last byte, moved on by the time we did not read.
    heard: Duration,
    /// Since when we do not read.
    paused: Option<Duration>,
    /// Draining, and until when at most.
    drain_by: Option<Duration>,
    _slot: Slot,
}

impl Pump {
    pub(super) fn new(
        core: Arc<Core>,
        conn: Conn<Stream>,
        client: Client,
        session: Session,
        slot: Slot,
    ) -> Box<Self> {
        let config = &core.config;
        let rate = Rate::new(config.device_rate, config.device_burst);
        let now = core.gate.clock.monotonic();
        core.gate.stats.session_opened();
        Box::new(Self {
            inbound: Inbound::new(rate, config.receive_maximum),
            outbound: Outbound::new(),
            topics: Topics::of(client.device),
            uplink: session.uplink,
            downlink: session.downlink,
            closed: session.closed,
            heard: now,
            paused: None,
            drain_by: None,
            core,
            conn,
            client,
            _slot: slot,
        })
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        let ending = self.serve().await;
        let stats = self.core.gate.stats.clone();
        debug!(device = %self.client.device, ?ending, "session ended");
        stats.bump(ending.count);
        // The host must not wait for a client that is leaving.
        self.downlink.close();
        if let Some(end) = ending.end {
            let uplink = self.uplink.clone();
            if timeout(CLOSE_PATIENCE, uplink.end(end)).await.is_err() {
                warn!(device = %self.client.device, "the session host is stuck");
            }
        }
        if let Some(reason) = ending.reason {
            encode::disconnect(&mut self.conn.outbox, self.client.version, reason);
            self.conn.close(CLOSE_PATIENCE).await;
        }
        stats.session_closed();
    }

    async fn serve(&mut self) -> Ending {
        let core = self.core.clone();
        // Made once: each would be enlisted anew at every turn.
        let closed = self.closed.clone();
        let mut closed = pin!(closed.cancelled());
        let mut draining = pin!(core.gate.draining.cancelled());
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut armed = Duration::ZERO;
        loop {
            let now = core.gate.clock.monotonic();
            if let Err(ending) = self.take_packets(now) {
                return ending;
            }
            self.conn.release_inbox();
            let reading = self.may_read();
            let due = match self.check_clocks(now, reading) {
                Ok(due) => due,
                Err(ending) => return ending,
            };
            if due < armed || armed <= now {
                timer.set(sleep(due.saturating_sub(now)));
                armed = due;
            }
            let sending = self.outbound.ready() && self.conn.outbox.len() < OUTBOX;
            let conn = &mut self.conn;
            let event = tokio::select! {
                biased;
                () = &mut closed => Event::Closed,
                () = &mut draining, if self.drain_by.is_none() => Event::Drain,
                taken = hand_up(&self.uplink, self.inbound.pending.as_ref()),
                    if self.inbound.pending.is_some() => Event::Taken(taken),
                down = self.downlink.recv(), if sending => Event::Down(down),
                io = poll_fn(|cx| conn.poll(cx, reading)) => Event::Io(io),
                () = &mut timer => Event::Tick,
            };
            if let Err(ending) = self.handle(event, core.gate.clock.monotonic()) {
                return ending;
            }
        }
    }

    fn handle(&mut self, event: Event, now: Duration) -> Result<(), Ending> {
        match event {
            Event::Taken(Ok(())) => {
                self.inbound.pending = None;
                self.core.gate.stats.bump(Count::MessagesUp);
            }
            Event::Down(Some(down)) => return self.down(down, now),
            Event::Io(Ok(Io::Read)) => self.heard = now,
            Event::Io(Ok(Io::Wrote)) | Event::Tick => {}
            Event::Io(Ok(Io::End) | Err(_)) => {
                return Err(Ending::new(LinkEnd::Lost, None, Count::Lost));
            }
            Event::Drain => {
                let limit = self.core.drain_by.get().copied();
                self.drain_by = Some(limit.unwrap_or(now));
            }
            Event::Closed | Event::Taken(Err(SessionOver)) | Event::Down(None) => {
                return Err(self.last_words());
            }
        }
        Ok(())
    }

    /// The host ended the session: what it said before still counts.
    fn last_words(&mut self) -> Ending {
        while let Ok(down) = self.downlink.try_recv() {
            match down {
                Downlink::Accepted => drop(self.inbound.owed.accepted(&mut self.conn.outbox)),
                Downlink::Close(why) => return self.closed_by_host(why),
                Downlink::Payload { .. } => {}
            }
        }
        CloseReason::TakenOver.into()
    }

    /// Who was revoked is not to resume either.
    fn closed_by_host(&self, why: CloseReason) -> Ending {
        if why == CloseReason::NotAuthorized {
            self.core.tls.forget(self.client.device);
        }
        why.into()
    }

    fn down(&mut self, down: Downlink, now: Duration) -> Result<(), Ending> {
        match down {
            Downlink::Accepted => {
                if !self.inbound.owed.accepted(&mut self.conn.outbox) {
                    warn!(device = %self.client.device, "an acceptance nobody is owed");
                }
            }
            Downlink::Payload { lane, payload } => self.send(lane, payload, now),
            Downlink::Close(why) => return Err(self.closed_by_host(why)),
        }
        Ok(())
    }

    fn send(&mut self, lane: DownlinkLane, payload: Bytes, now: Duration) {
        let to = (&self.client, &self.topics);
        let stats = &self.core.gate.stats;
        match self
            .outbound
            .send(to, lane, payload, now, &mut self.conn.outbox)
        {
            Sent::Written => stats.bump(Count::MessagesDown),
            Sent::Held => {}
            Sent::TooLarge => stats.bump(Count::TooLargeForClient),
        }
    }

    fn may_read(&self) -> bool {
        self.inbound.ready(self.client.version)
            && self.conn.outbox.len() < OUTBOX
            && self.drain_by.is_none()
    }

    /// Decodes as long as what it leads to can be taken.
    fn take_packets(&mut self, now: Duration) -> Result<(), Ending> {
        self.inbound.throttled = self.inbound.throttled.filter(|until| *until > now);
        while self.may_read() && decode::frame(&self.conn.inbox)?.is_some() {
            let is_ack = self.conn.inbox[0] >> 4 == 4 && self.outbound.waits();
            if !is_ack && let Err(wait) = self.inbound.rate.take(now) {
                self.inbound.throttled = Some(now + wait);
                self.core.gate.stats.bump(Count::Throttled);
                break;
            }
            if let Some(packet) = decode::next(self.client.version, &mut self.conn.inbox)? {
                self.packet(packet, now)?;
            }
        }
        Ok(())
    }

    fn packet(&mut self, packet: Packet, now: Duration) -> Result<(), Ending> {
        let version = self.client.version;
        let out = &mut self.conn.outbox;
        let stats = &self.core.gate.stats;
        match packet {
            Packet::Publish(publish) => {
                self.inbound.publish(&self.topics, version, publish, out)?;
            }
            Packet::PubAck(id) => {
                let to = (&self.client, &self.topics);
                for _ in 0..self.outbound.acknowledged(to, id, now, out) {
                    stats.bump(Count::MessagesDown);
                }
            }
            Packet::Subscribe { id, filters } => {
                let (codes, qos, refused) = inbound::subscribe(&self.topics, version, &filters);
                self.outbound.qos = qos.unwrap_or(self.outbound.qos);
                for _ in 0..refused {
                    stats.bump(Count::SubscribeRefused);
                }
                encode::suback(out, version, id, &codes);
            }
            // The two topics down belong to the session: nobody unsubscribes from them.
            Packet::Unsubscribe { id, filters } => {
                let codes = vec![reason::NOT_AUTHORIZED; filters.len()];
                encode::unsuback(out, version, id, &codes);
            }
            Packet::PingReq => encode::pingresp(out),
            Packet::Disconnect => {
                return Err(Ending::new(
                    LinkEnd::Disconnected,
                    None,
                    Count::Disconnected,
                ));
            }
        }
        Ok(())
    }

    /// Ends what has been silent, stuck or draining for too long; says when to look again.
    fn check_clocks(&mut self, now: Duration, reading: bool) -> Result<Duration, Ending> {
        let config = &self.core.config;
        // Our not reading is not the device's silence.
        match (reading, self.paused) {
            (true, Some(since)) => {
                self.heard += now.saturating_sub(since);
                self.paused = None;
            }
            (false, None) => self.paused = Some(now),
            _ => {}
        }
        let silence = self.client.keep_alive + self.client.keep_alive / 2;
        let mut due = if reading {
            self.heard + silence
        } else {
            now + silence
        };
        if reading && due <= now {
            let told = Some(reason::KEEP_ALIVE);
            return Err(Ending::new(LinkEnd::Lost, told, Count::KeepAliveTimeout));
        }
        if let Some(since) = self.conn.stalled_since(now) {
            due = due.min(since + config.write_timeout);
            if now.saturating_sub(since) >= config.write_timeout {
                return Err(Ending::new(LinkEnd::Lost, None, Count::WriteTimeout));
            }
        }
        if let Some(sent) = self.outbound.oldest() {
            if now.saturating_sub(sent) >= config.ack_timeout {
                let told = Some(reason::ADMINISTRATIVE);
                return Err(Ending::new(LinkEnd::Lost, told, Count::AckTimeout));
            }
            due = due.min(sent + config.ack_timeout);
        }
        if let Some(until) = self.inbound.throttled {
            due = due.min(until);
        }
        if let Some(by) = self.drain_by {
            let settled = self.inbound.pending.is_none() && self.inbound.owed.is_empty();
            if settled || now >= by {
                let told = Some(reason::SHUTTING_DOWN);
                return Err(Ending::new(LinkEnd::Draining, told, Count::Drained));
            }
            due = due.min(by);
        }
        Ok(due)
    }
}

/// Hands the pending payload up. Cancelled and repeated freely: a payload is taken once or not at all.
async fn hand_up(
    uplink: &UplinkSink,
    pending: Option<&(UplinkLane, Bytes)>,
) -> Result<(), SessionOver> {
    match pending {
        Some((lane, payload)) => uplink.send(*lane, payload.clone()).await,
        None => Ok(()),
    }
}
