//! kill -9 of the gateway at random moments while seals stamp: nothing acknowledged is lost, nothing is doubled.
//!
//! The ordinary run has 20 rounds on each database, `SEALGATE_LONG=1` 200; a failing seed is printed and replays with
//! `SEALGATE_SEED`.

use std::time::Duration;

use rand::Rng as _;
use sealgate_tests::{
    database::Database,
    on_both_databases, seed,
    storm::{Storm, settle},
    world::World,
};

const SEALS: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

on_both_databases!(
    killing_the_gateway_loses_and_doubles_nothing,
    an_orderly_stop_is_quick_and_clean,
);

async fn killing_the_gateway_loses_and_doubles_nothing(database: Database) {
    let seed = seed::seed("killing_the_gateway_loses_and_doubles_nothing");
    let rounds = if seed::long() { 200 } else { 20 };
    let mut rng = seed::rng(seed);
    let mut world = World::on(database).await;
    let storm = Storm::begin(&world, &SEALS, seed).await;
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..500))).await;
        world = tokio::task::spawn_blocking(move || {
            world.gateway.kill();
            world.gateway.restart();
            world
        })
        .await
        .expect("restarted");
        storm.shake(&mut rng).await;
    }
    let presses = storm.ends_well(&world).await;
    println!("{rounds} rounds, {presses} presses: none lost, none doubled");
    assert!(presses > rounds, "the seals stamped");
}

async fn an_orderly_stop_is_quick_and_clean(database: Database) {
    let mut world = World::on(database).await;
    let fleet = world.fleet(&[9], 1);
    let seal = fleet.seals()[0].clone();
    world.ready(&seal, 0, false).await;
    for _ in 0..5 {
        sealgate_tests::world::press(&seal).await;
    }
    let world = tokio::task::spawn_blocking(move || {
        assert!(world.gateway.stop(), "exit code 0");
        world.gateway.restart();
        world
    })
    .await
    .expect("restarted");
    settle(&world, &seal).await;
    world
        .agrees_with(&seal.truth().await.expect("a seal"))
        .await;
}
