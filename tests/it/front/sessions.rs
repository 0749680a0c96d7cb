//! What an honest seal gets.

use std::time::Duration;

use sealgate::{
    devices::link::{CloseReason, DownlinkLane, LinkEnd, Refusal},
    ingress::stats::Count,
};

use super::support::{Client, Heard, Mqtt, Scene, connect_bytes, id, until};

const BOTH: [Mqtt; 2] = [Mqtt::V4, Mqtt::V5];

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_sends_and_receives_in_both_versions() {
    let scene = Scene::new().await;
    for (n, mqtt) in (1..).zip(BOTH) {
        let mut seal = scene.client(n, mqtt).await;
        let sent = seal.publish(&seal.topic('u'), 1, b"down:lock").await;
        assert_eq!(seal.hear().await, Some(Heard::PubAck(sent)));
        let (topic, payload, packet) = seal.message().await;
        assert_eq!((topic, &payload[..]), (seal.topic('d'), &b"lock"[..]));
        assert_ne!(packet, 0, "commands come with QoS 1");
        seal.puback(packet).await;
        let sent = seal.publish(&seal.topic('w'), 1, b"block:x").await;
        assert_eq!(seal.hear().await, Some(Heard::PubAck(sent)));
        let (topic, _, packet) = seal.message().await;
        assert_eq!(
            (topic, packet),
            (seal.topic('b'), 0),
            "blocks come with QoS 0"
        );
        seal.publish(&seal.topic('t'), 0, b"status").await;
        seal.ping().await;
        seal.disconnect().await;
        until("the end", || {
            scene.host.ends(id(n)) == [LinkEnd::Disconnected]
        })
        .await;
        assert_eq!(scene.host.received(id(n)).len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_right_behind_connect_is_not_lost() {
    let scene = Scene::new().await;
    for (n, mqtt) in (1..).zip(BOTH) {
        let mut seal = Client::shake(scene.address(), &scene.fleet.issue(id(n)), mqtt).await;
        let mut bytes = connect_bytes(mqtt, &id(n).to_string(), 60).to_vec();
        let hello = seal.publish_bytes(&seal.topic('u'), 0, b"down:hello-ack");
        bytes.extend_from_slice(&hello);
        seal.send(&bytes).await;
        assert_eq!(seal.hear().await, Some(Heard::ConnAck(0)));
        assert_eq!(&seal.message().await.1[..], b"hello-ack");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_come_in_order_and_only_after_the_session_said_so() {
    let scene = Scene::new().await;
    let mut seal = scene.client(1, Mqtt::V4).await;
    scene.host.hold(true);
    let mut sent = Vec::new();
    for n in 0..3u8 {
        sent.push(seal.publish(&seal.topic('u'), 1, &[n]).await);
    }
    // Needs no commit, but is younger than the three.
    sent.push(seal.publish(&seal.topic('t'), 1, b"status").await);
    assert_eq!(seal.hear_within(Duration::from_millis(200)).await, None);
    scene.host.hold(false);
    for id in sent {
        assert_eq!(seal.hear().await, Some(Heard::PubAck(id)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_session_slows_its_seal_and_nothing_is_lost() {
    let scene = Scene::with(|config| {
        config.device_burst = 1_000;
        config.max_keep_alive = Duration::from_secs(1);
    })
    .await;
    let mut seal = scene.client(1, Mqtt::V4).await;
    scene.host.hold(true);
    for n in 0..500u16 {
        seal.publish(&seal.topic('u'), 1, &n.to_be_bytes()).await;
    }
    // Longer than keep-alive allows: but the one who does not read is the front.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        scene.host.received(id(1)).len() < 100,
        "the rest waits in front of the door"
    );
    scene.host.hold(false);
    for n in 1..=500u16 {
        assert_eq!(seal.hear().await, Some(Heard::PubAck(n)));
    }
    let received = scene.host.received(id(1));
    assert!(
        received
            .iter()
            .map(|p| &p[..])
            .eq((0..500u16).map(u16::to_be_bytes).collect::<Vec<_>>().iter())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_in_flight_are_bounded_and_the_rest_follows() {
    let scene = Scene::with(|config| config.in_flight = 2).await;
    let mut seal = scene.client(1, Mqtt::V5).await;
    for n in 0..5 {
        scene
            .host
            .push(id(1), DownlinkLane::Reliable, &format!("{n}"))
            .await;
    }
    let (first, second) = (seal.message().await, seal.message().await);
    assert_eq!((&first.1[..], &second.1[..]), (&b"0"[..], &b"1"[..]));
    assert_eq!(seal.hear_within(Duration::from_millis(200)).await, None);
    seal.puback(first.2).await;
    assert_eq!(&seal.message().await.1[..], b"2");
    seal.puback(second.2).await;
    assert_eq!(&seal.message().await.1[..], b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_5_learns_our_limits_and_may_use_topic_aliases() {
    let scene = Scene::new().await;
    let papers = scene.fleet.issue(id(1));
    let mut seal = Client::shake(scene.address(), &papers, Mqtt::V5).await;
    // CONNECT without a client id, no keep-alive, topic alias maximum 2.
    let connect = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x03\x22\x00\x02\x00\x00";
    seal.send(connect).await;
    assert_eq!(seal.hear().await, Some(Heard::ConnAck(0)));
    let welcome = seal.welcome.take().expect("properties");
    assert_eq!(welcome.assigned_client_identifier, Some(id(1).to_string()));
    assert_eq!(welcome.max_packet_size, Some(4_352));
    assert_eq!(
        (welcome.max_qos, welcome.retain_available),
        (Some(1), Some(0))
    );
    assert_eq!(welcome.shared_subscription_available, Some(0));
    assert_eq!(welcome.server_keep_alive, Some(1_200));
    assert_eq!(welcome.session_expiry_interval, Some(0));
    // Up: define alias 1 for `u`, then use it.
    let topic = seal.topic('u');
    let mut define = vec![0x30, 2 + 18 + 4 + 6, 0, 18];
    define.extend_from_slice(topic.as_bytes());
    define.extend_from_slice(b"\x03\x23\x00\x01down:a");
    seal.send(&define).await;
    seal.send(b"\x30\x0c\x00\x00\x03\x23\x00\x01down:b").await;
    let first = seal.hear().await;
    assert!(
        matches!(first, Some(Heard::Message { topic, alias: Some(1), .. }) if !topic.is_empty())
    );
    let second = seal.hear().await;
    assert!(
        matches!(second, Some(Heard::Message { topic, alias: Some(1), .. }) if topic.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_each_version() {
    let scene = Scene::new().await;
    let table = [
        (Refusal::NotAuthorized, 5, 0x87),
        (Refusal::Retired, 5, 0x8A),
        (Refusal::Busy(Duration::from_secs(9)), 3, 0x89),
        (Refusal::Unavailable, 3, 0x88),
    ];
    let papers = scene.fleet.issue(id(1));
    for (refusal, four, five) in table {
        scene.host.refuse(id(1), refusal);
        for (mqtt, code) in [(Mqtt::V4, four), (Mqtt::V5, five)] {
            let mut seal = Client::shake(scene.address(), &papers, mqtt).await;
            let mut bytes = connect_bytes(mqtt, &id(1).to_string(), 60).to_vec();
            // The answer must survive what was pipelined behind the question.
            bytes.extend_from_slice(&seal.publish_bytes(&seal.topic('u'), 0, &[7; 4_000]));
            seal.send(&bytes).await;
            assert_eq!(
                seal.is_closed().await,
                [Heard::ConnAck(code)],
                "{refusal:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_takes_over_and_the_older_one_is_told() {
    let scene = Scene::new().await;
    let mut older = scene.client(1, Mqtt::V5).await;
    let mut newer = scene.client(1, Mqtt::V4).await;
    assert_eq!(older.is_closed().await, [Heard::Disconnect(0x8E)]);
    newer.roundtrip().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_seal_is_told_and_closed() {
    let scene = Scene::new().await;
    let mut seal = scene.client(1, Mqtt::V5).await;
    scene.host.close(id(1), CloseReason::NotAuthorized).await;
    assert_eq!(seal.is_closed().await, [Heard::Disconnect(0x87)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_beyond_keep_alive_ends_a_session_and_pings_keep_it() {
    let scene = Scene::with(|config| config.max_keep_alive = Duration::from_secs(1)).await;
    let mut quiet = scene.client(1, Mqtt::V5).await;
    let mut alive = scene.client(2, Mqtt::V5).await;
    // What we send to the quiet one does not count as its life.
    scene.host.push(id(1), DownlinkLane::Block, "x").await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        alive.ping().await;
    }
    let said = quiet.is_closed().await;
    assert_eq!(said.last(), Some(&Heard::Disconnect(0x8D)));
    alive.ping().await;
    until("the end", || scene.host.ends(id(1)) == [LinkEnd::Lost]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_owed_and_says_goodbye() {
    let scene = Scene::new().await;
    let mut seal = scene.client(1, Mqtt::V5).await;
    scene.host.hold(true);
    let sent = seal.publish(&seal.topic('u'), 1, b"last").await;
    scene.counted(Count::MessagesUp, 1).await;
    let front = scene.front.clone();
    let draining = sealgate::tasks::spawn("drain", async move {
        front.drain(Duration::from_secs(15)).await
    });
    assert_eq!(seal.hear_within(Duration::from_millis(200)).await, None);
    scene.host.hold(false);
    let said = seal.is_closed().await;
    assert_eq!(said, [Heard::PubAck(sent), Heard::Disconnect(0x8B)]);
    assert!(draining.await.unwrap(), "every session ended");
    assert!(
        tokio::net::TcpStream::connect(scene.address())
            .await
            .is_err()
    );
    until("the end", || scene.host.ends(id(1)) == [LinkEnd::Draining]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_does_not_wait_for_a_stuck_session_beyond_its_deadline() {
    let scene = Scene::new().await;
    let mut seal = scene.client(1, Mqtt::V5).await;
    scene.host.hold(true);
    seal.publish(&seal.topic('u'), 1, b"never accepted").await;
    scene.counted(Count::MessagesUp, 1).await;
    assert!(scene.front.drain(Duration::from_millis(300)).await);
    assert_eq!(seal.is_closed().await, [Heard::Disconnect(0x8B)]);
}
