//! A gateway with an organization and seals, and the words tests are written in.

use std::time::Duration;

use reqwest::Method;
use sealgate_simulators::{
    fleet::{Fleet, FleetOptions},
    net::{SealHandle, Version, View},
    seal::{Params, Press, Truth, TruthPress},
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    database::Database,
    gateway::{GatewayProcess, Setup},
    material::Material,
    wait::{PATIENCE, until},
};

/// A gateway, an API client with every right, one organization.
#[derive(Debug)]
pub struct World {
    /// The material its seals come from.
    pub material: &'static Material,
    /// The gateway.
    pub gateway: GatewayProcess,
    /// Client with every right.
    pub api: Api,
    /// The organization.
    pub organization: String,
    /// A member who may hold grants.
    pub member: String,
}

impl World {
    /// A gateway whose organization requires grants.
    pub async fn start() -> Self {
        Self::of(Setup::default(), true).await
    }

    /// The same on that database.
    pub async fn on(database: Database) -> Self {
        let setup = Setup {
            database,
            ..Setup::default()
        };
        Self::of(setup, true).await
    }

    /// With more settings, and with or without the need of grants.
    pub async fn with(settings: &str, grants_required: bool) -> Self {
        let setup = Setup {
            settings: settings.to_owned(),
            ..Setup::default()
        };
        Self::of(setup, grants_required).await
    }

    /// Everything chosen.
    ///
    /// # Panics
    /// The gateway does not become ready.
    pub async fn of(setup: Setup, grants_required: bool) -> Self {
        let material = setup.material;
        let gateway = tokio::task::spawn_blocking(move || GatewayProcess::start(&setup))
            .await
            .expect("a gateway");
        let api = Api::new(gateway.at.http, &gateway.token);
        api.post("devices/import", material.manifest.clone()).await;
        let (organization, member) = organization(&api, "Harbour Trading", grants_required).await;
        Self {
            material,
            gateway,
            api,
            organization,
            member,
        }
    }

    /// Seals by their places in the material, turned off. Modems of both MQTT versions.
    ///
    /// # Panics
    /// The material cannot be used.
    #[must_use]
    pub fn fleet(&self, places: &[usize], seed: u64) -> Fleet {
        self.fleet_of(places, seed, Params::default())
    }

    /// Seals of another construction.
    ///
    /// # Panics
    /// The material cannot be used.
    #[must_use]
    pub fn fleet_of(&self, places: &[usize], seed: u64, params: Params) -> Fleet {
        self.some(places, seed, params, None)
    }

    /// Seals whose modems speak one version of MQTT.
    ///
    /// # Panics
    /// The material cannot be used.
    #[must_use]
    pub fn fleet_speaking(&self, places: &[usize], seed: u64, version: Version) -> Fleet {
        self.some(places, seed, Params::default(), Some(version))
    }

    fn some(&self, places: &[usize], seed: u64, params: Params, version: Option<Version>) -> Fleet {
        let folder = &self.material.folder;
        let mut chosen = sealgate_simulators::fleet::DeviceFolder {
            devices: Vec::new(),
            ca_pem: folder.ca_pem.clone(),
            key_set: folder.key_set.clone(),
            root: folder.root,
        };
        for place in places {
            chosen.devices.push(folder.devices[*place].clone());
        }
        let options = FleetOptions {
            server: self.gateway.at.front,
            server_name: "localhost".to_owned(),
            seed,
            version,
            state: None,
            params,
        };
        Fleet::start(&chosen, &options).expect("a fleet")
    }

    /// Hands a device over to the organization.
    pub async fn deliver(&self, id: &str) {
        let body = json!({ "organization": self.organization });
        self.api.post(&format!("devices/{id}/deliver"), body).await;
    }

    /// Delivers, powers on and binds a seal.
    ///
    /// # Panics
    /// It is not bound in time.
    pub async fn bind(&self, seal: &SealHandle) {
        self.deliver(seal.name()).await;
        seal.power_on().await.expect("a seal");
        self.connected(seal).await;
        let order = self
            .api
            .post(
                &format!("devices/{}/bind", seal.name()),
                json!({ "name": "front desk" }),
            )
            .await;
        self.applied(&order).await;
        see(seal, "bound and leased", |view| view.bound && view.leased).await;
    }

    /// Waits until the gateway says the seal is connected.
    pub async fn connected(&self, seal: &SealHandle) {
        let path = format!("devices/{}", seal.name());
        until("connected", || async {
            let device = self.api.get(&path).await;
            (device["connected"] == true).then_some(())
        })
        .await;
        see(seal, "online", |view| view.online).await;
    }

    /// Turns a seal off and waits until the gateway knows.
    ///
    /// # Panics
    /// The fleet is gone.
    pub async fn switched_off(&self, seal: &SealHandle) {
        let path = format!("devices/{}", seal.name());
        seal.power_off().await.expect("a seal");
        until("gone", || async {
            (self.api.get(&path).await["connected"] == false).then_some(())
        })
        .await;
    }

    /// Waits until an ordered command was applied.
    ///
    /// # Panics
    /// It ends otherwise.
    pub async fn applied(&self, order: &Value) {
        let state = self.ended(order).await;
        assert_eq!(state["state"], "applied", "{state}");
    }

    /// Waits until an ordered command is over; what it became.
    ///
    /// # Panics
    /// The order has no id.
    pub async fn ended(&self, order: &Value) -> Value {
        let id = order["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no order: {order}"));
        let path = format!("commands/{id}");
        until("the command's end", || async {
            let command = self.api.get(&path).await;
            let over = ["applied", "rejected", "expired", "superseded"];
            over.contains(&command["state"].as_str()?)
                .then_some(command)
        })
        .await
    }

    /// Gives the member a grant on the seal, for an hour from now.
    pub async fn grant(&self, seal: &SealHandle, count: u16, offline: bool) -> Value {
        self.api
            .post("grants", self.grant_body(seal.name(), count, offline))
            .await
    }

    /// What a grant is asked for with.
    #[must_use]
    pub fn grant_body(&self, device: &str, count: u16, offline: bool) -> Value {
        json!({
            "device": device,
            "member": self.member,
            "count": count,
            "not_after": "2099-01-01T00:00:00Z",
            "offline_allowed": offline,
        })
    }

    /// A bound seal under a delivered grant.
    pub async fn ready(&self, seal: &SealHandle, count: u16, offline: bool) -> Value {
        self.bind(seal).await;
        let grant = self.grant(seal, count, offline).await;
        see(seal, "the grant", |view| view.grant > 0).await;
        grant
    }

    /// The organization's code for offline mode, from the text message.
    ///
    /// # Panics
    /// No message came.
    pub async fn code(&self) -> String {
        let path = format!("organizations/{}/codes", self.organization);
        self.api
            .post(&path, json!({ "purpose": "offline_mode" }))
            .await;
        until("a code by text message", || async {
            let inbox = self.api.get("sms-inbox").await;
            let text = inbox["items"].as_array()?.last()?["text"]
                .as_str()?
                .to_owned();
            digits(&text, 6)
        })
        .await
    }

    /// Every record of a device the API shows, oldest first.
    pub async fn records(&self, id: &str) -> Vec<Value> {
        let mut records = self.api.all(&format!("devices/{id}/stamps")).await;
        records.sort_by_key(|record| (record["epoch"].as_u64(), record["seq"].as_u64()));
        records
    }

    /// Waits until the gateway has acknowledged everything the seal has.
    pub async fn drained(&self, seal: &SealHandle) {
        see(seal, "everything acknowledged", |view| view.unsent == 0).await;
    }

    /// Compares what happened with what the API shows: nothing lost, nothing doubled, nothing misclassified.
    ///
    /// # Panics
    /// Something differs; with what.
    pub async fn agrees_with(&self, truth: &Truth) {
        let shown = self.records(&truth.device).await;
        let happened: Vec<&TruthPress> = truth.records().collect();
        let key = |record: &Value| (record["epoch"].as_u64(), record["seq"].as_u64());
        let mut keys: Vec<_> = shown.iter().map(key).collect();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all, "{}: doubled records", truth.device);
        let lost: Vec<&TruthPress> = happened
            .iter()
            .filter(|press| {
                let key = (Some(u64::from(press.epoch)), press.seq.map(u64::from));
                keys.binary_search(&key).is_err()
            })
            .copied()
            .collect();
        assert!(lost.is_empty(), "{}: lost {lost:?}", truth.device);
        assert_eq!(
            shown.len(),
            happened.len(),
            "{}: records of presses that never were",
            truth.device
        );
        for (press, record) in happened.iter().zip(&shown) {
            let kind = press.kind.map_or(Value::Null, Value::from);
            assert_eq!(
                record["abnormal"], kind,
                "{}: misclassified: {press:?} became {record}",
                truth.device
            );
            assert_eq!(record["grant_no"], press.grant, "{press:?} became {record}");
            assert_eq!(record["n"], press.n, "{press:?} became {record}");
        }
    }

    /// What `/readyz` says.
    pub async fn readiness(&self) -> Value {
        self.api.try_get("/readyz").await.body
    }

    /// Waits until `/readyz` says that the gateway is ready, or that it is not for want of its database.
    pub async fn is_ready(&self, ready: bool) {
        until("readiness", || async {
            let said = self.readiness().await;
            let right = match ready {
                true => said["ready"] == true,
                false => said["ready"] == false && said["store"] == false,
            };
            right.then_some(())
        })
        .await;
    }

    /// Changes something under its entity tag.
    pub async fn patch(&self, path: &str, body: Value) -> Value {
        self.api.change(Method::PATCH, path, body).await
    }
}

/// An organization with an owner and one member; their ids.
///
/// # Panics
/// The answers have no ids.
pub async fn organization(api: &Api, name: &str, grants_required: bool) -> (String, String) {
    let made = api
        .post(
            "organizations",
            json!({
                "name": name,
                "owner": { "name": "Wang Fang", "phone": "13800138000" },
                "grants_required": grants_required,
            }),
        )
        .await;
    let organization = made["id"].as_str().expect("an id").to_owned();
    let member = api
        .post(
            &format!("organizations/{organization}/members"),
            json!({ "name": "Li Na", "phone": "13900139000" }),
        )
        .await;
    (
        organization,
        member["id"].as_str().expect("an id").to_owned(),
    )
}

/// Waits until the seal looks so.
///
/// # Panics
/// It never does; with how it looks.
pub async fn see(seal: &SealHandle, what: &str, looks: impl Fn(&View) -> bool) {
    let attempt = async {
        while !looks(&seal.view().await.expect("a seal")) {
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, attempt).await.is_err() {
        panic!("{what}: in vain; {:?}", seal.view().await);
    }
}

/// Presses properly; what it was.
///
/// # Panics
/// The seal is off.
pub async fn press(seal: &SealHandle) -> TruthPress {
    seal.press(Press::proper())
        .await
        .expect("a seal")
        .expect("a press")
}

fn digits(text: &str, count: usize) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit())
        .find(|run| run.len() == count)
        .map(str::to_owned)
}
