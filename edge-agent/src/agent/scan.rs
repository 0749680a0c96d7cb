//! Listening for seals that are not the box's: for the gateway, and for people at the box.

use std::collections::BTreeMap;

use sealgate_codec::{
    DeviceId,
    edge::{Control, MAX_SEEN, Nearby},
    link::{Advert, Millis},
};
use tokio::sync::oneshot;

use crate::{
    port::{Address, Heard},
    report::NearbyView,
    uplink::Say,
};

/// Seals remembered in one scan, so that a crowd costs no memory.
const MOST: usize = 512;

type Found = BTreeMap<Address, (Advert, Option<i8>, Option<DeviceId>)>;

#[derive(Default)]
pub(super) struct Scans {
    /// Until when; what was found and not told, and everything found.
    gateway: Option<Millis>,
    untold: Found,
    told: Vec<Address>,
    local: Vec<(Millis, oneshot::Sender<Vec<NearbyView>>)>,
    found: Found,
}

impl Scans {
    pub(super) fn gateway(&mut self, until: Millis) {
        self.gateway = Some(until);
        self.untold.clear();
        self.told.clear();
    }

    pub(super) fn gateway_gone(&mut self) {
        self.gateway = None;
        self.untold.clear();
        self.told.clear();
    }

    pub(super) fn local(&mut self, until: Millis, answer: oneshot::Sender<Vec<NearbyView>>) {
        self.local.push((until, answer));
    }

    pub(super) fn heard(&mut self, heard: &Heard, whose: Option<DeviceId>) {
        let entry = (heard.advert, heard.rssi, whose);
        if !self.local.is_empty() && self.found.len() < MOST {
            self.found.insert(heard.address.clone(), entry);
        }
        let wanted = self.gateway.is_some() && whose.is_none() && self.told.len() < MOST;
        if wanted && !self.told.contains(&heard.address) {
            self.told.push(heard.address.clone());
            self.untold.insert(heard.address.clone(), entry);
        }
    }

    /// What is to be said now; answers local scans that are over.
    pub(super) fn turn(&mut self, now: Millis) -> Vec<Say> {
        let mut says = Vec::new();
        let mut nearby: Vec<Nearby> = Vec::new();
        for (address, (advert, rssi, _)) in std::mem::take(&mut self.untold) {
            if let Address::Ble(address) = address {
                nearby.push(Nearby {
                    id: advert.id,
                    address,
                    rssi,
                    state: advert.state,
                    battery: advert.battery,
                });
            }
        }
        for part in nearby.chunks(MAX_SEEN) {
            says.push(Say::New(Control::Nearby(part.to_vec())));
        }
        if self.gateway.is_some_and(|until| until <= now) {
            self.gateway = None;
            says.push(Say::New(Control::Nearby(Vec::new())));
        }
        if self.local.iter().any(|(until, _)| *until <= now) {
            let all = self.view();
            let (over, on): (Vec<_>, Vec<_>) = std::mem::take(&mut self.local)
                .into_iter()
                .partition(|(until, _)| *until <= now);
            self.local = on;
            for (_, answer) in over {
                // Who asked may have gone.
                let _ = answer.send(all.clone());
            }
        }
        if self.local.is_empty() {
            self.found.clear();
        }
        says
    }

    fn view(&self) -> Vec<NearbyView> {
        let one = |(address, (advert, rssi, whose)): (&Address, &(Advert, _, Option<DeviceId>))| {
            NearbyView {
                address: address.to_string(),
                id: data_encoding::HEXLOWER.encode(&advert.id),
                seal: whose.map(|dev| dev.to_string()),
                rssi: *rssi,
                pending: advert.pending,
                battery: advert.battery,
                state: advert.state.0,
            }
        };
        self.found.iter().map(one).collect()
    }
}
