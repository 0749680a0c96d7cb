//! The bus alive, dead and crowded.

use std::time::Duration;

use sealgate_domain::Millis;
use tokio::time::timeout;

use super::*;
use crate::clock::{SystemClock, TestClock};

fn topic(family: Family) -> Topic {
    Topic {
        organization: Uuid::from_u128(7),
        family,
    }
}

fn bus() -> Bus {
    Bus::start(Arc::new(SystemClock::new()), None)
}

async fn built(bus: &Bus, times: u64) {
    for _ in 0..1_000 {
        if bus.builds() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no router after 10 s");
}

async fn next(events: &mut broadcast::Receiver<Arc<Event>>) -> Arc<Event> {
    timeout(Duration::from_secs(10), events.recv())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn events_come_out_in_order() {
    let bus = bus();
    let mut events = bus.subscribe();
    for n in 0..1_000u32 {
        bus.publish(topic(Family::Stamp), n.to_string().into())
            .unwrap();
    }
    for n in 0..1_000u32 {
        let event = next(&mut events).await;
        assert_eq!(event.payload, n.to_string());
        assert_eq!(event.topic, format!("events/{}/stamp", Uuid::from_u128(7)));
    }
    assert_eq!(bus.builds(), 1);
}

#[tokio::test]
async fn a_dead_router_is_replaced_and_events_flow_again() {
    let bus = bus();
    built(&bus, 1).await;
    let mut events = bus.subscribe();
    // A topic no constructor makes: it panics the router.
    let poison = Event {
        topic: "é".to_owned(),
        payload: Bytes::new(),
    };
    bus.shared.queue.try_send(poison).unwrap();
    built(&bus, 2).await;
    bus.publish(topic(Family::Alarm), "again".into()).unwrap();
    assert_eq!(next(&mut events).await.payload, "again");
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_learns_that_it_is_behind_and_holds_nobody_up() {
    let bus = bus();
    built(&bus, 1).await;
    let mut lazy = bus.subscribe();
    let mut eager = bus.subscribe();
    let mut sent = 0;
    while sent < 2 * BEHIND {
        if bus.publish(topic(Family::Presence), "x".into()).is_ok() {
            sent += 1;
            if sent % 100 == 0 {
                for _ in 0..100 {
                    next(&mut eager).await;
                }
            }
        }
    }
    assert!(matches!(
        lazy.recv().await,
        Err(broadcast::error::RecvError::Lagged(_))
    ));
    assert_eq!(bus.builds(), 1);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let bus = Bus::start(Arc::new(TestClock::at(Millis(0))), None);
    let large = vec![0; MAX_PAYLOAD + 1].into();
    assert_eq!(
        bus.publish(topic(Family::Command), large),
        Err(NotPublished::TooLarge)
    );
    let mut refused = false;
    for _ in 0..=2 * QUEUE {
        refused |= bus.publish(topic(Family::Command), "x".into()) == Err(NotPublished::Behind);
    }
    assert!(refused, "the queue is bounded");
}
