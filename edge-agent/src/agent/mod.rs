//! The agent: ports, seals, queue and uplink brought together.
//!
//! Constraints and invariants:
//! - One loop owns all state; it waits for nothing but the queue. Dialling, links and the connection to the gateway have tasks
//!   of their own and are told things without waiting.
//! - What the gateway assigned is kept durably before it is called done: a box that starts without a network works on.
//! - A seal that is not the box's any more keeps its actor, without links, until the gateway has what is in the queue.
//! - It ends only when told to: links are closed, what can be said is said, everything else is in the queue.

mod control;
pub mod director;
mod report;
mod scan;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sealgate_codec::{
    DeviceId,
    edge::{Control, DrainReason, EdgeStatus, MAX_SEEN, Ways},
    link::{CloseCode, CloseReason, Millis},
    record::LinkKind,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    metrics::Metrics,
    notify::Notifier,
    port::{Connection, EVENTS, Port, PortError, PortEvent},
    queue::{Queue, QueueError},
    report::{NearbyView, Report},
    seal::{Command, Means, Notice, SealActor, Streams},
    tasks,
    uplink::{CONTROLS, Event, Gateway, Identity, Introduction, Say, Uplink},
};

use director::{Dial, Director};

/// Commands that may wait for an actor, notices of all actors that may wait for the agent.
const COMMANDS: usize = 16;
const NOTICES: usize = 256;
/// How often presence is reported, actors are looked after, and the watchdog is fed.
const TICK: Duration = Duration::from_secs(1);
/// How long actors may take to end their links on stop, and the uplink to flush.
const STOP: Duration = Duration::from_secs(5);
/// The program counts as stuck when the queue does not answer for so long.
const STUCK: Duration = Duration::from_secs(10);

/// What an agent is made of.
pub struct Parts {
    /// The queue.
    pub queue: Queue,
    /// Clocks.
    pub clock: Clock,
    /// Ways to seals.
    pub ports: Vec<Arc<dyn Port>>,
    /// Seals named for lines in the settings.
    pub lines: BTreeMap<String, DeviceId>,
    /// The box's X25519 secret.
    pub secret: Zeroizing<[u8; 32]>,
    /// The gateway, and the box's identity there.
    pub gateway: Gateway,
    /// Certificate, key, CA.
    pub identity: Identity,
    /// BLE links without a word for so long are ended.
    pub idle: Millis,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The service manager.
    pub notifier: Notifier,
}

/// What local tools ask.
pub enum Ask {
    /// How everything is.
    Report(oneshot::Sender<Report>),
    /// What is in the air, for so many seconds.
    Scan(u8, oneshot::Sender<Vec<NearbyView>>),
}

struct Actor {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

struct Dialled(Dial, Result<Connection, PortError>);

/// The agent.
pub struct Agent {
    queue: Queue,
    clock: Clock,
    ports: Vec<Arc<dyn Port>>,
    port_states: BTreeMap<Arc<str>, Result<(), String>>,
    lines: BTreeMap<String, DeviceId>,
    director: Director,
    actors: BTreeMap<DeviceId, Actor>,
    /// Assigned no more; their actors work off what is in the queue.
    leaving: Vec<DeviceId>,
    means: Means,
    assignment: control::Assignment,
    introduction: watch::Sender<Introduction>,
    link: control::GatewayLink,
    scans: scan::Scans,
    metrics: Arc<Metrics>,
    notifier: Notifier,
    gateway: Gateway,
    notices: mpsc::Receiver<(DeviceId, Notice)>,
    events: mpsc::Receiver<PortEvent>,
    uplink: mpsc::Receiver<Event>,
    dialled: (mpsc::Sender<Dialled>, mpsc::Receiver<Dialled>),
    /// Ends last.
    carrier: JoinHandle<()>,
}

impl Agent {
    /// Starts ports and uplink, and everything that was assigned before.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub async fn start(parts: Parts) -> Result<Self, QueueError> {
        let (notify, notices) = mpsc::channel(NOTICES);
        let (port_events, events) = mpsc::channel(EVENTS);
        let (tell, uplink) = mpsc::channel(CONTROLS);
        let (say, says) = mpsc::channel(CONTROLS);
        let (streams, connection) = watch::channel::<Option<Arc<dyn Streams>>>(None);
        let assignment = control::Assignment::load(&parts.queue).await?;
        let (introduction, introduced) = watch::channel(Introduction {
            run: rand::random(),
            key: sealgate_codec::link::public_key(&parts.secret),
            assignment: assignment.version,
            ways: ways(&parts.ports),
        });
        let carrier = Uplink {
            gateway: parts.gateway.clone(),
            identity: parts.identity,
            queue: parts.queue.clone(),
            clock: parts.clock.clone(),
            introduction: introduced,
            events: tell,
            streams,
        };
        let carrier = tasks::spawn("uplink", carrier.run(says));
        for port in &parts.ports {
            tasks::spawn("port", Arc::clone(port).run(port_events.clone()));
        }
        let mut agent = Self {
            means: Means {
                queue: parts.queue.clone(),
                clock: parts.clock.clone(),
                secret: Arc::new(parts.secret),
                uplink: connection,
                notices: notify,
                idle: parts.idle,
            },
            link: control::GatewayLink::new(say),
            queue: parts.queue,
            clock: parts.clock,
            ports: parts.ports,
            port_states: BTreeMap::new(),
            lines: parts.lines,
            director: Director::default(),
            actors: BTreeMap::new(),
            leaving: Vec::new(),
            assignment,
            introduction,
            scans: scan::Scans::default(),
            metrics: parts.metrics,
            notifier: parts.notifier,
            gateway: parts.gateway,
            notices,
            events,
            uplink,
            dialled: mpsc::channel(COMMANDS),
            carrier,
        };
        agent.director.assign(agent.assignment.seals());
        agent.tend().await?;
        Ok(agent)
    }

    /// Works until `stop`.
    pub async fn run(mut self, mut asks: mpsc::Receiver<Ask>, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.notifier.ready();
        loop {
            self.dial();
            let due = self.director.deadline(self.link.is_up(), self.now());
            let due_at = self.clock.instant(due.unwrap_or(0));
            tokio::select! {
                () = stop.cancelled() => break,
                Some((dev, notice)) = self.notices.recv() => self.on_notice(dev, notice),
                Some(event) = self.uplink.recv() => self.on_uplink(event).await,
                Some(dialled) = self.dialled.1.recv() => self.on_dialled(dialled),
                Some(event) = self.events.recv() => self.on_port(event),
                Some(ask) = asks.recv() => self.on_ask(ask).await,
                _ = tick.tick() => self.on_tick().await,
                () = tokio::time::sleep_until(due_at), if due.is_some() => {}
            }
        }
        self.end().await;
    }

    fn now(&self) -> Millis {
        self.clock.monotonic()
    }

    /// An actor for each assigned seal, and for each that has something in the queue.
    async fn tend(&mut self) -> Result<(), QueueError> {
        let backlogs: BTreeMap<_, _> = self.queue.backlogs().await?.into_iter().collect();
        let assigned: Vec<DeviceId> = self.director.seals().map(|seal| seal.dev).collect();
        self.leaving = backlogs
            .iter()
            .filter(|(dev, backlog)| backlog.messages > 0 && !assigned.contains(dev))
            .map(|(dev, _)| *dev)
            .collect();
        let ended = |(dev, actor): (&DeviceId, &Actor)| actor.task.is_finished().then_some(*dev);
        let ended: Vec<DeviceId> = self.actors.iter().filter_map(ended).collect();
        for dev in ended {
            // Whatever became of it, its link is gone.
            self.actors.remove(&dev);
            let lost = Notice::Closed(CloseReason::Lost);
            self.director
                .notice(dev, lost, self.clock.monotonic(), rand::random());
        }
        let leaving = &self.leaving;
        // Without its commands an actor ends its link, and itself.
        self.actors
            .retain(|dev, _| assigned.contains(dev) || leaving.contains(dev));
        for dev in assigned.iter().chain(&self.leaving) {
            self.actors.entry(*dev).or_insert_with(|| {
                let term = backlogs.get(dev).map_or(0, |backlog| backlog.term);
                let (commands, obeyed) = mpsc::channel(COMMANDS);
                let actor = SealActor::new(*dev, term, self.means.clone());
                let task = tasks::spawn("seal", actor.run(obeyed));
                Actor { commands, task }
            });
        }
        Ok(())
    }

    /// Begins the next links, as far as there are any to be made.
    fn dial(&mut self) {
        while let Some(dial) = self.director.next(self.link.is_up(), self.now()) {
            let port = self.ports.iter().find(|port| port.leads_to(&dial.address));
            let Some(port) = port.map(Arc::clone) else {
                self.director
                    .dialled(dial.dev, false, self.now(), rand::random());
                continue;
            };
            let answers = self.dialled.0.clone();
            tasks::spawn("dial", async move {
                let connection = port.connect(dial.address.clone()).await;
                // Nobody listens: the agent ends, and the connection with it.
                let _ = answers.send(Dialled(dial, connection)).await;
            });
        }
    }

    fn on_dialled(&mut self, Dialled(dial, connection): Dialled) {
        let Dial { dev, seal, .. } = dial;
        let handed = match connection {
            Ok(connection) => {
                let seal = Box::new(seal);
                let link = Command::Link { connection, seal };
                match self.actors.get(&dev) {
                    Some(actor) => actor.commands.try_send(link).is_ok(),
                    None => false,
                }
            }
            Err(error) => {
                tracing::info!(%dev, %error, "no connection");
                self.metrics.dial_failed();
                false
            }
        };
        self.director
            .dialled(dev, handed, self.clock.monotonic(), rand::random());
    }

    fn on_notice(&mut self, dev: DeviceId, notice: Notice) {
        match notice {
            Notice::Opened { restricted } => tracing::info!(%dev, restricted, "link open"),
            Notice::Closed(reason) => tracing::info!(%dev, %reason, "link over"),
            Notice::NotBegun(code) => tracing::warn!(%dev, %code, "no link"),
            Notice::NoRoom => tracing::error!(%dev, "the queue takes nothing; the seal keeps it"),
            Notice::Refused(code) => tracing::warn!(%dev, %code, "the gateway refuses its stream"),
            Notice::Progress => {}
        }
        self.metrics.notice(notice);
        self.director
            .notice(dev, notice, self.clock.monotonic(), rand::random());
    }

    fn on_port(&mut self, event: PortEvent) {
        match event {
            PortEvent::Up { port } => {
                tracing::info!(%port, "port works");
                self.port_states.insert(port, Ok(()));
            }
            PortEvent::Down { port, reason } => {
                tracing::warn!(%port, reason, "port is down");
                self.port_states.insert(port, Err(reason));
            }
            PortEvent::Line { address, present } => {
                let named = self.lines.get(&address.to_string()).copied();
                self.director.line(address, present, named);
            }
            PortEvent::Heard(heard) => {
                let (day, now) = (self.clock.unix() / 86_400, self.now());
                let whose = self.director.heard(&heard, day, now);
                self.scans.heard(&heard, whose);
            }
        }
    }

    async fn on_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Report(answer) => {
                let report = self.report().await;
                // Who asked may have gone.
                let _ = answer.send(report);
            }
            Ask::Scan(seconds, answer) => {
                let until = self.now() + Millis::from(seconds) * 1000;
                self.scans.local(until, answer);
            }
        }
    }

    async fn on_tick(&mut self) {
        let dead = self.actors.values().any(|actor| actor.task.is_finished());
        if (dead || !self.leaving.is_empty())
            && let Err(error) = self.tend().await
        {
            tracing::error!(%error, "the queue cannot be read");
        }
        match timeout(STUCK, self.queue.state()).await {
            Ok(Ok(state)) => {
                self.notifier.alive();
                let status = EdgeStatus {
                    up: u32::try_from(self.now() / 1000).unwrap_or(u32::MAX),
                    queue: state,
                    linked: u16::try_from(self.director.linked()).unwrap_or(u16::MAX),
                    refused: self.director.refused,
                    temperature: report::temperature(),
                };
                self.link.status(status, self.clock.monotonic());
            }
            _ => tracing::error!("the queue does not answer"),
        }
        let now = self.now();
        if self.link.is_up() {
            let news = self.director.news(MAX_SEEN, now);
            if !news.is_empty() {
                self.link.say(Say::New(Control::Seen(news)));
            }
        }
        for say in self.scans.turn(now) {
            self.link.say(say);
        }
    }

    /// Ends links, says what can be said, and waits for the last commit.
    async fn end(mut self) {
        tracing::info!("stopping");
        self.notifier.stopping();
        self.link.say(Say::New(Control::Drain {
            reason: DrainReason::Stop,
            within: u16::try_from(STOP.as_secs()).unwrap_or(5),
        }));
        // Actors wait for the agent to hear them; it does not any more.
        self.notices.close();
        self.events.close();
        let mut tasks = Vec::new();
        for (_, actor) in std::mem::take(&mut self.actors) {
            // Full: it ends with its commands a moment later.
            let _ = actor.commands.try_send(Command::Close(CloseCode::Stop));
            tasks.push(actor.task);
        }
        let all = futures_util::future::join_all(tasks);
        if timeout(STOP, all).await.is_err() {
            tracing::warn!("some seals are not done; what they said is in the queue");
        }
        self.link.close();
        self.uplink.close();
        if timeout(STOP, self.carrier).await.is_err() {
            tracing::warn!("the connection to the gateway does not end");
        }
        drop(self.means);
        // Actors that were not done hold the queue; it commits before it answers, so nothing waits in it.
        if timeout(STOP, self.queue.close()).await.is_err() {
            tracing::warn!("the queue is still in use");
        }
    }
}

fn ways(ports: &[Arc<dyn Port>]) -> Ways {
    let way = |port: &Arc<dyn Port>| match port.way() {
        LinkKind::Uart => Ways::UART,
        _ => Ways::BLE,
    };
    Ways(ports.iter().map(way).fold(0, |all, way| all | way))
}
