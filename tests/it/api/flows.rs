//! Rules that need a gateway, a database and a seal together.

use reqwest::Method;
use sealgate_tests::{
    wait::until,
    world::{World, press, see},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_without_the_need_of_grants_stamps_freely() {
    let world = World::with("", false).await;
    let fleet = world.fleet(&[0], 1);
    let seal = fleet.seals()[0].clone();
    world.bind(&seal).await;
    see(&seal, "an unlimited grant of the platform", |view| {
        view.grant > 0
    })
    .await;
    for _ in 0..3 {
        press(&seal).await;
    }
    world.drained(&seal).await;
    let records = world.records(seal.name()).await;
    assert_eq!(records.len(), 3);
    assert!(
        records.iter().all(|record| record["abnormal"].is_null()),
        "{records:?} (USE-15)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_used_up_and_the_press_after_it_is_abnormal() {
    let world = World::start().await;
    let fleet = world.fleet(&[1], 1);
    let seal = fleet.seals()[0].clone();
    let grant = world.ready(&seal, 2, false).await;
    for _ in 0..3 {
        press(&seal).await;
        // Slow presses: a quick one would be another kind.
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    }
    world.drained(&seal).await;
    let path = format!("grants/{}", grant["id"].as_str().expect("an id"));
    let shown = world.api.get(&path).await;
    assert_eq!(shown["used"], 2, "{shown}");
    assert_eq!(shown["state"], "expired", "used up (USE-9)");
    let records = world.records(seal.name()).await;
    assert_eq!(records[2]["abnormal"], 1, "over count");
    world
        .agrees_with(&seal.truth().await.expect("a seal"))
        .await;
    let abnormal = world.api.get("abnormal").await;
    assert_eq!(abnormal["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_given_while_the_seal_is_off_waits_and_an_end_before_delivery_wins() {
    let world = World::start().await;
    let fleet = world.fleet(&[2], 1);
    let seal = fleet.seals()[0].clone();
    world.bind(&seal).await;
    world.switched_off(&seal).await;
    let grant = world.grant(&seal, 5, false).await;
    assert_eq!(grant["state"], "to_be_delivered", "{grant}");
    let id = grant["id"].as_str().expect("an id");
    world.api.post(&format!("grants/{id}/end"), json!({})).await;
    seal.power_on().await.expect("a seal");
    see(&seal, "leased again", |view| view.leased).await;
    until("the end", || async {
        (world.api.get(&format!("grants/{id}")).await["state"] == "ended").then_some(())
    })
    .await;
    let view = seal.view().await.expect("a seal");
    assert!(
        view.used == 0 && !view.screen.contains("0/5"),
        "it never reached the seal: {view:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_the_seal_and_both_sides_are_shown() {
    let world = World::start().await;
    let fleet = world.fleet(&[3], 1);
    let seal = fleet.seals()[0].clone();
    world.bind(&seal).await;
    let path = format!("devices/{}/settings", seal.name());
    let body = json!({ "backlight_s": 45, "auto_off_min": 20 });
    world.api.change(Method::PUT, &path, body.clone()).await;
    let shown = until("reported as desired", || async {
        let shown = world.api.get(&path).await;
        (shown["in_sync"] == true).then_some(shown)
    })
    .await;
    assert_eq!(shown["desired"], body);
    let flash = seal.flash().await.expect("a seal");
    assert_eq!(
        (flash.settings.backlight_s, flash.settings.auto_off_min),
        (45, 20)
    );
    let outside = world
        .api
        .ask(
            Method::PUT,
            &path,
            &[("if-match", "*")],
            Some(&json!({ "backlight_s": 500, "auto_off_min": 0 })),
        )
        .await
        .expect("an answer");
    assert!(outside.status.is_client_error(), "{}", outside.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_is_refreshed_on_demand() {
    let world = World::start().await;
    let fleet = world.fleet(&[4], 1);
    let seal = fleet.seals()[0].clone();
    world.bind(&seal).await;
    let place = sealgate_simulators::seal::Place {
        lat: 31.2304,
        lon: 121.4737,
        accuracy_m: 12,
    };
    seal.act(sealgate_simulators::seal::Input::Move(Some(place)))
        .await
        .expect("a seal");
    let path = format!("devices/{}", seal.name());
    let order = world
        .api
        .post(&format!("{path}/refresh-position"), json!({}))
        .await;
    world.applied(&order).await;
    let near =
        |value: &serde_json::Value, want: f64| (value.as_f64().unwrap_or(0.0) - want).abs() < 0.01;
    // The position of before may still be shown for a moment.
    until("the new position", || async {
        let position = &world.api.get(&path).await["position"];
        (near(&position["lat"], 31.2304) && near(&position["lon"], 121.4737)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_does_not_switch_offline_mode() {
    let world = World::start().await;
    let fleet = world.fleet(&[5], 1);
    let seal = fleet.seals()[0].clone();
    world.ready(&seal, 0, true).await;
    let right = world.code().await;
    let wrong = if right == "000000" {
        "111111"
    } else {
        "000000"
    };
    let path = format!("devices/{}/offline-mode", seal.name());
    for _ in 0..5 {
        let answer = world
            .api
            .try_post(&path, json!({ "enabled": true, "code": wrong }))
            .await;
        assert!(answer.status.is_client_error(), "{}", answer.body);
    }
    let answer = world
        .api
        .try_post(&path, json!({ "enabled": true, "code": right }))
        .await;
    assert!(
        answer.status.is_client_error(),
        "five tries use a code up: {}",
        answer.body
    );
}
