//! Being notified: by signals, for as many clients as like, or by a descriptor, for one.

use std::collections::BTreeMap;

use bytes::Bytes;
use zbus::{
    Message,
    zvariant::{OwnedFd, Value},
};

use super::{
    State,
    gatt::{CHARACTERISTIC, characteristic_path},
    link::{Command, descriptor},
    objects::{PROPERTIES, signal},
};
use crate::bluez::{
    address::Address,
    error::Refusal,
    table::{CharacteristicRow, Role, Table},
};

/// What a subscription writes into the descriptor beside a notifying characteristic.
const SUBSCRIPTION: &[u8] = &[0x01, 0x00];

impl State {
    /// What both ways to be notified have in common. True: the call is kept.
    fn before_notify(
        &mut self,
        address: Address,
        row: &CharacteristicRow,
        call: &Message,
    ) -> Result<bool, Refusal> {
        if !row.flags.contains(&"notify") {
            return Err(Refusal::NOT_SUPPORTED);
        }
        if self.connection(address)?.notify_acquired {
            return Err(Refusal::NOTIFY_ACQUIRED);
        }
        if self.hold(address, call)? {
            return Ok(true);
        }
        if self.connection(address)?.table == Table::Stale {
            let write = Command::Write {
                value: Bytes::from_static(SUBSCRIPTION),
                call: None,
            };
            self.command(address, write);
        }
        Ok(false)
    }

    pub(super) async fn start_notify(
        &mut self,
        address: Address,
        row: &CharacteristicRow,
        call: &Message,
    ) -> Result<(), Refusal> {
        let sender = call
            .header()
            .sender()
            .map(ToString::to_string)
            .unwrap_or_default();
        if self.connection(address)?.subscribers.contains(&sender) {
            return Err(Refusal::IN_PROGRESS);
        }
        if self.before_notify(address, row, call)? {
            return Ok(());
        }
        let deaf = self.connection(address)?.table == Table::Stale || row.role != Role::FromSeal;
        if !deaf && !self.command(address, Command::Signals(true)) {
            return Err(Refusal::IN_PROGRESS);
        }
        self.connection(address)?.subscribers.insert(sender);
        self.show_services(address).await;
        self.reply(call, &()).await;
        Ok(())
    }

    pub(super) async fn stop_notify(
        &mut self,
        address: Address,
        call: &Message,
    ) -> Result<(), Refusal> {
        let sender = call
            .header()
            .sender()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !self.unsubscribe(address, &sender).await {
            return Err(Refusal::NO_NOTIFY_SESSION);
        }
        self.reply(call, &()).await;
        Ok(())
    }

    async fn unsubscribe(&mut self, address: Address, sender: &str) -> bool {
        let Ok(connection) = self.connection(address) else {
            return false;
        };
        if !connection.subscribers.remove(sender) {
            return false;
        }
        if connection.subscribers.is_empty() {
            self.command(address, Command::Signals(false));
        }
        self.show_services(address).await;
        true
    }

    pub(super) async fn unsubscribe_everywhere(&mut self, sender: &str) {
        let connected: Vec<Address> = self.connected().collect();
        for address in connected {
            self.unsubscribe(address, sender).await;
        }
    }

    pub(super) async fn acquire_notify(
        &mut self,
        address: Address,
        row: &CharacteristicRow,
        call: &Message,
    ) -> Result<(), Refusal> {
        if !self.connection(address)?.subscribers.is_empty() {
            return Err(Refusal::IN_PROGRESS);
        }
        if self.before_notify(address, row, call)? {
            return Ok(());
        }
        let (theirs, socket) = descriptor().map_err(|_| Refusal::WRITE_FAILED)?;
        let deaf = self.connection(address)?.table == Table::Stale || row.role != Role::FromSeal;
        if !self.command(address, Command::Notify { socket, deaf }) {
            return Err(Refusal::IN_PROGRESS);
        }
        let connection = self.connection(address)?;
        connection.notify_acquired = true;
        let mtu = connection.mtu;
        self.show_services(address).await;
        self.reply(call, &(OwnedFd::from(theirs), mtu)).await;
        Ok(())
    }

    /// A notification for those who listen to signals.
    pub(super) async fn signal_value(&mut self, address: Address, value: &Bytes) {
        let Ok(connection) = self.connection(address) else {
            return;
        };
        let place = connection.services.iter().find_map(|service| {
            let mut rows = service.characteristics.iter();
            let row = rows.find(|row| row.role == Role::FromSeal)?;
            Some((service.handle, row.handle))
        });
        if let Some((service, handle)) = place
            && !connection.subscribers.is_empty()
        {
            let path = characteristic_path(address, service, handle);
            let changed = BTreeMap::from([("Value", Value::from(value.to_vec()))]);
            let body = (CHARACTERISTIC, changed, Vec::<&str>::new());
            signal(&self.bus, &path, PROPERTIES, "PropertiesChanged", &body).await;
        }
    }
}
