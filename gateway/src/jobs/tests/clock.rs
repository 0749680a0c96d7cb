//! The gateway's clock jumps: records and sessions do not care.

use std::sync::Arc;

use sealgate_codec::Message;
use sealgate_domain::Millis;

use super::world::World;
use crate::{
    clock::{Clock, TestClock},
    devices::link::LinkKind,
};

const NOON: Millis = Millis(1_800_000_000_000);
const DAY: i64 = 24 * Millis::HOUR;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_loses_and_doubles_nothing() {
    let clock = Arc::new(TestClock::at(NOON));
    let world = World::by(clock.clone()).await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let mut upto = 1;
    for days in [0, 400, -30, 0] {
        clock.jump(Millis(NOON.0 + days * DAY));
        let batch = seal.press(5);
        upto += 5;
        for _ in 0..2 {
            link.say(Message::Stamps(batch.clone())).await;
            assert_eq!(link.log_ack().await.upto, upto);
        }
    }
    let expected: Vec<u32> = (1..upto).collect();
    assert_eq!(world.stored(&seal).await, expected);
    // Presses without a grant, and nothing about the seal or its log.
    let alarms = world.alarms(&seal).await;
    assert!(alarms.iter().all(|alarm| alarm == "abnormal"), "{alarms:?}");
    assert!(world.report(&seal).await.connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_clock_that_went_back_over_a_restart_sessions_show_and_take_over() {
    let clock = Arc::new(TestClock::at(NOON));
    let mut world = World::by(clock.clone()).await;
    let mut seal = world.bound_seal(1).await;
    let (link, _) = world.greeted(&mut seal).await;
    drop(link);
    let first = world.report(&seal).await.term;
    clock.jump(Millis(NOON.0 - 30 * DAY));
    assert!(clock.now() < NOON);
    world.next_run().await;
    let (_older, _) = world.greeted(&mut seal).await;
    let connected = || async { world.report(&seal).await.connected };
    world.eventually("the session shows", connected).await;
    let second = world.report(&seal).await.term;
    assert!(second > first, "{second} after {first}");
    let _newer = world.open(&seal, LinkKind::Mqtt).await.unwrap();
    let newer = || async { world.report(&seal).await.term > second };
    world.eventually("the newer one takes over", newer).await;
}
