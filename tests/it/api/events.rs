//! The event stream: what was committed, in order, from wherever the reader left off.

use sealgate_tests::{
    wait::until,
    world::{World, press},
};
use serde_json::Value;

/// All events after a position, by long polling.
async fn after(world: &World, position: i64) -> Vec<Value> {
    let answer = world
        .api
        .try_get(&format!("events?after={position}&wait=1"))
        .await;
    assert!(answer.status.is_success(), "{}", answer.body);
    match &answer.body {
        Value::Array(events) => events.clone(),
        page => page["events"].as_array().cloned().unwrap_or_default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_appears_as_an_event_and_can_be_read_again_from_its_position() {
    let world = World::start().await;
    let fleet = world.fleet(&[0], 1);
    let seal = fleet.seals()[0].clone();
    world.ready(&seal, 0, false).await;
    press(&seal).await;
    world.drained(&seal).await;
    let (position, all) = until("a stamp's event", || async {
        let events = after(&world, 0).await;
        let stamp = events.iter().find(|event| {
            event["topic"]
                .as_str()
                .is_some_and(|topic| topic.contains("stamp"))
        })?;
        Some((stamp["position"].as_i64()?, events.clone()))
    })
    .await;
    let positions: Vec<i64> = all
        .iter()
        .filter_map(|event| event["position"].as_i64())
        .collect();
    assert!(positions.is_sorted(), "in order: {positions:?}");
    let again = after(&world, position - 1).await;
    assert_eq!(
        again.first().and_then(|event| event["position"].as_i64()),
        Some(position)
    );
}
