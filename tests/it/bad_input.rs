//! Malformed, oversized, replayed, forged and foreign messages over the real front: each gets its error code or a closed
//! session and moves a counter, and a bystander on the same gateway stamps on.

use ed25519_dalek::SigningKey;
use rumqttc::mqttbytes::v4::Packet;
use sealgate_codec::{
    ErrorCode, Message, chain::Head, message::Stamps, record::Entry, statement::Checkpoint,
};
use sealgate_tests::{database::Database, on_both_databases};

use super::rogue::{ROGUE, Scene, frame, hello, record};

on_both_databases!(
    malformed_messages_get_their_codes,
    an_oversized_packet_ends_the_session,
    forged_stamps_are_refused_and_not_stored,
    stamps_of_another_device_are_refused,
    a_replayed_batch_is_acknowledged_again_and_stored_once,
    a_batch_past_a_gap_is_answered_with_the_gap_and_not_stored,
    another_history_of_the_same_seal_is_a_fork_and_never_overwrites,
    messages_that_only_come_down_are_refused_on_the_way_up,
    random_bytes_never_stop_the_gateway,
);

async fn malformed_messages_get_their_codes(database: Database) {
    let scene = Scene::new(database).await;
    let mut raw = scene.greeted().await;
    let good = frame(2, Message::Hello(hello(scene.id, scene.counters)));
    let mut trailing = good.clone();
    trailing.push(0);
    for (payload, code) in [
        (vec![0xff], ErrorCode::Malformed),
        (vec![], ErrorCode::Malformed),
        (good[..good.len() - 3].to_vec(), ErrorCode::Malformed),
        // [200, 1, {}]: a vendor's type.
        (vec![0x83, 0x18, 200, 0x01, 0xa0], ErrorCode::UnknownType),
        (vec![0x81; 64], ErrorCode::Malformed),
    ] {
        scene.refuses(&mut raw, &payload, code).await;
    }
    match scene.say(&mut raw, &trailing).await {
        Some(Message::Err(error)) => {
            assert!(matches!(
                error.code,
                ErrorCode::NotCanonical | ErrorCode::Malformed
            ));
        }
        other => panic!("{other:?}"),
    }
    scene.bystander_is_unharmed().await;
}

async fn an_oversized_packet_ends_the_session(database: Database) {
    let scene = Scene::new(database).await;
    let mut raw = scene.greeted().await;
    let before = scene
        .world
        .api
        .metric("sealgate_packets_rejected_total")
        .await;
    let topic = format!("s1/{}/u", scene.world.material.id(ROGUE));
    let _ = raw.publish(&topic, &vec![0x81; 5_000]).await;
    raw.closed().await;
    let after = scene
        .world
        .api
        .metric("sealgate_packets_rejected_total")
        .await;
    assert!(after > before, "not counted");
    scene.bystander_is_unharmed().await;
}

async fn forged_stamps_are_refused_and_not_stored(database: Database) {
    let scene = Scene::new(database).await;
    let mut raw = scene.greeted().await;
    let wrong_key = SigningKey::from_bytes(&[3; 32]);
    let forged = frame(2, Message::Stamps(scene.stamps(&wrong_key, scene.id, 1, 2)));
    scene.refuses(&mut raw, &forged, ErrorCode::Signature).await;
    assert_eq!(scene.stored().await, 0);
    scene.bystander_is_unharmed().await;
}

async fn stamps_of_another_device_are_refused(database: Database) {
    let scene = Scene::new(database).await;
    let mut raw = scene.greeted().await;
    let victim = scene.world.material.folder.devices[11].id;
    let foreign = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, victim, 1, 1)),
    );
    match scene.say(&mut raw, &foreign).await {
        Some(Message::Err(error)) => assert!(
            matches!(
                error.code,
                ErrorCode::WrongDevice | ErrorCode::Signature | ErrorCode::LogFork
            ),
            "{error:?}"
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        scene.world.records(scene.world.material.id(11)).await.len(),
        0
    );
    assert_eq!(scene.stored().await, 0);
    scene.bystander_is_unharmed().await;
}

async fn a_replayed_batch_is_acknowledged_again_and_stored_once(database: Database) {
    let scene = Scene::new(database).await;
    let mut raw = scene.greeted().await;
    let batch = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, scene.id, 1, 3)),
    );
    for _ in 0..3 {
        match scene.say(&mut raw, &batch).await {
            Some(Message::LogAck(ack)) => assert_eq!(ack.upto, 4),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(scene.stored().await, 3);
    let mut later = scene.greeted().await;
    assert!(matches!(
        scene.say(&mut later, &batch).await,
        Some(Message::LogAck(_))
    ));
    assert_eq!(scene.stored().await, 3);
    scene.bystander_is_unharmed().await;
}

async fn a_batch_past_a_gap_is_answered_with_the_gap_and_not_stored(database: Database) {
    let scene = Scene::new(database).await;
    let mut raw = scene.greeted().await;
    let early = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, scene.id, 5, 2)),
    );
    match scene.say(&mut raw, &early).await {
        Some(Message::LogAck(ack)) => {
            assert_eq!(ack.upto, 1);
            assert_eq!((ack.gaps[0].start, ack.gaps[0].count), (1, 4));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.stored().await, 0);
    scene.bystander_is_unharmed().await;
}

async fn another_history_of_the_same_seal_is_a_fork_and_never_overwrites(database: Database) {
    let scene = Scene::new(database).await;
    let mut raw = scene.greeted().await;
    let first = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, scene.id, 1, 2)),
    );
    assert!(matches!(
        scene.say(&mut raw, &first).await,
        Some(Message::LogAck(_))
    ));
    let before = scene.world.records(scene.world.material.id(ROGUE)).await;

    let mut other = record(1);
    other.up = 77;
    let mut head = Head::genesis(scene.id, 0);
    let prev = head.prefix();
    let entry = Entry::new(other);
    head = head.extend(&entry.bytes);
    let checkpoint = Checkpoint {
        dev: scene.id,
        epoch: 0,
        next: 2,
        head,
        boot: 1,
        up: 100,
    };
    let fork = frame(
        3,
        Message::Stamps(Stamps {
            epoch: 0,
            first: 1,
            records: vec![entry],
            prev,
            checkpoint: checkpoint.sign(&scene.log_key),
            more: None,
        }),
    );
    scene.refuses(&mut raw, &fork, ErrorCode::LogFork).await;
    assert_eq!(
        scene.world.records(scene.world.material.id(ROGUE)).await,
        before
    );
    assert!(scene.world.api.metric("sealgate_log_forks_total").await >= 1.0);
    scene.bystander_is_unharmed().await;
}

async fn messages_that_only_come_down_are_refused_on_the_way_up(database: Database) {
    let scene = Scene::new(database).await;
    let mut raw = scene.greeted().await;
    let down = frame(2, Message::Cmd(vec![0x80]));
    match scene.say(&mut raw, &down).await {
        Some(Message::Err(_)) | None => {}
        other => panic!("{other:?}"),
    }
    scene.bystander_is_unharmed().await;
}

async fn random_bytes_never_stop_the_gateway(database: Database) {
    use rand::{Rng as _, RngCore as _};
    let seed = sealgate_tests::seed::seed("random_bytes_never_stop_the_gateway");
    let mut rng = sealgate_tests::seed::rng(seed);
    let scene = Scene::new(database).await;
    let good = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, scene.id, 1, 5)),
    );
    for round in 0..60 {
        let mut raw = scene.rogue().await;
        for _ in 0..10 {
            let mut payload = good.clone();
            if round % 2 == 0 {
                payload = vec![0; rng.random_range(0..400)];
                rng.fill_bytes(&mut payload);
            } else {
                let at = rng.random_range(0..payload.len());
                payload[at] ^= 1 << rng.random_range(0..8);
            }
            let topic = format!("s1/{}/u", scene.world.material.id(ROGUE));
            if raw.publish(&topic, &payload).await.is_err() {
                break;
            }
        }
        let _ = raw.send(&Packet::Disconnect).await;
    }
    assert_eq!(
        scene.world.api.metric("sealgate_task_panics_total").await,
        0.0
    );
    scene.bystander_is_unharmed().await;
}
