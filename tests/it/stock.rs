//! Seals that belong to nobody yet: what is pressed on them stays with them until somebody binds them.

use sealgate_simulators::net::SealHandle;
use sealgate_tests::{
    database::Database,
    on_both_databases,
    wait::until,
    world::{World, press, see},
};
use serde_json::json;

on_both_databases!(what_is_pressed_before_binding_stays_in_the_seal_and_comes_in_with_it);

/// Presses, and waits until the gateway has refused what the seal sent because of it.
async fn press_in_vain(world: &World, seal: &SealHandle) {
    let refused = || world.api.metric("sealgate_errors_sent_total");
    let before = refused().await;
    press(seal).await;
    until("a refusal", || async {
        (refused().await > before).then_some(())
    })
    .await;
}

async fn what_is_pressed_before_binding_stays_in_the_seal_and_comes_in_with_it(database: Database) {
    let world = World::on(database).await;
    let fleet = world.fleet(&[0], 3);
    let seal = fleet.seals()[0].clone();
    let device = format!("devices/{}", seal.name());
    seal.power_on().await.expect("a seal");
    world.connected(&seal).await;
    for _ in 0..3 {
        press_in_vain(&world, &seal).await;
    }
    world.deliver(seal.name()).await;
    press_in_vain(&world, &seal).await;
    assert_eq!(
        world.records(seal.name()).await.len(),
        0,
        "nothing is stored"
    );
    let view = seal.view().await.expect("a seal");
    assert_eq!(view.unsent, 4, "nothing is acknowledged, nothing is freed");
    assert!(view.online, "the session stays: it is needed to bind");

    let order = world
        .api
        .post(&format!("{device}/bind"), json!({ "name": "front desk" }))
        .await;
    world.applied(&order).await;
    world.drained(&seal).await;
    let truth = seal.truth().await.expect("a seal");
    world.agrees_with(&truth).await;
    let records = world.records(seal.name()).await;
    assert_eq!(records.len(), 4);
    for record in &records {
        assert!(record["abnormal"].is_number(), "without a grant: {record}");
    }

    // After unbinding it is the same again: nobody's.
    let order = world.api.post(&format!("{device}/unbind"), json!({})).await;
    world.applied(&order).await;
    see(&seal, "unbound", |view| !view.bound).await;
    press_in_vain(&world, &seal).await;
    assert_eq!(world.records(seal.name()).await.len(), 4);
    assert_eq!(seal.view().await.expect("a seal").unsent, 1);
}
