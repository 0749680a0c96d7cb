//! `org.bluez.Adapter1`: power, discovery with a filter a client, and the advertisements that come of it.

use std::collections::HashMap;

use rand::Rng as _;
use tokio::time::Instant;
use uuid::Uuid;
use zbus::{
    Message,
    zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value},
};

use super::{SLOTS, State, device::Device, objects::Properties};
use crate::bluez::{
    address::Address,
    air::{Advertisement, Station},
    error::Refusal,
};

pub(super) const ADAPTER: &str = "org.bluez.Adapter1";
pub(super) const ADAPTER_PATH: &str = "/org/bluez/hci0";
/// A signal strength is told again when it has changed by so many dB.
const RSSI_STEP: i16 = 8;

/// The adapter while it is plugged in.
#[derive(Debug)]
pub(super) struct Adapter {
    powered: bool,
    alias: String,
    discoverable: bool,
    pairable: bool,
}

/// Somebody on the bus who has asked for discovery.
#[derive(Debug, Default)]
pub(super) struct Client {
    filter: Filter,
    scanning: bool,
}

#[derive(Debug, Default)]
struct Filter {
    uuids: Vec<Uuid>,
    rssi: Option<i16>,
    pattern: Option<String>,
    duplicates: bool,
    classic_only: bool,
}

impl Filter {
    fn read(options: HashMap<String, OwnedValue>) -> Result<Self, Refusal> {
        let mut filter = Self::default();
        for (name, value) in options {
            filter.set(&name, value).ok_or(Refusal::INVALID_ARGUMENTS)?;
        }
        Ok(filter)
    }

    fn set(&mut self, name: &str, value: OwnedValue) -> Option<()> {
        match name {
            "UUIDs" => {
                let texts = Vec::<String>::try_from(value).ok()?;
                let uuids = texts.iter().map(|text| Uuid::parse_str(text));
                self.uuids = uuids.collect::<Result<_, _>>().ok()?;
            }
            "RSSI" => self.rssi = Some(i16::try_from(value).ok()?),
            "Pattern" => self.pattern = Some(String::try_from(value).ok()?),
            "DuplicateData" => self.duplicates = bool::try_from(value).ok()?,
            "Transport" => match String::try_from(value).ok()?.as_str() {
                "auto" | "le" => self.classic_only = false,
                "bredr" => self.classic_only = true,
                _ => return None,
            },
            "Pathloss" | "Discoverable" => {}
            _ => return None,
        }
        Some(())
    }

    fn lets_pass(&self, address: Address, advertisement: &Advertisement, rssi: i16) -> bool {
        let uuid = |uuid: &Uuid| {
            advertisement.services.contains(uuid) || advertisement.service_data.contains_key(uuid)
        };
        let pattern = |pattern: &String| {
            let name = advertisement.name.as_ref();
            address.to_string().starts_with(pattern)
                || name.is_some_and(|name| name.starts_with(pattern))
        };
        !self.classic_only
            && (self.uuids.is_empty() || self.uuids.iter().any(uuid))
            && self.rssi.is_none_or(|least| rssi >= least)
            && self.pattern.as_ref().is_none_or(pattern)
    }
}

/// What the radio got of a station.
struct Heard {
    address: Address,
    advertisement: Advertisement,
    rssi: i16,
    random_address: bool,
}

impl State {
    pub(super) async fn plug(&mut self) {
        self.adapter = Some(Adapter {
            powered: true,
            alias: "sealgate-sim".to_owned(),
            discoverable: false,
            pairable: true,
        });
        self.show_adapter().await;
        for (address, uuids) in self.air.remembered() {
            self.devices.insert(address, Device::remembered(uuids));
            self.show_device(address, &[]).await;
        }
    }

    pub(super) async fn unplug(&mut self) {
        self.stop_everything().await;
        self.objects.withdraw(ADAPTER_PATH).await;
        self.devices.clear();
        self.adapter = None;
    }

    /// Ends all links, attempts and discoveries.
    async fn stop_everything(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.refuse(&attempt.call, Refusal::CANCELED).await;
        }
        let connected: Vec<Address> = self.connected().collect();
        for address in connected {
            self.end_link(address).await;
        }
        for client in self.clients.values_mut() {
            client.scanning = false;
        }
        self.after_scanning().await;
    }

    pub(super) fn is_powered(&self) -> bool {
        self.adapter.as_ref().is_some_and(|adapter| adapter.powered)
    }

    pub(super) fn is_scanning(&self) -> bool {
        self.is_powered() && self.clients.values().any(|client| client.scanning)
    }

    async fn show_adapter(&mut self) {
        let Some(adapter) = &self.adapter else {
            return;
        };
        let properties = Properties::from([
            ("Address", self.options.address.to_string().into()),
            ("AddressType", "public".into()),
            ("Name", "sealgate-sim".into()),
            ("Alias", adapter.alias.clone().into()),
            ("Class", 0_u32.into()),
            ("Powered", adapter.powered.into()),
            ("Discoverable", adapter.discoverable.into()),
            ("DiscoverableTimeout", 180_u32.into()),
            ("Pairable", adapter.pairable.into()),
            ("PairableTimeout", 0_u32.into()),
            ("Discovering", self.is_scanning().into()),
            ("UUIDs", Value::from(Vec::<String>::new())),
            ("Roles", Value::from(vec!["central".to_owned()])),
        ]);
        self.objects
            .show(ADAPTER_PATH, ADAPTER, properties, &[])
            .await;
    }

    pub(super) async fn set_adapter(
        &mut self,
        name: &str,
        value: &Value<'_>,
    ) -> Result<(), Refusal> {
        let Some(adapter) = &mut self.adapter else {
            return Err(Refusal::UNKNOWN_OBJECT);
        };
        let flag = || bool::try_from(value).map_err(|_| Refusal::INVALID_ARGUMENTS);
        match name {
            "Powered" => adapter.powered = flag()?,
            "Discoverable" => adapter.discoverable = flag()?,
            "Pairable" => adapter.pairable = flag()?,
            "Alias" => {
                let text = <&str>::try_from(value).map_err(|_| Refusal::INVALID_ARGUMENTS)?;
                text.clone_into(&mut adapter.alias);
            }
            "DiscoverableTimeout" | "PairableTimeout" => {}
            _ => return Err(Refusal::READ_ONLY),
        }
        if !self.is_powered() {
            self.stop_everything().await;
        }
        self.show_adapter().await;
        Ok(())
    }

    pub(super) async fn adapter_call(
        &mut self,
        member: &str,
        call: &Message,
    ) -> Result<(), Refusal> {
        let header = call.header();
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        match member {
            "StartDiscovery" => self.start_discovery(sender).await?,
            "StopDiscovery" => self.stop_discovery(&sender).await?,
            "SetDiscoveryFilter" => {
                let options = call
                    .body()
                    .deserialize()
                    .map_err(|_| Refusal::INVALID_ARGS)?;
                self.clients.entry(sender).or_default().filter = Filter::read(options)?;
            }
            "GetDiscoveryFilters" => {
                let names = [
                    "UUIDs",
                    "RSSI",
                    "Pathloss",
                    "Transport",
                    "DuplicateData",
                    "Discoverable",
                    "Pattern",
                ];
                self.reply(call, &(names.as_slice(),)).await;
                return Ok(());
            }
            "RemoveDevice" => {
                let path: OwnedObjectPath = call
                    .body()
                    .deserialize()
                    .map_err(|_| Refusal::INVALID_ARGS)?;
                self.remove_device(&path).await?;
            }
            _ => return Err(Refusal::UNKNOWN_METHOD),
        }
        self.reply(call, &()).await;
        Ok(())
    }

    async fn start_discovery(&mut self, sender: String) -> Result<(), Refusal> {
        if !self.is_powered() {
            return Err(Refusal::NOT_READY);
        }
        let client = self.clients.entry(sender).or_default();
        if client.scanning {
            return Err(Refusal::IN_PROGRESS);
        }
        client.scanning = true;
        self.next_slot = Instant::now();
        self.show_adapter().await;
        Ok(())
    }

    async fn stop_discovery(&mut self, sender: &str) -> Result<(), Refusal> {
        let client = self
            .clients
            .get_mut(sender)
            .filter(|client| client.scanning);
        client.ok_or(Refusal::NO_DISCOVERY)?.scanning = false;
        self.after_scanning().await;
        Ok(())
    }

    /// When the last discovery ends, the adapter says so, and no signal strength is known any more.
    async fn after_scanning(&mut self) {
        if self.is_scanning() {
            return;
        }
        let addresses: Vec<Address> = self.devices.keys().copied().collect();
        for address in addresses {
            if let Some(device) = self.devices.get_mut(&address) {
                device.rssi = None;
            }
            self.show_device(address, &[]).await;
        }
        self.show_adapter().await;
    }

    /// A client has left the bus: its discovery and its notifications end.
    pub(super) async fn client_left(&mut self, name: &str) {
        if self
            .clients
            .remove(name)
            .is_some_and(|client| client.scanning)
        {
            self.after_scanning().await;
        }
        self.unsubscribe_everywhere(name).await;
    }

    async fn remove_device(&mut self, path: &ObjectPath<'_>) -> Result<(), Refusal> {
        let address = path
            .strip_prefix(ADAPTER_PATH)
            .and_then(|part| Address::from_path_part(part.trim_start_matches('/')))
            .filter(|address| self.devices.contains_key(address))
            .ok_or(Refusal::DOES_NOT_EXIST)?;
        self.cancel_attempt(address).await;
        self.end_link(address).await;
        self.air.forget(address);
        self.devices.remove(&address);
        self.objects.withdraw(&Device::path(address)).await;
        Ok(())
    }

    /// Hears the stations whose turn it is.
    pub(super) async fn listen(&mut self) {
        let all = self.air.addresses();
        for address in all.into_iter().skip(self.slot).step_by(SLOTS) {
            let listen = |station: &Station| Heard {
                address,
                advertisement: station.advertisement.clone(),
                rssi: station.rssi,
                random_address: station.random_address,
            };
            let heard = self.air.see(address, |s| s.in_range.then(|| listen(s)));
            let connected = self
                .devices
                .get(&address)
                .is_some_and(|device| device.connection.is_some());
            if let Some(mut heard) = heard.flatten()
                && !connected
            {
                heard.rssi = heard.rssi.saturating_add(self.rng.random_range(-4..=4));
                self.hear_advertisement(heard).await;
            }
        }
    }

    async fn hear_advertisement(&mut self, heard: Heard) {
        let scanning = self.clients.values().filter(|client| client.scanning);
        let passing = scanning.filter(|client| {
            client
                .filter
                .lets_pass(heard.address, &heard.advertisement, heard.rssi)
        });
        let duplicates: Vec<bool> = passing.map(|client| client.filter.duplicates).collect();
        if duplicates.is_empty() {
            return;
        }
        self.tally.count(|c| c.heard += 1);
        let device = self
            .devices
            .entry(heard.address)
            .or_insert_with(|| Device::new(heard.random_address));
        device.hear(heard.advertisement);
        if device
            .rssi
            .is_none_or(|known| (known - heard.rssi).abs() >= RSSI_STEP)
        {
            device.rssi = Some(heard.rssi);
        }
        let again: &[&str] = if duplicates.contains(&true) {
            &["ManufacturerData", "ServiceData"]
        } else {
            &[]
        };
        self.show_device(heard.address, again).await;
    }

    /// Forgets devices that were never connected and have not been heard for long.
    pub(super) async fn forget(&mut self, now: Instant) {
        let temporary = self.options.temporary;
        let dialled = self.attempt.as_ref().map(|attempt| attempt.device);
        let old: Vec<Address> = self
            .devices
            .iter()
            .filter(|(address, device)| {
                device.is_temporary()
                    && Some(**address) != dialled
                    && now.duration_since(device.last_heard) > temporary
            })
            .map(|(address, _)| *address)
            .collect();
        for address in old {
            self.devices.remove(&address);
            self.objects.withdraw(&Device::path(address)).await;
        }
    }
}
