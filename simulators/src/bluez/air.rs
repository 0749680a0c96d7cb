//! The world the radio hears: stations, what they advertise and who is behind them. It outlives daemons and adapters.
//!
//! Changes take effect at once: each one wakes the daemon, which compares what is with what it shows on the bus.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{address::Address, table::Table};
use crate::peripheral::{Link, LinkEnd, Medium, Peripheral};

/// What a station sends out while it is not connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertisement {
    /// Local name.
    pub name: Option<String>,
    /// Service classes; a seal names its own, in the scan response.
    pub services: Vec<Uuid>,
    /// By company number.
    pub manufacturer_data: BTreeMap<u16, Vec<u8>>,
    /// By service class.
    pub service_data: BTreeMap<Uuid, Vec<u8>>,
}

/// How a station takes a connection attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialling {
    /// It answers.
    #[default]
    Answered,
    /// It refuses.
    Refused,
    /// It does not answer until the attempt is given up.
    Unanswered,
    /// The daemon says `InProgress`, as if an attempt were under way.
    InProgress,
}

/// One device within reach of the radio.
pub struct Station {
    /// What it sends.
    pub advertisement: Advertisement,
    /// Signal strength at the adapter, in dBm.
    pub rssi: i16,
    /// Whether it is heard at all. One that leaves while connected takes its link along.
    pub in_range: bool,
    /// Whether its address is random, as a seal's is.
    pub random_address: bool,
    /// Its GATT table; a change is seen at the next connection.
    pub table: Table,
    /// Whether the seal's service is there; taken away, it vanishes from a live connection.
    pub seal_service: bool,
    /// The ATT MTU of connections to come, 23 to 517.
    pub mtu: u16,
    /// How it takes connection attempts.
    pub dialling: Dialling,
    /// Link up, and nothing comes or goes.
    pub silent: bool,
    peripheral: Option<Box<dyn Peripheral>>,
}

impl Station {
    /// A well-behaved station in front of `peripheral`.
    #[must_use]
    pub fn new(advertisement: Advertisement, peripheral: Box<dyn Peripheral>) -> Self {
        Self {
            advertisement,
            rssi: -55,
            in_range: true,
            random_address: true,
            table: Table::Seal,
            seal_service: true,
            mtu: 247,
            dialling: Dialling::Answered,
            silent: false,
            peripheral: Some(peripheral),
        }
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station")
            .field("advertisement", &self.advertisement)
            .field("in_range", &self.in_range)
            .finish_non_exhaustive()
    }
}

/// Smallest and largest ATT MTU.
const MTUS: std::ops::RangeInclusive<u16> = 23..=517;

/// The shared world. Clones are the same world.
#[derive(Clone, Debug, Default)]
pub struct Air {
    world: Arc<Mutex<World>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct World {
    stations: BTreeMap<Address, Station>,
    adapter_gone: bool,
    lost: BTreeSet<Address>,
    /// What daemons keep on disk: devices once connected, with the services of then.
    remembered: BTreeMap<Address, Vec<Uuid>>,
}

impl Air {
    /// An empty world with an adapter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a station within reach; one of the same address is replaced.
    pub fn add(&self, address: Address, station: Station) {
        let former = self.world().stations.insert(address, station);
        // Outside the lock: a peripheral may look at the world while it ends.
        drop(former);
        self.changed.notify_one();
    }

    /// Takes a station out of the world.
    pub fn remove(&self, address: Address) {
        let former = self.world().stations.remove(&address);
        drop(former);
        self.changed.notify_one();
    }

    /// Changes a station; nothing happens when there is none.
    pub fn change(&self, address: Address, change: impl FnOnce(&mut Station)) {
        if let Some(station) = self.world().stations.get_mut(&address) {
            change(station);
        }
        self.changed.notify_one();
    }

    /// Changes what a station sends out.
    pub fn advertise(&self, address: Address, advertisement: Advertisement) {
        self.change(address, |station| station.advertisement = advertisement);
    }

    /// All addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.world().stations.keys().copied().collect()
    }

    /// Plugs the adapter in or out.
    pub fn plug_adapter(&self, plugged: bool) {
        self.world().adapter_gone = !plugged;
        self.changed.notify_one();
    }

    /// Breaks a station's connection, as a supervision timeout does.
    pub fn lose_link(&self, address: Address) {
        self.world().lost.insert(address);
        self.changed.notify_one();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change since the last waiting.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn has_adapter(&self) -> bool {
        !self.world().adapter_gone
    }

    pub(super) fn take_lost(&self) -> BTreeSet<Address> {
        std::mem::take(&mut self.world().lost)
    }

    pub(super) fn remember(&self, address: Address, uuids: &[Uuid]) {
        self.world().remembered.insert(address, uuids.to_vec());
    }

    pub(super) fn forget(&self, address: Address) {
        self.world().remembered.remove(&address);
    }

    pub(super) fn remembered(&self) -> BTreeMap<Address, Vec<Uuid>> {
        self.world().remembered.clone()
    }

    /// Looks at a station; `None` when there is none.
    pub(super) fn see<T>(&self, address: Address, look: impl FnOnce(&Station) -> T) -> Option<T> {
        self.world().stations.get(&address).map(look)
    }

    /// Connects to the peripheral of a station. The lock is not held while the peripheral is called.
    pub(super) fn connect(&self, address: Address) -> Option<(LinkEnd, u16)> {
        let (mut peripheral, mtu) = {
            let mut world = self.world();
            let station = world.stations.get_mut(&address)?;
            let mtu = station.mtu.clamp(*MTUS.start(), *MTUS.end());
            (station.peripheral.take()?, mtu)
        };
        let (link, end) = Link::pair(Medium::Radio { mtu });
        peripheral.connected(link);
        self.give_back(address, peripheral);
        Some((end, mtu))
    }

    /// What the station's information characteristic reads.
    pub(super) fn information(&self, address: Address) -> Option<Bytes> {
        let peripheral = self.world().stations.get_mut(&address)?.peripheral.take()?;
        let information = peripheral.information();
        self.give_back(address, peripheral);
        Some(information)
    }

    fn give_back(&self, address: Address, peripheral: Box<dyn Peripheral>) {
        // A station that was replaced meanwhile has a peripheral of its own.
        if let Some(station) = self.world().stations.get_mut(&address)
            && station.peripheral.is_none()
        {
            station.peripheral = Some(peripheral);
        }
    }
}
