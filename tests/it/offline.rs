//! OFF-1 and the offline log: whatever was pressed without a network comes in once, in order, whole.

use rand::Rng as _;
use sealgate_simulators::{
    net::{LinkFault, SealHandle},
    seal::{Input, Params},
};
use sealgate_tests::{
    seed,
    wait::until,
    world::{World, press, see},
};
use serde_json::json;

async fn offline_mode(world: &World, seal: &SealHandle) {
    let code = world.code().await;
    let path = format!("devices/{}/offline-mode", seal.name());
    let order = world
        .api
        .post(&path, json!({ "enabled": true, "code": code }))
        .await;
    world.applied(&order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_week_comes_in_whole() {
    let world = World::start().await;
    let fleet = world.fleet(&[0], 7);
    let seal = fleet.seals()[0].clone();
    world.ready(&seal, 0, true).await;
    offline_mode(&world, &seal).await;
    seal.fault(LinkFault::Cut).await.expect("a seal");
    see(&seal, "offline", |view| !view.online).await;
    for _ in 0..120 {
        press(&seal).await;
    }
    // A restart in between changes the boot counter, not the log.
    seal.act(Input::Reset).await.expect("a seal");
    seal.power_on().await.expect("a seal");
    for _ in 0..30 {
        press(&seal).await;
    }
    seal.fault(LinkFault::Restore).await.expect("a seal");
    // A fresh start calls at once instead of after the backoff.
    seal.act(Input::Reset).await.expect("a seal");
    seal.power_on().await.expect("a seal");
    world.drained(&seal).await;
    let truth = seal.truth().await.expect("a seal");
    assert!(truth.records().count() >= 150);
    world.agrees_with(&truth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_break_all_the_time_lose_and_double_nothing() {
    let seed = seed::seed("links_that_break_all_the_time_lose_and_double_nothing");
    let mut rng = seed::rng(seed);
    let world = World::start().await;
    let fleet = world.fleet(&[1, 2, 3], seed);
    // One of them may stamp offline too; the others' presses are abnormal then, and records all the same.
    for seal in fleet.seals() {
        world.ready(seal, 0, true).await;
        seal.fault(LinkFault::Duplicate(rng.random()))
            .await
            .expect("a seal");
    }
    offline_mode(&world, &fleet.seals()[0]).await;
    for _ in 0..40 {
        for seal in fleet.seals() {
            match rng.random_range(0..6) {
                0 => seal.fault(LinkFault::Drop).await.expect("a seal"),
                1 => drop(seal.act(Input::PowerCut).await.expect("a seal")),
                _ => {}
            }
            seal.power_on().await.expect("a seal");
            press(seal).await;
        }
        let pause = rng.random_range(0..30);
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
    }
    for seal in fleet.seals() {
        seal.fault(LinkFault::Duplicate(false))
            .await
            .expect("a seal");
        // A fresh start calls at once instead of after the backoff.
        seal.act(Input::Reset).await.expect("a seal");
        seal.power_on().await.expect("a seal");
        world.drained(seal).await;
        world
            .agrees_with(&seal.truth().await.expect("a seal"))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presses_on_a_full_log_are_counted() {
    let world = World::start().await;
    let params = Params {
        log_capacity: 12,
        ..Params::default()
    };
    let fleet = world.fleet_of(&[4], 9, params);
    let seal = fleet.seals()[0].clone();
    world.ready(&seal, 0, true).await;
    offline_mode(&world, &seal).await;
    seal.fault(LinkFault::Cut).await.expect("a seal");
    see(&seal, "offline", |view| !view.online).await;
    for _ in 0..20 {
        press(&seal).await;
    }
    let truth = seal.truth().await.expect("a seal");
    assert!(truth.counted() > 0, "the log was full");
    assert_eq!(
        truth.counted() + truth.records().count(),
        truth.presses.len()
    );
    seal.fault(LinkFault::Restore).await.expect("a seal");
    seal.act(Input::Reset).await.expect("a seal");
    seal.power_on().await.expect("a seal");
    world.drained(&seal).await;
    world
        .agrees_with(&seal.truth().await.expect("a seal"))
        .await;
    let reported = world.api.get(&format!("devices/{}", seal.name())).await;
    let counted: u64 = reported["reported"]["counted"]
        .as_array()
        .expect("counters")
        .iter()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert_eq!(counted, truth.counted() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_mode_ends_when_its_grant_is_used_up() {
    let world = World::start().await;
    let fleet = world.fleet(&[5], 11);
    let seal = fleet.seals()[0].clone();
    let device = format!("devices/{}", seal.name());
    let grant = world.ready(&seal, 3, true).await;
    offline_mode(&world, &seal).await;
    press(&seal).await;
    world.drained(&seal).await;
    seal.fault(LinkFault::Cut).await.expect("a seal");
    see(&seal, "offline", |view| !view.online).await;
    // Two are left, and are used without a network; the fourth is one too many, and follows quickly.
    for kind in [None, None, Some(6)] {
        assert_eq!(press(&seal).await.kind, kind);
    }
    let shown = world.api.get(&device).await;
    assert_eq!(shown["offline_mode"]["desired"], true, "nobody knows yet");

    seal.fault(LinkFault::Restore).await.expect("a seal");
    seal.act(Input::Reset).await.expect("a seal");
    seal.power_on().await.expect("a seal");
    world.drained(&seal).await;
    see(&seal, "offline mode off", |view| !view.offline_mode).await;
    let path = format!("grants/{}", grant["id"].as_str().expect("an id"));
    until("offline mode is off everywhere", || async {
        let mode = world.api.get(&device).await["offline_mode"].clone();
        let off = mode["desired"] == false && mode["reported"] == false;
        let over = world.api.get(&path).await["state"] == "expired";
        (off && over).then_some(())
    })
    .await;
    until("the owner is told", || async {
        let inbox = world.api.get("sms-inbox").await;
        let told = inbox["items"].as_array()?.iter().any(|message| {
            message["phone"] == "13800138000"
                && message["text"]
                    .as_str()
                    .is_some_and(|text| text.contains("无网络模式已自动关闭"))
        });
        told.then_some(())
    })
    .await;
    // Without a network it refuses now: the next press is no stamp under the grant.
    seal.fault(LinkFault::Cut).await.expect("a seal");
    see(&seal, "offline", |view| !view.online).await;
    assert!(press(&seal).await.kind.is_some());
    seal.fault(LinkFault::Restore).await.expect("a seal");
    seal.act(Input::Reset).await.expect("a seal");
    seal.power_on().await.expect("a seal");
    world.drained(&seal).await;
    let truth = seal.truth().await.expect("a seal");
    assert_eq!(truth.records().count(), 5);
    world.agrees_with(&truth).await;
}
