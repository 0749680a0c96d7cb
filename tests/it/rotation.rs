//! The signing keys are rotated under a live fleet: signer process, gateway, seals over mutual TLS.

use sealgate_broker_config::keys::{KeyDir, KeyScope, read_seed};
use sealgate_codec::{
    cose,
    message::{CmdAck, CmdStatus},
    ticket::{Args, CounterDomain, Ticket},
};
use sealgate_simulators::{
    fleet::Fleet,
    net::{LinkFault, SealHandle, Version},
};
use sealgate_tests::{
    gateway::Setup,
    impostor::Impostor,
    material::{Material, cli},
    signer::SignerProcess,
    wait::until,
    world::{World, press, see},
};
use serde_json::{Value, json};

struct Scene {
    world: World,
    signer: SignerProcess,
    fleet: Fleet,
}

impl Scene {
    /// Two bound seals, of which the second is off.
    async fn new() -> Self {
        let (material, signer) = tokio::task::spawn_blocking(|| {
            let material: &'static Material = Box::leak(Box::new(Material::make(2)));
            (material, SignerProcess::start(&material.path("keys")))
        })
        .await
        .expect("a signer");
        let setup = Setup {
            material,
            signer: Some(signer.socket()),
            ..Setup::default()
        };
        let world = World::of(setup, true).await;
        let fleet = world.fleet_speaking(&[0, 1], 1, Version::V4);
        for seal in fleet.seals() {
            world.ready(seal, 0, false).await;
        }
        let scene = Self {
            world,
            signer,
            fleet,
        };
        scene.sleeper().power_off().await.expect("a seal");
        scene.until_connected(scene.sleeper(), false).await;
        scene
    }

    fn awake(&self) -> &SealHandle {
        &self.fleet.seals()[0]
    }

    fn sleeper(&self) -> &SealHandle {
        &self.fleet.seals()[1]
    }

    fn keys(&self) -> KeyDir {
        KeyDir::new(&self.world.material.path("keys"))
    }

    async fn device(&self, seal: &SealHandle) -> Value {
        self.world
            .api
            .get(&format!("devices/{}", seal.name()))
            .await
    }

    async fn until_connected(&self, seal: &SealHandle, connected: bool) {
        until("presence", || async {
            (self.device(seal).await["connected"] == connected).then_some(())
        })
        .await;
    }

    /// New keys for every scope at once; the old ones end now.
    async fn rotate(&self) {
        let keys = self.world.material.path("keys").display().to_string();
        let command = move || {
            cli(&[
                "key",
                "rotate",
                "--dir",
                &keys,
                "--all",
                "--activate-after",
                "0",
                "--overlap",
                "0",
            ])
        };
        tokio::task::spawn_blocking(command).await.expect("rotated");
        self.signer.reload();
    }

    async fn holds(&self, seal: &SealHandle, version: i64) {
        until("the key set is confirmed", || async {
            let known = self.device(seal).await["reported"]["key_set_version"].as_i64();
            (known == Some(version)).then_some(())
        })
        .await;
    }

    /// Orders and waits; which key had signed it, by the gateway's own record.
    async fn ordered(&self, seal: &SealHandle, action: &str) -> u8 {
        let path = format!("devices/{}/{action}", seal.name());
        let order = self.world.api.post(&path, json!({})).await;
        self.world.applied(&order).await;
        self.signed_by(&order)
    }

    fn signed_by(&self, order: &Value) -> u8 {
        let id: uuid::Uuid = order["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id");
        let file = self.world.gateway.dir().join("sealgate.db");
        let database = rusqlite::Connection::open(file).expect("the database");
        let sql = "SELECT ticket FROM command WHERE id = ?1";
        let ticket: Vec<u8> = database
            .query_row(sql, [id.as_bytes().as_slice()], |row| row.get(0))
            .expect("a ticket");
        cose::parse(&ticket).expect("COSE").kid
    }

    /// The newest key of a scope.
    fn kid(&self, scope: KeyScope) -> u8 {
        let table = self.keys().table().expect("keys");
        let entries = table.entries.iter().filter(|entry| entry.scope == scope);
        entries.map(|entry| entry.kid).max().expect("a key")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_keys_reach_every_seal_and_the_old_ones_are_refused() {
    let scene = Scene::new().await;
    let old = scene.kid(KeyScope::Lock);
    let old_key = read_seed(
        &scene
            .world
            .material
            .path("keys")
            .join(format!("kid-{old}.key")),
    );
    let old_key = old_key.expect("the key a thief has copied");
    assert_eq!(scene.ordered(scene.awake(), "lock").await, old);
    scene.ordered(scene.awake(), "unlock").await;

    scene.rotate().await;
    let new = scene.kid(KeyScope::Lock);
    assert_ne!(new, old);
    scene.holds(scene.awake(), 2).await;
    assert_eq!(scene.ordered(scene.awake(), "lock").await, new);
    see(scene.awake(), "locked", |view| view.locked).await;
    scene.ordered(scene.awake(), "unlock").await;

    // The other was off: what it is sent it understands, it gets the new set by itself, and then the new keys sign.
    assert_eq!(
        scene.device(scene.sleeper()).await["reported"]["key_set_version"],
        1
    );
    scene.sleeper().power_on().await.expect("a seal");
    scene.holds(scene.sleeper(), 2).await;
    assert_eq!(scene.ordered(scene.sleeper(), "lock").await, new);
    see(scene.sleeper(), "locked", |view| view.locked).await;
    assert_eq!(
        scene.ordered(scene.sleeper(), "unlock").await,
        scene.kid(KeyScope::Unlock)
    );
    for seal in scene.fleet.seals() {
        see(seal, "leased", |view| view.leased).await;
        press(seal).await;
        scene.world.drained(seal).await;
        scene
            .world
            .agrees_with(&seal.truth().await.expect("a seal"))
            .await;
    }
    // A key ends with a second, not within it.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    a_thief_gets_nothing(&scene, (&old_key, old), new).await;
}

/// Somebody with the front's key and an old signing key speaks to a seal; the same words under the new key are obeyed,
/// so it is the key that is refused.
async fn a_thief_gets_nothing(scene: &Scene, old: (&ed25519_dalek::SigningKey, u8), new: u8) {
    let seal = scene.awake();
    let impostor = Impostor::with(scene.world.material).await;
    seal.fault(LinkFault::MoveTo(impostor.address))
        .await
        .expect("a seal");
    seal.fault(LinkFault::Drop).await.expect("a seal");
    let mut victim = impostor.catches().await;
    let flash = seal.flash().await.expect("a seal");
    let table = scene.keys().table().expect("keys");
    let entry = table
        .entries
        .iter()
        .find(|entry| entry.kid == new)
        .expect("the new key");
    let new_key = scene.keys().secret(entry).expect("the new key");
    let id = scene.world.material.folder.devices[0].id;
    let ctr = flash.taken[CounterDomain::Lock.index()].ctr + 1;
    let lock = Ticket::new(
        id,
        flash.generation,
        ctr,
        flash.high_water_s,
        Args::Lock { reason: None },
    );
    let ack: CmdAck = victim.obeys(lock.sign(old.0, old.1)).await;
    assert_eq!(ack.status, CmdStatus::Rejected, "{ack:?}");
    assert!(!seal.view().await.expect("a seal").locked);
    let ack = victim.obeys(lock.sign(&new_key, new)).await;
    assert_eq!(ack.status, CmdStatus::Applied, "{ack:?}");
    assert!(seal.view().await.expect("a seal").locked);
}
