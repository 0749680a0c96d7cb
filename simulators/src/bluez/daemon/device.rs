//! `org.bluez.Device1`: connecting, one attempt at a time, and what is shown of a device.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;
use uuid::Uuid;
use zbus::{
    Message,
    zvariant::{ObjectPath, Value},
};

use super::{
    Held, State,
    adapter::ADAPTER_PATH,
    link::{Link, LinkHandle},
    objects::Properties,
};
use crate::bluez::{
    address::Address,
    air::{Advertisement, Dialling},
    error::Refusal,
    table::{ServiceRow, Table},
};

pub(super) const DEVICE: &str = "org.bluez.Device1";

/// A device the daemon shows.
#[derive(Debug)]
pub(super) struct Device {
    advertisement: Advertisement,
    random_address: bool,
    pub rssi: Option<i16>,
    pub last_heard: Instant,
    /// Connected once, and therefore kept.
    known: bool,
    alias: Option<String>,
    trusted: bool,
    blocked: bool,
    /// Service classes as last resolved, true or not.
    pub resolved_uuids: Vec<Uuid>,
    pub connection: Option<Connected>,
}

/// The link of a device.
#[derive(Debug)]
pub(super) struct Connected {
    /// Tells this link from former ones.
    pub number: u64,
    pub mtu: u16,
    pub table: Table,
    pub link: LinkHandle,
    pub silent: bool,
    pub seal_service: bool,
    /// When the table will have been read; `None` once it is.
    pub resolve_at: Option<Instant>,
    /// What the table held, once it was read.
    pub services: Vec<ServiceRow>,
    pub notify_acquired: bool,
    pub write_acquired: bool,
    /// Clients that get notifications as signals.
    pub subscribers: BTreeSet<String>,
}

/// A connection attempt under way.
#[derive(Debug)]
pub(super) struct Attempt {
    pub device: Address,
    pub call: Message,
    pub due: Instant,
    outcome: Result<(), Refusal>,
}

impl Device {
    pub(super) fn new(random_address: bool) -> Self {
        Self {
            advertisement: Advertisement::default(),
            random_address,
            rssi: None,
            last_heard: Instant::now(),
            known: false,
            alias: None,
            trusted: false,
            blocked: false,
            resolved_uuids: Vec::new(),
            connection: None,
        }
    }

    /// From a former life of the daemon, with the services of then.
    pub(super) fn remembered(uuids: Vec<Uuid>) -> Self {
        Self {
            known: true,
            resolved_uuids: uuids,
            ..Self::new(true)
        }
    }

    pub(super) fn path(address: Address) -> String {
        format!("{ADAPTER_PATH}/{}", address.path_part())
    }

    /// A name once heard is kept by an advertisement without one.
    pub(super) fn hear(&mut self, heard: Advertisement) {
        let name = heard.name.clone().or(self.advertisement.name.take());
        self.advertisement = Advertisement { name, ..heard };
        self.last_heard = Instant::now();
    }

    pub(super) fn is_temporary(&self) -> bool {
        !self.known && self.connection.is_none()
    }

    pub(super) fn resolves_by(&self, now: Instant) -> bool {
        let due = self.connection.as_ref().and_then(|c| c.resolve_at);
        due.is_some_and(|due| due <= now)
    }

    fn properties(&self, address: Address) -> Properties {
        let dashed = address.to_string().replace(':', "-");
        let name = self.advertisement.name.clone();
        let alias = self.alias.clone().or(name.clone()).unwrap_or(dashed);
        let kind = if self.random_address {
            "random"
        } else {
            "public"
        };
        let adapter = ObjectPath::try_from(ADAPTER_PATH).expect("the path is well formed");
        let connection = self.connection.as_ref();
        let resolved = connection.is_some_and(|c| c.resolve_at.is_none());
        let mut uuids = self.resolved_uuids.clone();
        uuids.extend(&self.advertisement.services);
        uuids.sort();
        uuids.dedup();
        let uuids: Vec<String> = uuids.iter().map(Uuid::to_string).collect();
        let mut properties = Properties::from([
            ("Address", address.to_string().into()),
            ("AddressType", kind.into()),
            ("Alias", alias.into()),
            ("Adapter", adapter.into()),
            ("Paired", false.into()),
            ("Bonded", false.into()),
            ("Trusted", self.trusted.into()),
            ("Blocked", self.blocked.into()),
            ("LegacyPairing", false.into()),
            ("Connected", connection.is_some().into()),
            ("ServicesResolved", resolved.into()),
            ("UUIDs", uuids.into()),
        ]);
        if let Some(name) = name {
            properties.insert("Name", name.into());
        }
        if let Some(rssi) = self.rssi {
            properties.insert("RSSI", rssi.into());
        }
        let heard = &self.advertisement;
        if !heard.manufacturer_data.is_empty() {
            let data = heard.manufacturer_data.iter();
            let data: HashMap<u16, Value<'static>> = data
                .map(|(company, bytes)| (*company, bytes.clone().into()))
                .collect();
            properties.insert("ManufacturerData", data.into());
        }
        if !heard.service_data.is_empty() {
            let data = heard.service_data.iter();
            let data: HashMap<String, Value<'static>> = data
                .map(|(uuid, bytes)| (uuid.to_string(), bytes.clone().into()))
                .collect();
            properties.insert("ServiceData", data.into());
        }
        properties
    }
}

impl State {
    pub(super) async fn show_device(&mut self, address: Address, again: &[&'static str]) {
        if let Some(device) = self.devices.get(&address) {
            let properties = device.properties(address);
            self.objects
                .show(&Device::path(address), DEVICE, properties, again)
                .await;
        }
    }

    pub(super) async fn set_device(
        &mut self,
        address: Address,
        name: &str,
        value: &Value<'_>,
    ) -> Result<(), Refusal> {
        let device = self
            .devices
            .get_mut(&address)
            .ok_or(Refusal::UNKNOWN_OBJECT)?;
        let flag = || bool::try_from(value).map_err(|_| Refusal::INVALID_ARGUMENTS);
        match name {
            "Trusted" => device.trusted = flag()?,
            "Blocked" => device.blocked = flag()?,
            "Alias" => {
                let text = <&str>::try_from(value).map_err(|_| Refusal::INVALID_ARGUMENTS)?;
                device.alias = Some(text.to_owned()).filter(|alias| !alias.is_empty());
            }
            _ => return Err(Refusal::READ_ONLY),
        }
        self.show_device(address, &[]).await;
        Ok(())
    }

    pub(super) async fn device_call(
        &mut self,
        address: Address,
        member: &str,
        call: &Message,
    ) -> Result<(), Refusal> {
        match member {
            "Connect" => self.dial(address, call).await,
            "Disconnect" => {
                let dialling = self.cancel_attempt(address).await;
                if !self.end_link(address).await && !dialling {
                    return Err(Refusal::NOT_CONNECTED);
                }
                self.reply(call, &()).await;
                Ok(())
            }
            // No characteristic of a seal asks for pairing, and a seal refuses it.
            "Pair" => Err(Refusal::REJECTED),
            "CancelPairing" => Err(Refusal::DOES_NOT_EXIST),
            "ConnectProfile" | "DisconnectProfile" => Err(Refusal::NOT_SUPPORTED),
            _ => Err(Refusal::UNKNOWN_METHOD),
        }
    }

    async fn dial(&mut self, address: Address, call: &Message) -> Result<(), Refusal> {
        if !self.is_powered() {
            return Err(Refusal::NOT_READY);
        }
        let device = self
            .devices
            .get_mut(&address)
            .ok_or(Refusal::UNKNOWN_OBJECT)?;
        if device.connection.is_some() {
            self.reply(call, &()).await;
            return Ok(());
        }
        if self.attempt.is_some() {
            return Err(Refusal::IN_PROGRESS);
        }
        // As the real one does: kept from the first attempt on, whatever comes of it.
        device.known = true;
        self.air.remember(address, &device.resolved_uuids);
        if self.connected().count() >= self.options.connections {
            return Err(Refusal::LIMIT);
        }
        let dialling = self.air.see(address, |station| {
            Some(station.dialling).filter(|_| station.in_range)
        });
        let soon = self.options.connecting;
        let (outcome, after) = match dialling.flatten() {
            Some(Dialling::Answered) => (Ok(()), soon),
            Some(Dialling::Refused) => (Err(Refusal::REFUSED), soon),
            Some(Dialling::InProgress) => return Err(Refusal::IN_PROGRESS),
            Some(Dialling::Unanswered) | None => (Err(Refusal::UNANSWERED), self.options.attempt),
        };
        self.attempt = Some(Attempt {
            device: address,
            call: call.clone(),
            due: Instant::now() + after,
            outcome,
        });
        Ok(())
    }

    pub(super) async fn cancel_attempt(&mut self, address: Address) -> bool {
        if let Some(attempt) = self.attempt.take_if(|attempt| attempt.device == address) {
            self.refuse(&attempt.call, Refusal::CANCELED).await;
            return true;
        }
        false
    }

    pub(super) async fn finish_attempt(&mut self) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        let outcome = match attempt.outcome {
            Ok(()) => self.link_up(attempt.device).ok_or(Refusal::UNANSWERED),
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(()) => {
                self.tally.count(|c| c.connected += 1);
                self.show_device(attempt.device, &[]).await;
                self.reply(&attempt.call, &()).await;
            }
            Err(refusal) => self.refuse(&attempt.call, refusal).await,
        }
    }

    /// Brings a link up; `None` when the station has left meanwhile.
    fn link_up(&mut self, address: Address) -> Option<()> {
        let (silent, seal_service, table) = self
            .air
            .see(address, |s| {
                s.in_range.then_some((s.silent, s.seal_service, s.table))
            })
            .flatten()?;
        let device = self.devices.get_mut(&address)?;
        let (end, mtu) = self.air.connect(address)?;
        self.links += 1;
        let link = Link {
            bus: self.bus.clone(),
            device: address,
            number: self.links,
            payload: usize::from(mtu.saturating_sub(3)),
            silent,
            news: self.news.clone(),
            tally: self.tally.clone(),
        };
        // A peer that says nothing does not tell its table either: the request times out, and the link with it.
        let resolving = if silent {
            self.options.att
        } else {
            self.options.resolving
        };
        device.connection = Some(Connected {
            number: self.links,
            mtu,
            table,
            link: link.start(end),
            silent,
            seal_service,
            resolve_at: Some(Instant::now() + resolving),
            services: Vec::new(),
            notify_acquired: false,
            write_acquired: false,
            subscribers: BTreeSet::new(),
        });
        Some(())
    }

    /// The table has been read, or it never will be.
    pub(super) async fn resolve(&mut self, address: Address) {
        let Some(device) = self.devices.get_mut(&address) else {
            return;
        };
        let Some(connection) = &mut device.connection else {
            return;
        };
        if connection.silent {
            self.end_link(address).await;
            return;
        }
        connection.services = connection.table.rows(connection.seal_service);
        connection.resolve_at = None;
        device.resolved_uuids = connection.services.iter().map(|row| row.uuid).collect();
        self.air.remember(address, &device.resolved_uuids);
        self.show_services(address).await;
        self.show_device(address, &[]).await;
    }

    /// Compares a live link with its station.
    pub(super) async fn reconcile_link(&mut self, address: Address) {
        let there = self.air.see(address, |s| {
            s.in_range.then_some((s.silent, s.seal_service))
        });
        let Some((silent, seal_service)) = there.flatten() else {
            self.end_link(address).await;
            return;
        };
        let Some(connection) = self
            .devices
            .get_mut(&address)
            .and_then(|d| d.connection.as_mut())
        else {
            return;
        };
        if silent != connection.silent {
            connection.silent = silent;
            self.command(address, super::link::Command::Silent(silent));
        }
        self.reconcile_service(address, seal_service).await;
    }

    /// Ends a device's link; false when there was none.
    pub(super) async fn end_link(&mut self, address: Address) -> bool {
        let Some(device) = self.devices.get_mut(&address) else {
            return false;
        };
        // Descriptors end here, with the task that holds them.
        let Some(connection) = device.connection.take() else {
            return false;
        };
        device.last_heard = Instant::now();
        self.tally.count(|c| c.disconnected += 1);
        for service in &connection.services {
            let path = super::gatt::service_path(address, service.handle);
            self.objects.withdraw(&path).await;
        }
        drop(connection);
        let (ended, held): (Vec<Held>, _) =
            self.held.drain(..).partition(|held| held.device == address);
        self.held = held;
        for call in ended {
            self.refuse(&call.call, Refusal::LINK_ENDED).await;
        }
        self.show_device(address, &[]).await;
        true
    }
}
