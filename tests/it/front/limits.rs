//! Broken packets, foreign topics, sizes and rates.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sealgate::{devices::link::LinkEnd, ingress::stats::Count};

use super::support::{Client, Heard, Mqtt, Scene, connect_bytes, id, until};

#[tokio::test(flavor = "multi_thread")]
async fn foreign_topics_end_the_session() {
    let mut scene = Scene::new().await;
    let other = id(2);
    for topic in [
        format!("s1/{other}/u"),
        format!("s1/{}/d", id(1)),
        format!("s1/{}/u/x", id(1)),
        format!("s1/{}/+", id(1)),
        "$SYS/x".to_owned(),
        "events/x/stamp".to_owned(),
        String::new(),
        "a\0b".to_owned(),
    ] {
        for mqtt in [Mqtt::V4, Mqtt::V5] {
            let mut attacker = scene.client(1, mqtt).await;
            attacker.publish(&topic, 1, b"mine").await;
            attacker.is_closed().await;
        }
    }
    assert_eq!(scene.count(Count::ForeignTopic), 16);
    assert!(scene.host.received(id(1)).is_empty() && scene.host.received(other).is_empty());
    assert!(
        scene
            .host
            .ends(id(1))
            .iter()
            .all(|end| *end == LinkEnd::Violation)
    );
    scene.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_break_a_rule_end_the_session_with_its_reason() {
    let mut scene = Scene::new().await;
    let topic = format!("s1/{}/u", id(1));
    let publish = |first: u8| {
        let mut bytes = vec![first, 23, 0, 18];
        bytes.extend_from_slice(topic.as_bytes());
        bytes.extend_from_slice(&[0, 7, 0]);
        bytes
    };
    let table: Vec<(&str, Vec<u8>, u8)> = vec![
        ("QoS 2", publish(0x34), 0x9B),
        ("QoS 3", publish(0x36), 0x81),
        ("retained", publish(0x33), 0x9A),
        (
            "a second CONNECT",
            connect_bytes(Mqtt::V5, "", 1).to_vec(),
            0x82,
        ),
        ("a server's packet", vec![0x20, 3, 0, 0, 0], 0x82),
        ("PUBREL", vec![0x62, 2, 0, 1], 0x82),
        ("AUTH", vec![0xF0, 0], 0x82),
        ("type 0", vec![0x00, 0], 0x81),
        ("flags", vec![0xC1, 0], 0x81),
        (
            "an endless length",
            vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            0x81,
        ),
        ("too large", vec![0x30, 0xFF, 0xFF, 0x7F], 0x95),
        ("just too large", vec![0x30, 0xFE, 0x21], 0x95),
        (
            "a string beyond the packet",
            vec![0x30, 4, 0, 9, b'x', b'y'],
            0x81,
        ),
        ("subscribe to nothing", vec![0x82, 3, 0, 1, 0], 0x81),
        ("packet id 0", vec![0x82, 7, 0, 0, 0, 0, 1, b'x', 0], 0x81),
        ("alias 0", alias(&topic, 0), 0x94),
        ("alias 4", alias(&topic, 4), 0x94),
        ("an unknown alias", alias("", 2), 0x82),
    ];
    for (what, bytes, reason) in table {
        let mut attacker = scene.client(1, Mqtt::V5).await;
        attacker.send(&bytes).await;
        assert_eq!(
            attacker.is_closed().await,
            [Heard::Disconnect(reason)],
            "{what}"
        );
    }
    assert!(scene.host.received(id(1)).is_empty());
    scene.others_are_served().await;
}

/// A PUBLISH with a topic alias.
fn alias(topic: &str, alias: u8) -> Vec<u8> {
    let length = u8::try_from(topic.len()).expect("short");
    let mut bytes = vec![0x30, 2 + length + 4, 0, length];
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&[3, 0x23, 0, alias]);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_packet_passes_and_one_byte_more_does_not() {
    let scene = Scene::new().await;
    let largest = vec![7; 4_352 - 3 - 2 - 18 - 2];
    let mut seal = scene.client(1, Mqtt::V4).await;
    let sent = seal.publish(&seal.topic('u'), 1, &largest).await;
    assert_eq!(seal.hear().await, Some(Heard::PubAck(sent)));
    let mut larger = largest;
    larger.push(7);
    seal.publish(&seal.topic('u'), 1, &larger).await;
    assert!(seal.is_closed().await.is_empty());
    assert_eq!(scene.count(Count::PacketTooLarge), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_never_gets_a_packet_larger_than_it_takes() {
    let scene = Scene::new().await;
    let papers = scene.fleet.issue(id(1));
    let mut seal = Client::shake(scene.address(), &papers, Mqtt::V5).await;
    // CONNECT with maximum packet size 60.
    seal.send(b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3c\x05\x27\x00\x00\x00\x3c\x00\x00")
        .await;
    assert_eq!(seal.hear().await, Some(Heard::ConnAck(0)));
    let long = format!("down:{}", "x".repeat(100));
    let sent = seal.publish(&seal.topic('u'), 1, long.as_bytes()).await;
    assert_eq!(seal.hear().await, Some(Heard::PubAck(sent)));
    seal.publish(&seal.topic('u'), 0, b"down:short").await;
    assert_eq!(&seal.message().await.1[..], b"short");
    assert_eq!(scene.count(Count::TooLargeForClient), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_after_connect_end_only_their_session() {
    let mut scene = Scene::new().await;
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..60 {
        let mqtt = if round % 2 == 0 { Mqtt::V4 } else { Mqtt::V5 };
        let mut attacker = scene.client(1, mqtt).await;
        let mut bytes = vec![0u8; random.random_range(1..3_000)];
        random.fill(&mut bytes[..]);
        if round % 3 == 0 {
            // Well framed, wrong inside.
            bytes.truncate(120);
            bytes[0] = [0x30, 0x32, 0x82, 0xA2, 0x40][random.random_range(0..5)];
            if bytes.len() > 1 {
                bytes[1] = u8::try_from(bytes.len() - 2).expect("short");
            }
        }
        let _ = attacker.try_send(&bytes).await;
        attacker.reset();
    }
    scene.others_are_served().await;
    until("sessions end", || scene.front.stats().sessions() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_than_connect_first_is_closed() {
    let mut scene = Scene::new().await;
    let papers = scene.fleet.issue(id(1));
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x30\x03\x00\x01x",
        b"\xC0\x00",
        b"\x10\xFF\xFF\xFF\x7F",
        b"\x10\x0c\x00\x04XXXX\x04\x02\x00\x3c\x00\x00",
        b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00",
        b"\x10\x02\x00\x04",
    ] {
        let mut attacker = Client::shake(scene.address(), &papers, Mqtt::V4).await;
        attacker.send(bytes).await;
        assert!(attacker.is_closed().await.is_empty());
    }
    assert_eq!(scene.count(Count::ConnectMalformed), 7);
    // An older level is told what is wrong.
    for bytes in [
        &b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00"[..],
        b"\x10\x0c\x00\x04MQTT\x06\x02\x00\x3c\x00\x00",
    ] {
        let mut old = Client::shake(scene.address(), &papers, Mqtt::V4).await;
        old.send(bytes).await;
        assert_eq!(old.is_closed().await, [Heard::ConnAck(1)]);
    }
    scene.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_sends_too_fast_is_slowed_and_loses_nothing() {
    let mut scene = Scene::with(|config| {
        config.device_rate = 100;
        config.device_burst = 20;
    })
    .await;
    let mut fast = scene.client(1, Mqtt::V4).await;
    for n in 0..60u8 {
        fast.publish(&fast.topic('u'), 1, &[n]).await;
    }
    scene.counted(Count::Throttled, 1).await;
    scene.others_are_served().await;
    for n in 1..=60 {
        assert_eq!(fast.hear().await, Some(Heard::PubAck(n)));
    }
    assert_eq!(scene.host.received(id(1)).len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn version_5_may_not_exceed_the_receive_maximum() {
    let scene = Scene::with(|config| config.receive_maximum = 2).await;
    let mut seal = scene.client(1, Mqtt::V5).await;
    scene.host.hold(true);
    for _ in 0..3 {
        seal.publish(&seal.topic('u'), 1, b"x").await;
    }
    assert_eq!(seal.is_closed().await, [Heard::Disconnect(0x93)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_never_acknowledges_is_closed() {
    let scene = Scene::with(|config| config.ack_timeout = Duration::from_millis(300)).await;
    let mut seal = scene.client(1, Mqtt::V5).await;
    seal.publish(&seal.topic('u'), 0, b"down:x").await;
    seal.message().await;
    assert_eq!(seal.is_closed().await, [Heard::Disconnect(0x98)]);
    assert_eq!(scene.count(Count::AckTimeout), 1);
}
