//! SIGHUP: certificates are exchanged under live sessions, and what does not work is not taken.

use std::fs;

use sealgate_simulators::net::SealHandle;
use sealgate_tests::{
    gateway::Setup,
    material::{Material, cli, tls},
    raw::RawSeal,
    wait::until,
    world::{World, press, see},
};

const READ: &str = "the certificates were read again";
const NOT_READ: &str = "the certificates were not read again; the old ones stay in use";

struct Scene {
    world: World,
    /// A seal with a session from before.
    seal: SealHandle,
    _fleet: sealgate_simulators::fleet::Fleet,
}

impl Scene {
    /// On material of its own, which the test changes.
    async fn new() -> Self {
        let material = tokio::task::spawn_blocking(|| &*Box::leak(Box::new(Material::make(4))))
            .await
            .expect("material");
        let setup = Setup {
            material,
            ..Setup::default()
        };
        let world = World::of(setup, true).await;
        let fleet = world.fleet(&[0], 1);
        let seal = fleet.seals()[0].clone();
        world.ready(&seal, 0, false).await;
        Self {
            world,
            seal,
            _fleet: fleet,
        }
    }

    fn pki(&self, name: &str) -> std::path::PathBuf {
        self.world.material.path("pki").join(name)
    }

    /// SIGHUP; waits for what the gateway says about it.
    async fn reload(&self, said: &str) {
        let count = || self.world.gateway.log().matches(said).count();
        let before = count();
        self.world.gateway.reload();
        until(said, || async { (count() > before).then_some(()) }).await;
    }

    /// The leaf a new handshake is shown.
    async fn shown(&self) -> Vec<u8> {
        let tls = self.world.material.tls(1);
        let raw = RawSeal::handshake(self.world.gateway.at.front, tls).await;
        raw.expect("TLS").server_certificate()
    }

    /// The session from before still works and is still the same one.
    async fn session_lives(&self) {
        press(&self.seal).await;
        self.world.drained(&self.seal).await;
        let truth = self.seal.truth().await.expect("a seal");
        assert_eq!(truth.sessions, 1, "it had to connect again");
        self.world.agrees_with(&truth).await;
    }

    /// Does a device of these files get a session?
    async fn admits(&self, folder: &std::path::Path, id: &str) -> bool {
        let tls = tls(&self.world.material.path("devices/ca.pem"), Some(folder));
        let Ok(mut raw) = RawSeal::handshake(self.world.gateway.at.front, tls).await else {
            return false;
        };
        use rumqttc::mqttbytes::v4::{ConnectReturnCode, Packet};
        raw.say_connect(id).await.is_ok()
            && matches!(raw.packet().await, Some(Packet::ConnAck(ack)) if ack.code == ConnectReturnCode::Success)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_to_new_sessions_while_old_ones_live_on() {
    let scene = Scene::new().await;
    let before = scene.shown().await;
    let folder = scene.pki("").display().to_string();
    tokio::task::spawn_blocking(move || cli(&["ca", "renew-server", "--dir", &folder]))
        .await
        .expect("renewed");
    assert_eq!(scene.shown().await, before, "not before it is told");
    scene.reload(READ).await;
    assert_ne!(scene.shown().await, before);
    scene.session_lives().await;
    // Also for a seal that resumes its TLS session.
    sealgate_tests::storm::settle(&scene.world, &scene.seal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_is_not_taken_and_is_said() {
    let scene = Scene::new().await;
    let before = scene.shown().await;
    let chain = fs::read(scene.pki("server.pem")).expect("a chain");
    let stranger = tokio::task::spawn_blocking(|| Material::make(1))
        .await
        .expect("material");
    let foreign = fs::read(stranger.path("pki/server.pem")).expect("a chain");
    // No certificate at all; one that does not fit the key; half of one.
    for bad in [
        b"no certificate".to_vec(),
        foreign,
        chain[..chain.len() / 3].to_vec(),
    ] {
        fs::write(scene.pki("server.pem"), bad).expect("written");
        scene.reload(NOT_READ).await;
        assert_eq!(scene.shown().await, before, "the old one stays in use");
        scene.session_lives().await;
    }
    fs::remove_file(scene.pki("server.pem")).expect("removed");
    scene.reload(NOT_READ).await;
    fs::write(scene.pki("server.pem"), chain).expect("written");
    let anchors = fs::read(scene.pki("ca.pem")).expect("a CA");
    fs::write(scene.pki("ca.pem"), "").expect("written");
    scene.reload(NOT_READ).await;
    assert!(
        scene
            .admits(&scene.world.material.device(1), scene.world.material.id(1))
            .await
    );
    fs::write(scene.pki("ca.pem"), anchors).expect("written");
    scene.reload(READ).await;
    scene.session_lives().await;
    assert_eq!(scene.world.readiness().await["ready"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_fleet_ca_is_believed_and_an_old_one_is_not_any_more() {
    let scene = Scene::new().await;
    let material = scene.world.material;
    let second = tokio::task::spawn_blocking(|| Material::make(1))
        .await
        .expect("material");
    let (newcomer, id) = (second.device(0), second.id(0));
    scene
        .world
        .api
        .post("devices/import", second.manifest.clone())
        .await;
    assert!(!scene.admits(&newcomer, id).await, "an unknown CA");

    let old = fs::read_to_string(scene.pki("ca.pem")).expect("a CA");
    let new = fs::read_to_string(second.path("pki/ca.pem")).expect("a CA");
    fs::write(scene.pki("ca.pem"), format!("{old}{new}")).expect("written");
    scene.reload(READ).await;
    assert!(scene.admits(&newcomer, id).await, "the second CA");
    assert!(
        scene.admits(&material.device(1), material.id(1)).await,
        "the first CA"
    );
    scene.session_lives().await;

    fs::write(scene.pki("ca.pem"), new).expect("written");
    scene.reload(READ).await;
    assert!(scene.admits(&newcomer, id).await);
    assert!(
        !scene.admits(&material.device(1), material.id(1)).await,
        "the first CA is gone"
    );
    scene.session_lives().await;
    // Its next session, though, is none: neither with its certificate nor with the TLS session it remembers.
    sealgate_tests::storm::afresh(&scene.seal).await;
    see(&scene.seal, "refused", |view| view.fault.is_some()).await;
    assert!(!scene.seal.view().await.expect("a seal").online);
}
