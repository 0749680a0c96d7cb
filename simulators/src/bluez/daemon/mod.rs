//! One life of the daemon: a task that owns everything it shows on the bus.
//!
//! The task never waits for a client or a peripheral: what would wait is kept and answered later, or is in the task of a
//! link. Killing it drops all of it at once: descriptors end, the name loses its owner, and no signal says so.

mod adapter;
mod device;
mod dispatch;
mod gatt;
mod link;
mod notify;
mod objects;

use std::{
    collections::BTreeMap,
    ops::Add,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use rand::{SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use zbus::{Connection, Message, MessageStream};

use super::{address::Address, air::Air, error::Refusal};
use crate::tasks;
use adapter::{Adapter, Client};
use device::{Attempt, Device};
use link::{Happened, News};
use objects::Objects;

const NAME: &str = "org.bluez";
const BUS: &str = "org.freedesktop.DBus";
/// `DBUS_NAME_FLAG_DO_NOT_QUEUE`: a second daemon on one bus is an error.
const DO_NOT_QUEUE: u32 = 4;
/// What `RequestName` answers to the one who has it now.
const PRIMARY_OWNER: u32 = 1;
/// Method calls waiting for the task.
const CALLS: usize = 1_024;
/// Reports of links waiting for the task.
const NEWS: usize = 256;
/// Parts of an advertising interval: the stations speak in turn.
const SLOTS: usize = 8;
/// How long one waits at most without looking at clocks.
const DOZE: Duration = Duration::from_secs(1);

/// How the daemon and its adapter behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// The adapter's own address.
    pub address: Address,
    /// Connections it bears.
    pub connections: usize,
    /// How often each station advertises.
    pub advertising: Duration,
    /// How long a connection attempt takes.
    pub connecting: Duration,
    /// How long reading the GATT table takes.
    pub resolving: Duration,
    /// When an attempt that is not answered is given up.
    pub attempt: Duration,
    /// When a request that is not answered ends the link.
    pub att: Duration,
    /// How long a device that was never connected is shown after it was last heard.
    pub temporary: Duration,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: Address([0xb8, 0x27, 0xeb, 0x00, 0x00, 0x01]),
            connections: 8,
            advertising: Duration::from_millis(500),
            connecting: Duration::from_millis(30),
            resolving: Duration::from_millis(50),
            attempt: Duration::from_secs(20),
            att: Duration::from_secs(30),
            temporary: Duration::from_secs(30),
            seed: 1,
        }
    }
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Advertisements that reached the bus.
    pub heard: u64,
    /// Links that came up.
    pub connected: u64,
    /// Links that ended.
    pub disconnected: u64,
    /// Values carried to stations.
    pub written: u64,
    /// Values carried to clients.
    pub notified: u64,
    /// Values lost: longer than the MTU allows, to or from a silent station, or to a client that does not read.
    pub dropped: u64,
}

impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            heard: self.heard + other.heard,
            connected: self.connected + other.connected,
            disconnected: self.disconnected + other.disconnected,
            written: self.written + other.written,
            notified: self.notified + other.notified,
            dropped: self.dropped + other.dropped,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Tally(Arc<Mutex<Counters>>);

impl Tally {
    fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Why the daemon is not on its bus.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The bus does not do what it is asked.
    #[error("the bus refuses")]
    Bus(#[from] zbus::Error),
    /// Somebody else is the daemon there.
    #[error("the name org.bluez has an owner already")]
    Taken,
}

/// A running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    stop: CancellationToken,
    task: JoinHandle<()>,
    tally: Tally,
}

impl Daemon {
    /// Gets on the bus; returns when clients can call.
    pub(super) async fn start(bus: &str, air: Air, options: &Options) -> Result<Self, DaemonError> {
        let connection = zbus::connection::Builder::address(bus)?
            .max_queued(CALLS)
            .build()
            .await?;
        let calls = MessageStream::from(&connection);
        let rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";
        ask_bus(&connection, "AddMatch", &(rule,)).await?;
        let (news, reports) = mpsc::channel(NEWS);
        let tally = Tally::default();
        let mut state = State::new(
            connection.clone(),
            air,
            options.clone(),
            news,
            tally.clone(),
        );
        let reply = ask_bus(&connection, "RequestName", &(NAME, DO_NOT_QUEUE)).await?;
        if reply.body().deserialize::<u32>()? != PRIMARY_OWNER {
            return Err(DaemonError::Taken);
        }
        // After the name, as clients match signals by it; before the first call, which waits in the queue.
        state.reconcile().await;
        let stop = CancellationToken::new();
        let task = tasks::spawn("bluetoothd", state.run(calls, reports, stop.clone()));
        Ok(Self { stop, task, tally })
    }

    /// Dies without a word; returns when nothing of it is left.
    pub(super) async fn kill(mut self) {
        self.stop.cancel();
        // A panic in the task has been reported; it is dead all the same.
        let _ = (&mut self.task).await;
    }

    pub(super) fn counters(&self) -> Counters {
        *self.tally.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn ask_bus<B>(bus: &Connection, member: &str, body: &B) -> zbus::Result<Message>
where
    B: Serialize + zbus::zvariant::DynamicType,
{
    bus.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), member, body)
        .await
}

/// A call that is answered when its time comes.
struct Held {
    device: Address,
    call: Message,
    until: Instant,
}

struct State {
    bus: Connection,
    objects: Objects,
    air: Air,
    options: Options,
    rng: StdRng,
    adapter: Option<Adapter>,
    devices: BTreeMap<Address, Device>,
    clients: BTreeMap<String, Client>,
    attempt: Option<Attempt>,
    held: Vec<Held>,
    news: mpsc::Sender<News>,
    tally: Tally,
    links: u64,
    next_slot: Instant,
    slot: usize,
}

impl State {
    fn new(
        bus: Connection,
        air: Air,
        options: Options,
        news: mpsc::Sender<News>,
        tally: Tally,
    ) -> Self {
        Self {
            objects: Objects::new(bus.clone()),
            bus,
            air,
            rng: StdRng::seed_from_u64(options.seed),
            options,
            adapter: None,
            devices: BTreeMap::new(),
            clients: BTreeMap::new(),
            attempt: None,
            held: Vec::new(),
            news,
            tally,
            links: 0,
            next_slot: Instant::now(),
            slot: 0,
        }
    }

    async fn run(
        mut self,
        mut calls: MessageStream,
        mut reports: mpsc::Receiver<News>,
        stop: CancellationToken,
    ) {
        let air = self.air.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = air.changed() => self.reconcile().await,
                Some(news) = reports.recv() => self.hear(news).await,
                call = calls.next() => match call {
                    Some(Ok(message)) => self.dispatch(message).await,
                    Some(Err(error)) => tracing::debug!(%error, "message that cannot be read"),
                    None => break,
                },
                () = sleep_until(self.wake()) => self.tick().await,
            }
        }
        let bus = self.bus.clone();
        drop(self);
        drop(calls);
        // The socket may be closed already.
        let _ = bus.close().await;
    }

    /// Compares the world with what is shown, and shows what is.
    async fn reconcile(&mut self) {
        match (self.air.has_adapter(), self.adapter.is_some()) {
            (true, false) => self.plug().await,
            (false, true) => self.unplug().await,
            _ => {}
        }
        for address in self.air.take_lost() {
            self.end_link(address).await;
        }
        let connected: Vec<Address> = self.connected().collect();
        for address in connected {
            self.reconcile_link(address).await;
        }
    }

    fn connected(&self) -> impl Iterator<Item = Address> {
        self.devices
            .iter()
            .filter(|(_, device)| device.connection.is_some())
            .map(|(address, _)| *address)
    }

    /// The next time at which something is due.
    fn wake(&self) -> Instant {
        let scan = self.is_scanning().then_some(self.next_slot);
        let attempt = self.attempt.as_ref().map(|attempt| attempt.due);
        let held = self.held.iter().map(|held| held.until).min();
        let resolving = self
            .devices
            .values()
            .filter_map(|device| device.connection.as_ref()?.resolve_at)
            .min();
        [scan, attempt, held, resolving]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + DOZE)
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        if self.attempt.as_ref().is_some_and(|a| a.due <= now) {
            self.finish_attempt().await;
        }
        let resolved: Vec<Address> = self
            .devices
            .iter()
            .filter(|(_, device)| device.resolves_by(now))
            .map(|(address, _)| *address)
            .collect();
        for address in resolved {
            self.resolve(address).await;
        }
        self.time_out(now).await;
        if self.is_scanning() && self.next_slot <= now {
            self.next_slot = now + self.options.advertising / u32::try_from(SLOTS).unwrap_or(1);
            self.slot = (self.slot + 1) % SLOTS;
            self.listen().await;
        }
        self.forget(now).await;
    }

    /// Requests that were not answered in time fail, and take their link along, as the protocol demands.
    async fn time_out(&mut self, now: Instant) {
        let (late, held): (Vec<Held>, _) = self.held.drain(..).partition(|held| held.until <= now);
        self.held = held;
        for call in &late {
            self.refuse(&call.call, Refusal::ATT_TIMEOUT).await;
        }
        for call in late {
            self.end_link(call.device).await;
        }
    }

    async fn hear(&mut self, news: News) {
        let Some(connection) = self
            .devices
            .get_mut(&news.device)
            .and_then(|d| d.connection.as_mut())
        else {
            return;
        };
        // A report of a former link says nothing of this one.
        if connection.number != news.link {
            return;
        }
        match news.what {
            Happened::PeripheralLeft => {
                self.end_link(news.device).await;
            }
            Happened::NotifyClosed => {
                connection.notify_acquired = false;
                self.show_services(news.device).await;
            }
            Happened::WritesClosed => {
                connection.write_acquired = false;
                self.show_services(news.device).await;
            }
            Happened::Value(value) => self.signal_value(news.device, &value).await,
        }
    }

    async fn reply<B>(&self, call: &Message, body: &B)
    where
        B: Serialize + zbus::zvariant::DynamicType,
    {
        if let Err(error) = self.bus.reply(&call.header(), body).await {
            tracing::debug!(%error, "a reply did not get on the bus");
        }
    }

    async fn refuse(&self, call: &Message, refusal: Refusal) {
        let sent = self
            .bus
            .reply_error(&call.header(), refusal.name, &(refusal.text,))
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, "a refusal did not get on the bus");
        }
    }
}
