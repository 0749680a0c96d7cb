//! Who gets in.

use std::{io::Read as _, time::Duration};

use rcgen::{DnType, SanType};
use sealgate::{
    devices::link::{CloseReason, Refusal},
    ingress::stats::Count,
};

use super::support::{
    Client, Fleet, Heard, Mqtt, PATIENCE, Papers, Scene, connect_bytes, id, raw_tcp,
};

/// Tries to get a session; says whether there was one.
async fn gets_in(scene: &Scene, papers: &Papers) -> bool {
    let device = papers.device.to_string();
    let shaken = Client::handshake(scene.address(), papers.tls.clone(), device);
    let Ok(mut client) = tokio::time::timeout(PATIENCE, shaken)
        .await
        .expect("an end")
    else {
        return false;
    };
    // A refused TLS 1.3 client learns it only from what follows.
    let connect = connect_bytes(Mqtt::V4, &papers.device.to_string(), 60);
    let _ = client.try_send(&connect).await;
    client.hear().await == Some(Heard::ConnAck(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_papers_of_this_fleet_get_in() {
    let mut scene = Scene::new().await;
    assert!(gets_in(&scene, &scene.fleet.issue(id(1))).await);
    assert!(gets_in(&scene, &scene.fleet.issue_tls12(id(1))).await);

    let mut foreign = Fleet::new().issue(id(1));
    assert!(
        !gets_in(&scene, &foreign).await,
        "another CA does not even trust us"
    );
    // The same papers in the hands of someone who trusts us.
    foreign.tls = scene.fleet.with_papers_of(&foreign);
    assert!(!gets_in(&scene, &foreign).await, "wrong CA");
    assert!(
        !gets_in(&scene, &scene.fleet.expired(id(1))).await,
        "expired"
    );
    let nobody = Papers {
        tls: scene.fleet.nobody(),
        ..scene.fleet.issue(id(1))
    };
    assert!(!gets_in(&scene, &nobody).await, "no certificate");
    scene.counted(Count::HandshakeFailed, 4).await;
    assert_eq!(scene.host.identities(id(1)).len(), 2);
    scene.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_must_name_one_device() {
    let scene = Scene::new().await;
    let nameless = scene.fleet.issue_with(id(1), |params| {
        params.distinguished_name.push(DnType::CommonName, "a seal");
    });
    assert!(!gets_in(&scene, &nameless).await);
    let torn = scene.fleet.issue_with(id(1), |params| {
        let urn = format!("urn:sealgate:device:{}", id(2));
        params.subject_alt_names = vec![SanType::URI(urn.try_into().expect("ASCII"))];
    });
    assert!(!gets_in(&scene, &torn).await, "two names");
    let plain = scene
        .fleet
        .issue_with(id(1), |params| params.subject_alt_names.clear());
    assert!(gets_in(&scene, &plain).await, "the common name is enough");
    assert_eq!(scene.count(Count::BadIdentity), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_is_the_same_device_with_the_same_certificate() {
    let scene = Scene::new().await;
    for (n, papers) in [
        (1, scene.fleet.issue(id(1))),
        (2, scene.fleet.issue_tls12(id(2))),
    ] {
        for round in 0..3 {
            let mut seal = Client::open(scene.address(), &papers, Mqtt::V4).await;
            assert_eq!(seal.resumed(), round > 0);
            seal.roundtrip().await;
            seal.disconnect().await;
        }
        let identities = scene.host.identities(id(n));
        assert_eq!(identities.len(), 3, "the host is asked each time");
        assert!(
            identities
                .iter()
                .all(|i| i.certificate == identities[0].certificate)
        );
        assert_ne!(identities[0].certificate, [0; 32]);
    }
    assert_eq!(scene.count(Count::HandshakeResumed), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_seal_resumes_no_session() {
    let scene = Scene::new().await;
    for (n, papers) in [
        (1, scene.fleet.issue(id(1))),
        (2, scene.fleet.issue_tls12(id(2))),
    ] {
        let mut seal = Client::open(scene.address(), &papers, Mqtt::V4).await;
        seal.roundtrip().await;
        scene.host.close(id(n), CloseReason::NotAuthorized).await;
        seal.is_closed().await;
        let mut seal = Client::open(scene.address(), &papers, Mqtt::V4).await;
        assert!(!seal.resumed(), "its ticket is gone");
        seal.roundtrip().await;
        seal.disconnect().await;
        // Refused when it comes: what the handshake gave it is taken back.
        scene.host.refuse(id(n), Refusal::NotAuthorized);
        assert!(!gets_in(&scene, &papers).await);
        assert!(!gets_in(&scene, &papers).await);
    }
    // The one before the first refusal of each.
    assert_eq!(scene.count(Count::HandshakeResumed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_does_not_outlive_its_certificate() {
    let scene = Scene::new().await;
    let papers = scene.fleet.issue(id(1));
    Client::open(scene.address(), &papers, Mqtt::V4)
        .await
        .roundtrip()
        .await;
    scene.clock.jump(Duration::from_secs(20 * 365 * 24 * 3_600));
    assert!(!gets_in(&scene, &papers).await);
    assert_eq!(scene.count(Count::BadIdentity), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_server_certificate_is_used_at_once_and_sessions_stay() {
    let mut scene = Scene::new().await;
    let mut seal = scene.client(1, Mqtt::V4).await;
    scene
        .front
        .reload_tls(scene.fleet.renewed())
        .expect("good material");
    seal.roundtrip().await;
    scene.others_are_served().await;
    let mut bad = scene.fleet.renewed();
    bad.chain.clear();
    assert!(scene.front.reload_tls(bad).is_err());
    scene.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_gets_nothing() {
    let mut scene = Scene::new().await;
    let socket = raw_tcp(scene.address()).await;
    let connect = connect_bytes(Mqtt::V4, &id(1).to_string(), 60);
    let mut socket = socket.into_std().expect("a socket");
    socket.set_nonblocking(false).expect("an option");
    std::io::Write::write_all(&mut socket, &connect).expect("sent");
    let heard = tokio::task::spawn_blocking(move || {
        let mut heard = Vec::new();
        let _ = socket.read_to_end(&mut heard);
        heard
    });
    let heard = heard.await.expect("read");
    assert!(!heard.starts_with(&[0x20]), "no CONNACK without TLS");
    assert_eq!(scene.count(Count::HandshakeFailed), 1);
    scene.others_are_served().await;
}
