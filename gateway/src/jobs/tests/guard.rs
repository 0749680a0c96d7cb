//! Who may have a session, and for how long.

use std::time::Duration;

use sealgate_codec::{Message, message::Status};
use sealgate_domain::{Millis, device::Life};

use super::world::{Seal, World};
use crate::{
    app::Actor,
    devices::link::{CloseReason, Downlink, LinkKind, Refusal, UplinkLane},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_registered_certificate_of_a_known_seal_in_service_opens_a_session() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let unknown = Seal::new(9);
    let refusal = world.open(&unknown, LinkKind::Mqtt).await.err();
    assert_eq!(refusal, Some(Refusal::NotAuthorized));
    let good = seal.certificate;
    seal.certificate = [0; 32];
    let refusal = world.open(&seal, LinkKind::Mqtt).await.err();
    assert_eq!(refusal, Some(Refusal::NotAuthorized));
    seal.certificate = good;
    world
        .change(&seal, |row| row.life = Life::Retired.as_str().to_owned())
        .await;
    let refusal = world.open(&seal, LinkKind::Mqtt).await.err();
    assert_eq!(refusal, Some(Refusal::Retired));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_session_takes_over_and_the_older_is_told() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut old, _) = world.greeted(&mut seal).await;
    let (new, _) = world.greeted(&mut seal).await;
    assert_eq!(old.close_reason().await, CloseReason::TakenOver);
    assert!(old.session.closed.is_cancelled());
    assert!(new.session.term > old.session.term);
    assert!(!new.session.closed.is_cancelled());
    let connected = || async { world.report(&seal).await.connected };
    world
        .eventually("the seal counts as connected", connected)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_ends_the_session_at_once_and_keeps_the_seal_out() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    world.change(&seal, |row| row.revoked_at = Some(1)).await;
    assert_eq!(link.close_reason().await, CloseReason::NotAuthorized);
    let refusal = world.open(&seal, LinkKind::Mqtt).await.err();
    assert_eq!(refusal, Some(Refusal::NotAuthorized));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_counts_from_its_first_session_and_the_old_one_until_then() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (old, new) = (seal.certificate, [0xaa; 32]);
    let (until, cli) = (Millis(4_000_000_000_000), Actor::cli());
    let renewed = world.app.renew_certificate(&cli, seal.id, new, until);
    renewed.await.unwrap();
    let (mut link, _) = world.greeted(&mut seal).await;
    assert_eq!(world.device(&seal).await.cert_fingerprint, old);
    seal.certificate = new;
    world.greeted(&mut seal).await;
    let ends = [CloseReason::TakenOver, CloseReason::NotAuthorized];
    assert!(ends.contains(&link.close_reason().await));
    let row = world.device(&seal).await;
    assert_eq!(
        (row.cert_fingerprint, row.cert_not_after),
        (new.to_vec(), Some(until.0))
    );
    assert_eq!(row.next_cert_fingerprint, None);
    seal.certificate = old;
    let refusal = world.open(&seal, LinkKind::Mqtt).await.err();
    assert_eq!(refusal, Some(Refusal::NotAuthorized));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_seals_with_one_certificate_are_found_out() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    for boot in [9, 3, 9, 3] {
        seal.boot = boot;
        world.greeted(&mut seal).await;
    }
    assert_eq!(world.device(&seal).await.life, Life::Suspended.as_str());
    assert!(world.alarms(&seal).await.contains(&"two_seals".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_messages_slow_the_seal_down_and_lose_nothing() {
    let world = World::with(|config| {
        config.front.device_rate = 100;
        config.front.device_burst = 5;
    })
    .await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    link.accepted(1).await;
    let began = world.app.clock.monotonic();
    let batches: Vec<_> = (0..30).map(|_| seal.press(1)).collect();
    let uplink = link.session.uplink.clone();
    let sending = crate::tasks::spawn("sender", async move {
        for (mid, batch) in (10u16..).zip(batches) {
            let frame = sealgate_codec::Frame::new(mid, Message::Stamps(batch));
            uplink
                .send(UplinkLane::Reliable, frame.encode().into())
                .await
                .unwrap();
        }
    });
    while link.accepted < 31 {
        match link.next().await {
            Some(Downlink::Accepted) => link.accepted += 1,
            Some(Downlink::Payload { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    sending.await.unwrap();
    assert_eq!(world.stored(&seal).await.len(), 30);
    let took = world.app.clock.monotonic() - began;
    assert!(
        took >= Duration::from_millis(200),
        "never faster than allowed: {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_is_kept_and_a_lost_link_is_a_disconnected_seal() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let status = Status {
        up: 100,
        batt: 42,
        position: Some(sealgate_codec::record::Position {
            lat_e7: 311_000_000,
            lon_e7: 1_214_000_000,
            accuracy: 20,
        }),
        rssi: None,
        facts: None,
        fill: 3,
        counted: Some([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
    };
    link.send(UplinkLane::Telemetry, Message::Status(status))
        .await;
    let known = || async { world.report(&seal).await.battery == Some(42) };
    world.eventually("the battery is known", known).await;
    let report = world.report(&seal).await;
    assert_eq!((report.lat_e7, report.connected), (Some(311_000_000), true));
    link.lose().await;
    let gone = || async { !world.report(&seal).await.connected };
    world.eventually("the seal is disconnected", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_settles_what_is_under_way_and_refuses_the_rest() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    link.say(Message::Stamps(seal.press(7))).await;
    link.log_ack().await;
    let devices = world.devices.clone();
    let draining = crate::tasks::spawn("drain", async move { devices.drain().await });
    assert_eq!(link.close_reason().await, CloseReason::Draining);
    draining.await.unwrap();
    assert_eq!(link.accepted, 2);
    let refusal = world.open(&seal, LinkKind::Mqtt).await.err();
    assert_eq!(refusal, Some(Refusal::Unavailable));
    assert!(!world.report(&seal).await.connected);
    world.jobs.stop().await;
}
