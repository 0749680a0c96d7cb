//! Eight ways that kill or stall an embedded router exposed to a network. Here each costs its author a session at
//! most: a bystander is served throughout, and a newcomer gets in.

use std::time::Duration;

use sealgate::ingress::stats::Count;

use super::support::{Client, Heard, Mqtt, Scene, connect_bytes, id};

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_starts_with_a_non_ascii_character_ends_only_its_session() {
    let mut scene = Scene::new().await;
    for mqtt in [Mqtt::V4, Mqtt::V5] {
        let mut attacker = scene.client(1, mqtt).await;
        attacker.publish("é/x", 1, b"boom").await;
        let said = attacker.is_closed().await;
        let told = if mqtt == Mqtt::V5 {
            vec![Heard::Disconnect(0x87)]
        } else {
            vec![]
        };
        assert_eq!(said, told);
        scene.others_are_served().await;
    }
    assert_eq!(scene.count(Count::ForeignTopic), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_client_ids_are_refused() {
    let mut scene = Scene::new().await;
    let own = id(1).to_string();
    let upper = own.to_uppercase();
    let long = "x".repeat(3_000);
    let other = id(2).to_string();
    let odd = [
        "a/b",
        "+",
        "#",
        "$SYS",
        "é",
        "\0",
        &upper,
        &long,
        &other,
        &format!("{own} "),
    ];
    let papers = scene.fleet.issue(id(1));
    for (mqtt, code) in [(Mqtt::V4, 2), (Mqtt::V5, 0x85)] {
        for client_id in odd {
            let mut attacker = Client::shake(scene.address(), &papers, mqtt).await;
            attacker.send(&connect_bytes(mqtt, client_id, 60)).await;
            assert_eq!(
                attacker.is_closed().await,
                [Heard::ConnAck(code)],
                "{client_id}"
            );
        }
    }
    scene.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_turns_newcomers_away_and_recovers() {
    let mut scene = Scene::with(|config| config.max_sessions = 8).await;
    let mut crowd = Vec::new();
    for n in 1..=7 {
        crowd.push(scene.client(n, Mqtt::V4).await);
    }
    for _ in 0..20 {
        let papers = scene.fleet.issue(id(50));
        let refused = Client::handshake(scene.address(), papers.tls, String::new()).await;
        assert!(refused.is_err(), "no slot, no handshake");
    }
    assert!(scene.count(Count::RefusedFull) >= 20);
    for seal in &mut crowd {
        seal.roundtrip().await;
    }
    let leaver = crowd.pop().expect("somebody");
    leaver.disconnect().await;
    scene.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_reset_in_a_loop_leaks_nothing() {
    let mut scene = Scene::with(|config| config.max_sessions = 16).await;
    let papers = scene.fleet.issue(id(1));
    for round in 0..60 {
        let mut attacker = Client::shake(scene.address(), &papers, Mqtt::V5).await;
        let connect = connect_bytes(Mqtt::V5, &id(1).to_string(), 60);
        // At every point: before CONNECT, in the middle of it, right behind it, in a session.
        match round % 4 {
            0 => {}
            1 => attacker.send(&connect[..connect.len() / 2]).await,
            2 => attacker.send(&connect).await,
            _ => {
                attacker.send(&connect).await;
                attacker.hear().await;
                let half = attacker.publish_bytes(&attacker.topic('u'), 0, &[1; 500]);
                attacker.send(&half[..200]).await;
            }
        }
        attacker.reset();
    }
    scene.others_are_served().await;
    super::support::until("sessions end", || scene.front.stats().sessions() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_seal_may_disconnect_at_any_moment() {
    let mut scene = Scene::new().await;
    for mqtt in [Mqtt::V4, Mqtt::V5] {
        for _ in 0..10 {
            let mut busy = scene.client(1, mqtt).await;
            for _ in 0..20 {
                busy.publish(&busy.topic('u'), 1, b"down:more").await;
            }
            // Acknowledgements and messages are on their way, and stay unread.
            let _ = busy.try_send(&[0xE0, 0]).await;
            busy.reset();
        }
        scene.others_are_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_subscriptions_and_wildcards_are_refused() {
    let mut scene = Scene::new().await;
    for (mqtt, code) in [(Mqtt::V4, 0x80), (Mqtt::V5, 0x87)] {
        let mut attacker = scene.client(1, mqtt).await;
        let own = attacker.topic('d');
        let other = format!("s1/{}/d", id(2));
        for filter in [
            "$share/g/s1/+/d",
            &format!("$share/g/{own}"),
            "#",
            "+/+/d",
            "s1/+/d",
            "$SYS/#",
            &other,
        ] {
            assert_eq!(attacker.subscribe(filter, 1).await, [code], "{filter}");
        }
        assert_eq!(attacker.subscribe(&own, 1).await, [1]);
        attacker.roundtrip().await;
        attacker.disconnect().await;
    }
    scene.others_are_served().await;
    assert_eq!(scene.count(Count::SubscribeRefused), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsubscribing_leaks_no_place() {
    let mut scene = Scene::with(|config| config.max_sessions = 8).await;
    for _ in 0..30 {
        let mut attacker = scene.client(1, Mqtt::V5).await;
        let own = attacker.topic('d');
        assert_eq!(
            attacker.unsubscribe(&own).await,
            [0x87],
            "it belongs to the session"
        );
        assert_eq!(attacker.unsubscribe("nothing").await, [0x87]);
        attacker.disconnect().await;
    }
    scene.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_nobody_waiting() {
    let mut scene = Scene::with(|config| config.handshakes = 2).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(super::support::raw_tcp(scene.address()).await);
    }
    scene.others_are_served().await;
    scene.counted(Count::HandshakeTimeout, 50).await;
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_takeovers_ends_with_one_session() {
    let mut scene = Scene::new().await;
    let papers = scene.fleet.issue(id(1));
    let address = scene.address();
    let storm = (0..40).map(|n| {
        let papers = papers.clone();
        let mqtt = if n % 2 == 0 { Mqtt::V4 } else { Mqtt::V5 };
        async move { Client::open(address, &papers, mqtt).await }
    });
    let mut seals = futures_util::future::join_all(storm).await;
    scene.others_are_served().await;
    super::support::until("one is left", || scene.front.stats().sessions() == 2).await;
    let mut alive = 0;
    for seal in &mut seals {
        let _ = seal.try_send(&[0xC0, 0]).await;
        while let Some(heard) = seal.hear_within(Duration::from_secs(5)).await {
            if heard == Heard::PingResp {
                alive += 1;
                break;
            }
        }
    }
    assert_eq!(alive, 1);
}
