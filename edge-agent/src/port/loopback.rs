//! A port without radio: seals in the same process, for tests and for simulations in virtual time.
//!
//! Invariant: it behaves as radio does at its worst when told so: a connection can be refused, cut, or lose values.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use sealgate_codec::{
    link::{Advert, Framing, LinkLimits},
    record::LinkKind,
};
use tokio::sync::mpsc;

use super::{Address, Connection, Heard, Port, PortError, PortEvent, WAITING, tell};

/// The seal's end of a connection: what the box wrote comes out of `from_box`.
#[derive(Debug)]
pub struct FarEnd {
    /// Values of the box.
    pub from_box: mpsc::Receiver<Vec<u8>>,
    /// Values for the box; dropping it hangs up.
    pub to_box: mpsc::Sender<Vec<u8>>,
}

/// Where a simulated seal is called; every connection arrives here.
pub type Doorbell = mpsc::Sender<FarEnd>;

#[derive(Debug, Default)]
struct Air {
    doors: BTreeMap<Address, Doorbell>,
    events: Option<mpsc::Sender<PortEvent>>,
    /// Said before anybody listened.
    early: Vec<PortEvent>,
}

/// The port. Clones share the air.
#[derive(Debug, Clone)]
pub struct Loopback {
    name: Arc<str>,
    framing: Framing,
    air: Arc<Mutex<Air>>,
}

impl Loopback {
    /// One whose links travel so.
    #[must_use]
    pub fn new(name: &str, framing: Framing) -> Self {
        Self {
            name: name.into(),
            framing,
            air: Arc::default(),
        }
    }

    fn air(&self) -> std::sync::MutexGuard<'_, Air> {
        self.air.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seal is there from now on.
    pub fn place(&self, address: Address, door: Doorbell) {
        self.air().doors.insert(address, door);
    }

    /// A seal is gone; connections it has are its own to end.
    pub fn remove(&self, address: &Address) {
        self.air().doors.remove(address);
    }

    /// A seal advertises once. Lost when the agent is behind, as in the air.
    pub fn advertise(&self, address: Address, advert: Advert, rssi: Option<i8>) {
        self.say(PortEvent::Heard(Heard {
            address,
            advert,
            rssi,
        }));
    }

    /// A line appears or goes.
    pub fn line(&self, address: Address, present: bool) {
        self.say(PortEvent::Line { address, present });
    }

    fn say(&self, event: PortEvent) {
        let mut air = self.air();
        match &air.events {
            // Full: an advertisement more or less.
            Some(events) => drop(events.try_send(event)),
            None if air.early.len() < WAITING => air.early.push(event),
            None => {}
        }
    }
}

impl Port for Loopback {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn way(&self) -> LinkKind {
        match self.framing {
            Framing::Ble { .. } => LinkKind::Ble,
            Framing::Uart => LinkKind::Uart,
        }
    }

    fn leads_to(&self, address: &Address) -> bool {
        self.air().doors.contains_key(address)
    }

    fn run(self: Arc<Self>, events: mpsc::Sender<PortEvent>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let early = {
                let mut air = self.air();
                air.events = Some(events.clone());
                std::mem::take(&mut air.early)
            };
            let up = PortEvent::Up { port: self.name() };
            for event in std::iter::once(up).chain(early) {
                if !tell(&events, event).await {
                    return;
                }
            }
            events.closed().await;
            self.air().events = None;
        })
    }

    fn connect(&self, address: Address) -> BoxFuture<'_, Result<Connection, PortError>> {
        Box::pin(async move {
            let door = self.air().doors.get(&address).cloned();
            let door = door.ok_or(PortError::NoSuch(address))?;
            let (outgoing, from_box) = mpsc::channel(WAITING);
            let (to_box, incoming) = mpsc::channel(WAITING);
            door.send(FarEnd { from_box, to_box })
                .await
                .map_err(|_| PortError::Refused("nobody answers".to_owned()))?;
            Ok(Connection {
                framing: self.framing,
                limits: match self.framing {
                    Framing::Ble { .. } => LinkLimits::BLE,
                    Framing::Uart => LinkLimits::UART,
                },
                incoming,
                outgoing,
                rssi: None,
            })
        })
    }
}
