//! Seals over Bluetooth LE, by BlueZ on the system's D-Bus.
//!
//! Constraints and invariants:
//! - This process alone uses the adapter. At most six connections, one being made at a time: more of either makes the
//!   controllers of small boxes refuse or abort.
//! - Notifications come by file descriptor: an empty read is the end of the connection. The signal form stays silent for
//!   ever when the daemon dies.
//! - A subscription proves nothing (a stale table lets BlueZ report one that is none): only the first packet of the seal
//!   does, and the link machine waits for it and watches for silence.
//! - The daemon or the adapter may vanish at any moment and come back; calls in between fail, and are tried again.
//! - Discovery runs all the time, also while connected; it is watched, because its stream does not end with the daemon.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use bluer::{
    Adapter, AdapterEvent, Device, DiscoveryFilter, DiscoveryTransport, Session, Uuid,
    gatt::{
        CharacteristicReader, CharacteristicWriter, WriteOp,
        remote::{Characteristic, CharacteristicWriteRequest},
    },
};
use futures_util::{StreamExt as _, future::BoxFuture};
use sealgate_codec::{
    link::{Advert, COMPANY_ID, Framing, LinkLimits, uuid},
    record::LinkKind,
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, interval, timeout},
};

use super::{Address, Connection, Heard, Port, PortError, PortEvent, WAITING, tell};
use crate::tasks;

/// Connections at a time.
pub const MAX_CONNECTIONS: usize = 6;
/// How long making one may take, and finding the service on it.
const DIAL: Duration = Duration::from_secs(20);
const RESOLVE: Duration = Duration::from_secs(10);
/// How long a call to the daemon may take.
const CALL: Duration = Duration::from_secs(5);
/// How often the adapter is looked at.
const WATCH: Duration = Duration::from_secs(5);
/// Shortest and longest wait for an adapter that is gone.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// An address that is no seal's is not looked at again before this; a seal's not more often than this.
const STRANGER: Duration = Duration::from_secs(30);
const SEAL: Duration = Duration::from_millis(500);
/// Addresses remembered, so that a crowd outside costs no memory.
const REMEMBERED: usize = 2048;
/// ATT MTUs that BLE knows.
const MTU: (usize, usize) = (23, 517);
/// Bytes of an ATT command around its value.
const ATT: usize = 3;

/// One adapter.
pub struct Ble {
    name: Arc<str>,
    adapter: Option<String>,
    session: Mutex<Option<Session>>,
    current: StdMutex<Option<Adapter>>,
    dialling: Mutex<()>,
    places: Arc<Semaphore>,
}

impl Ble {
    /// The adapter with this name (`hci0`), or the first one.
    #[must_use]
    pub fn new(adapter: Option<String>) -> Self {
        Self {
            name: adapter.as_deref().unwrap_or("bluetooth").into(),
            adapter,
            session: Mutex::new(None),
            current: StdMutex::new(None),
            dialling: Mutex::new(()),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Adapter>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The adapter, powered; a session with the daemon is made once and outlives it.
    async fn adapter(&self) -> Result<Adapter, bluer::Error> {
        let mut session = self.session.lock().await;
        let session = match &mut *session {
            Some(session) => session,
            none => none.insert(Session::new().await?),
        };
        let adapter = match &self.adapter {
            Some(name) => session.adapter(name)?,
            None => session.default_adapter().await?,
        };
        if !adapter.is_powered().await? {
            adapter.set_powered(true).await?;
        }
        Ok(adapter)
    }

    /// Hears until something is wrong, and says what.
    async fn hear(&self, adapter: &Adapter, events: &mpsc::Sender<PortEvent>) -> String {
        let filter = DiscoveryFilter {
            transport: DiscoveryTransport::Le,
            duplicate_data: true,
            ..DiscoveryFilter::default()
        };
        if let Err(error) = adapter.set_discovery_filter(filter).await {
            return format!("the scan's filter: {error}");
        }
        let mut found = match adapter.discover_devices_with_changes().await {
            Ok(found) => Box::pin(found),
            Err(error) => return format!("the scan: {error}"),
        };
        let mut watch = interval(WATCH);
        let mut known = Known::default();
        loop {
            tokio::select! {
                event = found.next() => match event {
                    Some(AdapterEvent::DeviceAdded(address)) => {
                        if known.is_due(address) {
                            self.look(adapter, address, &mut known, events).await;
                        }
                    }
                    Some(_) => {}
                    None => return "the scan ended".to_owned(),
                },
                _ = watch.tick() => match timeout(CALL, adapter.is_discovering()).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => return "the adapter stopped to scan".to_owned(),
                    Ok(Err(error)) => return error.to_string(),
                    Err(_) => return "the daemon does not answer".to_owned(),
                },
                () = events.closed() => return "the agent ends".to_owned(),
            }
        }
    }

    /// Reads one device's advertisement.
    async fn look(
        &self,
        adapter: &Adapter,
        address: bluer::Address,
        known: &mut Known,
        events: &mpsc::Sender<PortEvent>,
    ) {
        let Ok(device) = adapter.device(address) else {
            return;
        };
        let data = match timeout(CALL, device.manufacturer_data()).await {
            Ok(Ok(Some(data))) => data,
            _ => return known.put_off(address, STRANGER),
        };
        let Some(advert) = data
            .get(&COMPANY_ID)
            .and_then(|bytes| Advert::decode(bytes).ok())
        else {
            return known.put_off(address, STRANGER);
        };
        known.put_off(address, SEAL);
        let rssi = match timeout(CALL, device.rssi()).await {
            Ok(Ok(Some(rssi))) => i8::try_from(rssi).ok().filter(|dbm| *dbm < 0),
            _ => None,
        };
        let heard = Heard {
            address: Address::Ble(address.0),
            advert,
            rssi,
        };
        // Full: the agent is behind, and the seal will advertise again.
        drop(events.try_send(PortEvent::Heard(heard)));
    }

    async fn dial(&self, address: [u8; 6]) -> Result<Connection, PortError> {
        let _one = self.dialling.lock().await;
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| PortError::Refused("all connections are in use".to_owned()))?;
        let adapter = self.current().clone();
        let adapter = adapter.ok_or_else(|| PortError::Down("no adapter".to_owned()))?;
        let refused = |error: bluer::Error| PortError::Refused(error.to_string());
        let device = adapter.device(bluer::Address(address)).map_err(refused)?;
        let guard = Hangup(device.clone());
        match timeout(DIAL, device.connect()).await {
            Ok(connected) => connected.map_err(refused)?,
            Err(_) => return Err(PortError::Refused("no answer".to_owned())),
        }
        let wires = match timeout(RESOLVE, subscribe(&device)).await {
            Ok(subscribed) => subscribed?,
            Err(_) => return Err(PortError::NotASeal("its services are not told".to_owned())),
        };
        let rssi = device.rssi().await.ok().flatten();
        let mtu = u16::try_from(wires.mtu).unwrap_or(23);
        let (to_link, incoming) = mpsc::channel(WAITING);
        let (outgoing, from_link) = mpsc::channel(WAITING);
        tasks::spawn("ble", carry(wires, guard, place, to_link, from_link));
        Ok(Connection {
            framing: Framing::Ble { mtu },
            limits: LinkLimits::BLE,
            incoming,
            outgoing,
            rssi: rssi
                .and_then(|dbm| i8::try_from(dbm).ok())
                .filter(|dbm| *dbm < 0),
        })
    }
}

impl Port for Ble {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn way(&self) -> LinkKind {
        LinkKind::Ble
    }

    fn leads_to(&self, address: &Address) -> bool {
        matches!(address, Address::Ble(_))
    }

    fn run(self: Arc<Self>, events: mpsc::Sender<PortEvent>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut wait = AGAIN.0;
            let mut last = String::new();
            loop {
                let reason = match timeout(CALL, self.adapter()).await {
                    Ok(Ok(adapter)) => {
                        *self.current() = Some(adapter.clone());
                        let up = PortEvent::Up { port: self.name() };
                        if !tell(&events, up).await {
                            return;
                        }
                        last.clear();
                        let since = Instant::now();
                        let reason = self.hear(&adapter, &events).await;
                        if since.elapsed() > AGAIN.1 {
                            wait = AGAIN.0;
                        }
                        reason
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "the daemon does not answer".to_owned(),
                };
                *self.current() = None;
                if reason != last {
                    let (port, reason) = (self.name(), reason.clone());
                    if !tell(&events, PortEvent::Down { port, reason }).await {
                        return;
                    }
                }
                last = reason;
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(AGAIN.1),
                    () = events.closed() => return,
                }
            }
        })
    }

    fn connect(&self, address: Address) -> BoxFuture<'_, Result<Connection, PortError>> {
        Box::pin(async move {
            match address {
                Address::Ble(address) => self.dial(address).await,
                line @ Address::Line(_) => Err(PortError::NoSuch(line)),
            }
        })
    }
}

/// When which address is looked at again.
#[derive(Default)]
struct Known(HashMap<bluer::Address, Instant>);

impl Known {
    fn is_due(&self, address: bluer::Address) -> bool {
        self.0.get(&address).is_none_or(|at| *at <= Instant::now())
    }

    fn put_off(&mut self, address: bluer::Address, by: Duration) {
        if self.0.len() >= REMEMBERED {
            let now = Instant::now();
            self.0.retain(|_, at| *at > now);
            if self.0.len() >= REMEMBERED {
                self.0.clear();
            }
        }
        self.0.insert(address, Instant::now() + by);
    }
}

/// Hangs up when dropped: also when making the connection was given up half-way.
struct Hangup(Device);

impl Drop for Hangup {
    fn drop(&mut self) {
        if tokio::runtime::Handle::try_current().is_err() {
            // The program ends, and BlueZ hangs up for it.
            return;
        }
        let device = self.0.clone();
        tasks::spawn("hang up", async move {
            // Gone already, or the daemon is: both are what is wanted.
            let _ = timeout(CALL, device.disconnect()).await;
        });
    }
}

struct Wires {
    reader: CharacteristicReader,
    writer: Writer,
    mtu: usize,
}

/// How values go out: always as commands, without a response; the link has answers of its own.
enum Writer {
    Descriptor(CharacteristicWriter),
    Calls(Characteristic),
}

impl Writer {
    async fn send(&self, value: &[u8]) -> bool {
        match self {
            Self::Descriptor(writer) => writer.send(value).await.is_ok(),
            Self::Calls(rx) => {
                let request = CharacteristicWriteRequest {
                    op_type: WriteOp::Command,
                    ..CharacteristicWriteRequest::default()
                };
                matches!(
                    timeout(CALL, rx.write_ext(value, &request)).await,
                    Ok(Ok(()))
                )
            }
        }
    }
}

/// Finds the service and takes both directions of it.
async fn subscribe(device: &Device) -> Result<Wires, PortError> {
    let not = |error: bluer::Error| PortError::NotASeal(error.to_string());
    let mut service = None;
    for candidate in device.services().await.map_err(not)? {
        if candidate.uuid().await.map_err(not)? == Uuid::from_u128(uuid::SERVICE) {
            service = Some(candidate);
        }
    }
    let service = service.ok_or_else(|| PortError::NotASeal("no service of seals".to_owned()))?;
    let (mut rx, mut tx): (Option<Characteristic>, Option<Characteristic>) = (None, None);
    for candidate in service.characteristics().await.map_err(not)? {
        match candidate.uuid().await.map_err(not)?.as_u128() {
            uuid::RX => rx = Some(candidate),
            uuid::TX => tx = Some(candidate),
            _ => {}
        }
    }
    let (Some(rx), Some(tx)) = (rx, tx) else {
        return Err(PortError::NotASeal("its table is another's".to_owned()));
    };
    let reader = tx.notify_io().await.map_err(not)?;
    let writer = rx.write_io().await.map_err(not)?;
    let mtu = reader.mtu().min(writer.mtu() + ATT);
    if mtu >= MTU.0 {
        let writer = Writer::Descriptor(writer);
        return Ok(Wires {
            reader,
            writer,
            mtu: mtu.min(MTU.1),
        });
    }
    // The descriptor takes a little less than an ATT value holds; on the smallest MTU that would be too little.
    drop(writer);
    Ok(Wires {
        reader,
        writer: Writer::Calls(rx),
        mtu: MTU.0,
    })
}

/// Carries both directions until either ends; then hangs up, and only then gives its place free.
async fn carry(
    wires: Wires,
    guard: Hangup,
    place: OwnedSemaphorePermit,
    to_link: mpsc::Sender<Vec<u8>>,
    mut from_link: mpsc::Receiver<Vec<u8>>,
) {
    let reading = async {
        loop {
            match wires.reader.recv().await {
                Ok(value) if value.is_empty() => return "hang-up",
                Ok(value) => {
                    if to_link.send(value).await.is_err() {
                        return "closed here";
                    }
                }
                Err(_) => return "read failed",
            }
        }
    };
    let writing = async {
        while let Some(value) = from_link.recv().await {
            if !wires.writer.send(&value).await {
                return "write failed";
            }
        }
        "closed here"
    };
    let why = tokio::select! {
        why = reading => why,
        why = writing => why,
    };
    tracing::debug!(why, "connection ended");
    let device = guard.0.clone();
    drop(guard);
    let _ = timeout(CALL, device.disconnect()).await;
    drop(place);
}
