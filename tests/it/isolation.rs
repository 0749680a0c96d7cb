//! A device speaks for itself only, hears only itself, and stops when it is revoked.

use rumqttc::mqttbytes::v4::{Packet, SubscribeReasonCode};
use sealgate_codec::{Frame, Message};
use sealgate_tests::{
    raw::RawSeal,
    wait::until,
    world::{World, press, see},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_device_never_reaches_anothers_topics() {
    let world = World::start().await;
    let fleet = world.fleet(&[0], 1);
    let victim = fleet.seals()[0].clone();
    world.ready(&victim, 0, false).await;
    let front = world.gateway.at.front;
    let (own, other) = (world.material.id(5), victim.name().to_owned());

    for topic in [
        format!("s1/{other}/d"),
        format!("s1/{other}/u"),
        format!("s1/{other}/+"),
        "s1/+/u".to_owned(),
        "s1/#".to_owned(),
        "#".to_owned(),
        format!("$share/sealgate/s1/{other}/u"),
        "events/#".to_owned(),
    ] {
        let mut thief = RawSeal::connect(front, world.material.tls(5), own).await;
        thief.subscribe(&topic).await.expect("sent");
        match thief.packet().await {
            None => {}
            Some(Packet::SubAck(ack)) => {
                let refused = ack
                    .return_codes
                    .iter()
                    .all(|code| *code == SubscribeReasonCode::Failure);
                assert!(refused, "{topic} was granted");
                press(&victim).await;
                world.drained(&victim).await;
                assert_eq!(thief.packet_soon().await, None, "{topic} hears something");
            }
            Some(other) => panic!("{topic}: {other:?}"),
        }
    }
    let mut thief = RawSeal::connect(front, world.material.tls(5), own).await;
    let _ = thief.publish(&format!("s1/{other}/u"), b"x").await;
    thief.closed().await;
    press(&victim).await;
    world.drained(&victim).await;
    world
        .agrees_with(&victim.truth().await.expect("a seal"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_that_is_not_the_certificates_is_refused() {
    let world = World::start().await;
    let mut thief = RawSeal::handshake(world.gateway.at.front, world.material.tls(5))
        .await
        .expect("TLS");
    thief.say_connect(world.material.id(6)).await.expect("sent");
    match thief.packet().await {
        None => {}
        Some(Packet::ConnAck(ack)) => {
            assert_ne!(ack.code, rumqttc::mqttbytes::v4::ConnectReturnCode::Success);
        }
        Some(other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_nobody_gets_in() {
    let world = World::start().await;
    let tls = world.material.tls_without_certificate();
    // A client learns of the refusal in the handshake (TLS 1.2) or with its first read (TLS 1.3).
    if let Ok(mut nobody) = RawSeal::handshake(world.gateway.at.front, tls).await {
        let _ = nobody.say_connect(world.material.id(5)).await;
        assert_eq!(nobody.packet().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_not_in_the_fleet_table_is_refused() {
    let world = World::start().await;
    let stranger = tokio::task::spawn_blocking(|| sealgate_tests::material::Material::make(1))
        .await
        .expect("material");
    // Another CA altogether.
    if let Ok(mut raw) = RawSeal::handshake(
        world.gateway.at.front,
        sealgate_tests::material::tls(
            &world.material.path("devices/ca.pem"),
            Some(&stranger.device(0)),
        ),
    )
    .await
    {
        let _ = raw.say_connect(stranger.id(0)).await;
        assert_eq!(raw.packet().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_loses_its_session_at_once_and_for_good() {
    let world = World::start().await;
    let fleet = world.fleet(&[7], 1);
    let seal = fleet.seals()[0].clone();
    world.ready(&seal, 0, false).await;
    press(&seal).await;
    world.drained(&seal).await;

    let path = format!("devices/{}", seal.name());
    world
        .api
        .post(&format!("{path}/revoke"), json!({ "reason": "stolen" }))
        .await;
    see(&seal, "the session's end", |view| !view.online).await;
    until("shown as gone", || async {
        (world.api.get(&path).await["connected"] == false).then_some(())
    })
    .await;
    // Also with a resumed TLS session, and with a fresh one.
    seal.act(sealgate_simulators::seal::Input::Reset)
        .await
        .expect("a seal");
    seal.power_on().await.expect("a seal");
    let mut raw = RawSeal::handshake(world.gateway.at.front, world.material.tls(7))
        .await
        .expect("TLS itself knows nothing of revocation");
    raw.say_connect(seal.name()).await.expect("sent");
    match raw.packet().await {
        None => {}
        Some(Packet::ConnAck(ack)) => {
            assert_ne!(ack.code, rumqttc::mqttbytes::v4::ConnectReturnCode::Success);
        }
        Some(other) => panic!("{other:?}"),
    }
    assert!(!seal.view().await.expect("a seal").online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_of_the_same_device_takes_over() {
    let world = World::start().await;
    let front = world.gateway.at.front;
    let id = world.material.id(8);
    let mut older = RawSeal::connect(front, world.material.tls(8), id).await;
    let mut newer = RawSeal::connect(front, world.material.tls(8), id).await;
    older.closed().await;
    // The newer one is alive: nonsense gets an answer.
    newer
        .publish(&format!("s1/{id}/u"), &[0xff])
        .await
        .expect("sent");
    let answer = newer.message().await.expect("an answer");
    let frame = Frame::decode(&answer.payload).expect("SL/1");
    assert!(matches!(frame.message, Message::Err(_)), "{frame:?}");
}
