//! `org.bluez.GattService1` and `org.bluez.GattCharacteristic1`: what is shown of a table, reading and writing.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use tokio::time::Instant;
use zbus::{
    Message,
    zvariant::{ObjectPath, OwnedFd, OwnedValue, Value},
};

use super::{
    Held, State,
    device::{Connected, Device},
    link::{Command, descriptor},
    objects::Properties,
};
use crate::bluez::{
    address::Address,
    error::Refusal,
    table::{CharacteristicRow, Role},
};

pub(super) const SERVICE: &str = "org.bluez.GattService1";
pub(super) const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
/// No attribute value is longer.
const LONGEST_VALUE: usize = 512;

pub(super) fn service_path(address: Address, service: u16) -> String {
    format!("{}/service{service:04x}", Device::path(address))
}

pub(super) fn characteristic_path(address: Address, service: u16, handle: u16) -> String {
    format!("{}/char{handle:04x}", service_path(address, service))
}

fn object(path: &str) -> Value<'static> {
    ObjectPath::try_from(path.to_owned())
        .expect("paths made of numbers are well formed")
        .into()
}

/// The options of `ReadValue` and `WriteValue` that mean something here.
#[derive(Debug, Default)]
struct Options {
    offset: u16,
    command: bool,
}

impl Options {
    fn read(options: HashMap<String, OwnedValue>) -> Result<Self, Refusal> {
        let mut read = Self::default();
        for (name, value) in options {
            match name.as_str() {
                "offset" => {
                    read.offset = u16::try_from(value).map_err(|_| Refusal::INVALID_ARGUMENTS)?
                }
                "type" => {
                    let kind = String::try_from(value).map_err(|_| Refusal::INVALID_ARGUMENTS)?;
                    read.command = kind == "command";
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

impl Connected {
    fn characteristic(&self, handle: u16) -> Option<&CharacteristicRow> {
        self.services
            .iter()
            .flat_map(|service| &service.characteristics)
            .find(|row| row.handle == handle)
    }

    fn properties(&self, address: Address, service: u16, row: &CharacteristicRow) -> Properties {
        let flags: Vec<String> = row.flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut properties = Properties::from([
            ("UUID", row.uuid.to_string().into()),
            ("Service", object(&service_path(address, service))),
            ("Value", Value::from(Vec::<u8>::new())),
            ("Flags", flags.into()),
            ("MTU", self.mtu.into()),
        ]);
        if row.flags.contains(&"notify") {
            let from_seal = row.role == Role::FromSeal;
            let notifying = from_seal && (self.notify_acquired || !self.subscribers.is_empty());
            properties.insert("Notifying", notifying.into());
            properties.insert("NotifyAcquired", (from_seal && self.notify_acquired).into());
        }
        if row.flags.contains(&"write-without-response") {
            properties.insert("WriteAcquired", self.write_acquired.into());
        }
        properties
    }
}

impl State {
    /// Shows the services of a link as they are.
    pub(super) async fn show_services(&mut self, address: Address) {
        let Some(connection) = self
            .devices
            .get(&address)
            .and_then(|d| d.connection.as_ref())
        else {
            return;
        };
        let mut objects = BTreeMap::new();
        for service in &connection.services {
            let path = service_path(address, service.handle);
            let properties = Properties::from([
                ("UUID", service.uuid.to_string().into()),
                ("Device", object(&Device::path(address))),
                ("Primary", true.into()),
                ("Includes", Value::from(Vec::<ObjectPath<'static>>::new())),
            ]);
            objects.insert(path, (SERVICE, properties));
            for row in &service.characteristics {
                let path = characteristic_path(address, service.handle, row.handle);
                let properties = connection.properties(address, service.handle, row);
                objects.insert(path, (CHARACTERISTIC, properties));
            }
        }
        for (path, (interface, properties)) in objects {
            self.objects.show(&path, interface, properties, &[]).await;
        }
    }

    /// Takes the seal's service from a live link, or gives it back.
    pub(super) async fn reconcile_service(&mut self, address: Address, there: bool) {
        let Some(device) = self.devices.get_mut(&address) else {
            return;
        };
        let Some(connection) = device
            .connection
            .as_mut()
            .filter(|c| c.seal_service != there)
        else {
            return;
        };
        connection.seal_service = there;
        if connection.resolve_at.is_some() {
            return;
        }
        let rows = connection.table.rows(there);
        let former = std::mem::replace(&mut connection.services, rows);
        connection.notify_acquired = false;
        connection.write_acquired = false;
        connection.subscribers.clear();
        let kept: Vec<u16> = connection.services.iter().map(|row| row.handle).collect();
        device.resolved_uuids = connection.services.iter().map(|row| row.uuid).collect();
        self.command(address, Command::Close);
        for row in former.iter().filter(|row| !kept.contains(&row.handle)) {
            self.objects
                .withdraw(&service_path(address, row.handle))
                .await;
        }
        self.show_services(address).await;
        self.show_device(address, &[]).await;
    }

    /// Gives a link's task something to do; false when it has too much already.
    pub(super) fn command(&self, address: Address, command: Command) -> bool {
        let connection = self
            .devices
            .get(&address)
            .and_then(|d| d.connection.as_ref());
        connection.is_some_and(|connection| connection.link.command(command).is_ok())
    }

    pub(super) async fn characteristic_call(
        &mut self,
        address: Address,
        handle: u16,
        member: &str,
        call: &Message,
    ) -> Result<(), Refusal> {
        let connection = self
            .devices
            .get(&address)
            .and_then(|device| device.connection.as_ref())
            .ok_or(Refusal::NOT_CONNECTED)?;
        let row = connection
            .characteristic(handle)
            .ok_or(Refusal::UNKNOWN_OBJECT)?
            .clone();
        match member {
            "ReadValue" => self.read_value(address, &row, call).await,
            "WriteValue" => self.write_value(address, &row, call).await,
            "StartNotify" => self.start_notify(address, &row, call).await,
            "StopNotify" => self.stop_notify(address, call).await,
            "AcquireNotify" => self.acquire_notify(address, &row, call).await,
            "AcquireWrite" => self.acquire_write(address, &row, call).await,
            "Confirm" => Err(Refusal::NOT_SUPPORTED),
            _ => Err(Refusal::UNKNOWN_METHOD),
        }
    }

    pub(super) fn connection(&mut self, address: Address) -> Result<&mut Connected, Refusal> {
        self.devices
            .get_mut(&address)
            .and_then(|device| device.connection.as_mut())
            .ok_or(Refusal::NOT_CONNECTED)
    }

    /// A request to a silent peer gets no answer until it times out. True: the call is kept.
    pub(super) fn hold(&mut self, address: Address, call: &Message) -> Result<bool, Refusal> {
        if !self.connection(address)?.silent {
            return Ok(false);
        }
        self.held.push(Held {
            device: address,
            call: call.clone(),
            until: Instant::now() + self.options.att,
        });
        Ok(true)
    }

    async fn read_value(
        &mut self,
        address: Address,
        row: &CharacteristicRow,
        call: &Message,
    ) -> Result<(), Refusal> {
        let options = call
            .body()
            .deserialize()
            .map_err(|_| Refusal::INVALID_ARGS)?;
        let options = Options::read(options)?;
        if !row.flags.contains(&"read") {
            return Err(Refusal::NOT_PERMITTED);
        }
        if self.hold(address, call)? {
            return Ok(());
        }
        let value = match row.role {
            Role::Information => self.air.information(address).unwrap_or_default(),
            _ => Bytes::from_static(&[100]),
        };
        let from = usize::from(options.offset);
        let value = value.get(from..).ok_or(Refusal::INVALID_OFFSET)?;
        self.reply(call, &(&value[..value.len().min(LONGEST_VALUE)],))
            .await;
        Ok(())
    }

    async fn write_value(
        &mut self,
        address: Address,
        row: &CharacteristicRow,
        call: &Message,
    ) -> Result<(), Refusal> {
        let body = call.body();
        let (value, options): (Vec<u8>, HashMap<String, OwnedValue>) =
            body.deserialize().map_err(|_| Refusal::INVALID_ARGS)?;
        let options = Options::read(options)?;
        if !row.flags.contains(&"write") {
            return Err(Refusal::NOT_SUPPORTED);
        }
        if options.offset != 0 {
            return Err(Refusal::INVALID_OFFSET);
        }
        if value.len() > LONGEST_VALUE {
            return Err(Refusal::INVALID_LENGTH);
        }
        let payload = usize::from(self.connection(address)?.mtu.saturating_sub(3));
        if options.command && value.len() > payload {
            return Err(Refusal::WRITE_FAILED);
        }
        let silent = self.connection(address)?.silent;
        if silent && options.command {
            // A command is sent and never answered.
            self.tally.count(|c| c.dropped += 1);
            self.reply(call, &()).await;
            return Ok(());
        }
        if self.hold(address, call)? {
            return Ok(());
        }
        let write = Command::Write {
            value: value.into(),
            call: Some(call.clone()),
        };
        if self.command(address, write) {
            Ok(())
        } else {
            Err(Refusal::IN_PROGRESS)
        }
    }

    async fn acquire_write(
        &mut self,
        address: Address,
        row: &CharacteristicRow,
        call: &Message,
    ) -> Result<(), Refusal> {
        if !row.flags.contains(&"write-without-response") {
            return Err(Refusal::NOT_SUPPORTED);
        }
        if self.connection(address)?.write_acquired {
            return Err(Refusal::WRITE_ACQUIRED);
        }
        let (theirs, socket) = descriptor().map_err(|_| Refusal::WRITE_FAILED)?;
        if !self.command(address, Command::Writes(socket)) {
            return Err(Refusal::IN_PROGRESS);
        }
        let connection = self.connection(address)?;
        connection.write_acquired = true;
        let mtu = connection.mtu;
        self.show_services(address).await;
        self.reply(call, &(OwnedFd::from(theirs), mtu)).await;
        Ok(())
    }
}
