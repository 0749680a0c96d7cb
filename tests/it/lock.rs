//! LOCK-1: a loss lock reaches a seal wherever it is, before anything else.

use sealgate_tests::{
    wait::until,
    world::{World, press, see},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_is_off_is_locked_at_power_on_before_it_can_stamp() {
    let world = World::start().await;
    let fleet = world.fleet(&[1], 2);
    let seal = fleet.seals()[0].clone();
    let device = format!("devices/{}", seal.name());
    world.ready(&seal, 0, false).await;
    world.switched_off(&seal).await;

    let order = world
        .api
        .post(&format!("{device}/lock"), json!({"reason": "lost"}))
        .await;
    assert_eq!(order["state"], "pending", "nothing can be sent yet");
    // The lock is dated in whole seconds; power-on must lie in a later one to be told apart.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    seal.power_on().await.expect("a seal");
    press(&seal).await;
    world.applied(&order).await;
    see(&seal, "locked", |view| view.locked).await;
    press(&seal).await;
    world.drained(&seal).await;

    let truth = seal.truth().await.expect("a seal");
    let kinds: Vec<_> = truth.records().map(|press| press.kind).collect();
    assert_eq!(kinds.last(), Some(&Some(4)));
    world.agrees_with(&truth).await;
    let shown = world.api.get(&device).await;
    assert_eq!(shown["lock"]["desired"], true);
    assert_eq!(shown["lock"]["reported"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_gets_a_text_message_about_the_lock_with_the_place_of_the_seal() {
    let world = World::start().await;
    let fleet = world.fleet(&[2], 3);
    let seal = fleet.seals()[0].clone();
    world.ready(&seal, 0, false).await;
    let path = format!("devices/{}/lock", seal.name());
    let order = world.api.post(&path, json!({})).await;
    world.applied(&order).await;
    until("a text message to the owner", || async {
        let inbox = world.api.get("sms-inbox").await;
        let items = inbox["items"].as_array()?;
        items
            .iter()
            .any(|message| {
                message["phone"] == "13800138000"
                    && message["template"]
                        .as_str()
                        .is_some_and(|t| t.contains("lock"))
                    && message["text"]
                        .as_str()
                        .is_some_and(|text| text.contains("纬度"))
            })
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlock_behind_a_lock_supersedes_it_while_the_seal_is_off() {
    let world = World::start().await;
    let fleet = world.fleet(&[3], 4);
    let seal = fleet.seals()[0].clone();
    let device = format!("devices/{}", seal.name());
    world.ready(&seal, 0, false).await;
    world.switched_off(&seal).await;
    let lock = world.api.post(&format!("{device}/lock"), json!({})).await;
    let unlock = world.api.post(&format!("{device}/unlock"), json!({})).await;
    assert_eq!(world.ended(&lock).await["state"], "superseded");
    seal.power_on().await.expect("a seal");
    world.applied(&unlock).await;
    assert!(!seal.view().await.expect("a seal").locked);
    let truth = seal.truth().await.expect("a seal");
    assert!(
        truth.locks.iter().all(|change| !change.locked),
        "it was never locked"
    );
    // Presses right after a later power-on are what they are: no lock was under way.
    world.drained(&seal).await;
    world.switched_off(&seal).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    seal.power_on().await.expect("a seal");
    press(&seal).await;
    world.drained(&seal).await;
    let truth = seal.truth().await.expect("a seal");
    assert!(truth.records().all(|press| press.kind != Some(10)));
    world.agrees_with(&truth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shot_commands_need_a_session_now() {
    let world = World::start().await;
    let fleet = world.fleet(&[4], 5);
    let seal = fleet.seals()[0].clone();
    world.deliver(seal.name()).await;
    for action in ["bind", "refresh-position"] {
        let path = format!("devices/{}/{action}", seal.name());
        let refused = world.api.try_post(&path, json!({})).await;
        assert_eq!(refused.status.as_u16(), 409, "{action}: {}", refused.body);
    }
}
