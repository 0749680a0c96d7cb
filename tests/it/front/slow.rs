//! Peers that take their time, on every layer.

use std::time::Duration;

use sealgate::{devices::link::LinkEnd, ingress::stats::Count};
use tokio::io::AsyncWriteExt as _;

use super::support::{Client, Heard, Mqtt, Scene, connect_bytes, id, raw_tcp, until};

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_give_way_to_others() {
    let mut scene = Scene::with(|config| {
        config.handshakes = 2;
        config.handshake_timeout = Duration::from_secs(10);
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..6 {
        let mut socket = raw_tcp(scene.address()).await;
        // A TLS record header that promises more than ever comes.
        socket
            .write_all(&[0x16, 3, 1, 2, 0, 1])
            .await
            .expect("sent");
        slow.push(socket);
    }
    scene.others_are_served().await;
    assert!(
        scene.count(Count::HandshakeTimeout) >= 1,
        "impatience, not the whole timeout"
    );
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_byte_by_byte_ends_at_its_deadline() {
    let mut scene = Scene::with(|config| config.handshake_timeout = Duration::from_secs(1)).await;
    let mut socket = raw_tcp(scene.address()).await;
    socket.write_all(&[0x16, 3, 1, 2, 0]).await.expect("sent");
    let drip = async {
        while socket.write_all(&[1]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(drip, scene.others_are_served());
    scene.counted(Count::HandshakeTimeout, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_finishes_connect_is_closed() {
    let mut scene = Scene::with(|config| config.connect_timeout = Duration::from_millis(500)).await;
    let papers = scene.fleet.issue(id(1));
    let mut mute = Client::shake(scene.address(), &papers, Mqtt::V4).await;
    let mut half = Client::shake(scene.address(), &papers, Mqtt::V4).await;
    half.send(&connect_bytes(Mqtt::V4, &id(1).to_string(), 60)[..9])
        .await;
    scene.others_are_served().await;
    assert!(mute.is_closed().await.is_empty());
    assert!(half.is_closed().await.is_empty());
    assert_eq!(scene.count(Count::ConnectTimeout), 2);
    assert!(scene.host.identities(id(1)).is_empty(), "nobody was opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_at_a_time_is_slow_but_fine() {
    let scene = Scene::new().await;
    let papers = scene.fleet.issue(id(1));
    for mqtt in [Mqtt::V4, Mqtt::V5] {
        let mut seal = Client::shake(scene.address(), &papers, mqtt).await;
        let mut bytes = connect_bytes(mqtt, &id(1).to_string(), 60).to_vec();
        bytes.extend_from_slice(&seal.publish_bytes(&seal.topic('u'), 0, b"down:ok"));
        for byte in bytes {
            seal.send(&[byte]).await;
        }
        assert_eq!(seal.hear().await, Some(Heard::ConnAck(0)));
        assert_eq!(&seal.message().await.1[..], b"ok");
        seal.reset();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stops_reading_is_closed_and_nobody_waits_for_it() {
    let mut scene = Scene::with(|config| {
        config.write_timeout = Duration::from_secs(1);
        config.device_rate = 1_000_000;
        config.device_burst = 1_000_000;
    })
    .await;
    let mut deaf = scene.client(1, Mqtt::V4).await;
    let large = format!("block:{}", "x".repeat(4_000));
    let topic = deaf.topic('u');
    // Far more than all buffers on the way hold.
    let flood = async {
        for _ in 0..10_000 {
            let bytes = deaf.publish_bytes(&topic, 0, large.as_bytes());
            if deaf.try_send(&bytes).await.is_err() {
                return;
            }
        }
    };
    let ends = scene.host.clone();
    let closed = until("it is closed", || ends.ends(id(1)) == [LinkEnd::Lost]);
    tokio::select! {
        () = closed => {}
        () = async { flood.await; std::future::pending::<()>().await } => {}
    }
    scene.others_are_served().await;
    assert_eq!(scene.count(Count::WriteTimeout), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_peer_is_found_by_its_silence_and_replaced_by_itself() {
    let mut scene = Scene::new().await;
    // It vanished without a word: the socket stays, nobody answers.
    let ghost = scene.client(1, Mqtt::V4).await;
    let mut again = scene.client(1, Mqtt::V4).await;
    again.roundtrip().await;
    until("the ghost is gone", || scene.front.stats().sessions() == 2).await;
    drop(ghost);
    scene.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_packet_and_a_closed_direction_end_the_session() {
    let scene = Scene::new().await;
    let mut seal = scene.client(1, Mqtt::V4).await;
    let bytes = seal.publish_bytes(&seal.topic('u'), 0, b"never whole");
    seal.send(&bytes[..10]).await;
    drop(seal);
    until("the end", || scene.host.ends(id(1)) == [LinkEnd::Lost]).await;
    assert!(scene.host.received(id(1)).is_empty());
}
