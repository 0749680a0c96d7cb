//! kill -9 of the gateway at random moments while seals stamp: nothing acknowledged is lost, nothing is doubled.
//!
//! What happened is taken from the seals' own memory (it survives everything), what is on record from the API. The
//! ordinary run has 20 rounds, `SEALGATE_LONG=1` 200; a failing seed is printed and replays with `SEALGATE_SEED`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng};
use sealgate_simulators::{
    net::{LinkFault, SealHandle},
    seal::{Input, Press},
};
use sealgate_tests::{
    seed,
    world::{World, see},
};

const SEALS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_gateway_loses_and_doubles_nothing() {
    let seed = seed::seed("killing_the_gateway_loses_and_doubles_nothing");
    let rounds = if seed::long() { 200 } else { 20 };
    let mut rng = seed::rng(seed);
    let mut world = World::start().await;
    let places: Vec<usize> = (0..SEALS).collect();
    let fleet = world.fleet(&places, seed);
    for seal in fleet.seals() {
        world.ready(seal, 0, false).await;
        seal.fault(LinkFault::Duplicate(rng.random()))
            .await
            .expect("a seal");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stampers: Vec<_> = fleet
        .seals()
        .iter()
        .map(|seal| {
            let (seal, stop) = (seal.clone(), Arc::clone(&stop));
            sealgate::tasks::spawn("stamper", stamp_until(seal, stop, seed::rng(rng.random())))
        })
        .collect();
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..500))).await;
        world = tokio::task::spawn_blocking(move || {
            world.gateway.kill();
            world.gateway.restart();
            world
        })
        .await
        .expect("restarted");
        // Half of the seals start afresh and call at once; the others come back after their backoff.
        for seal in fleet.seals() {
            if rng.random() {
                seal.act(Input::Reset).await.expect("a seal");
                seal.power_on().await.expect("a seal");
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    for stamper in stampers {
        stamper.await.expect("no panic");
    }
    let mut presses = 0;
    for seal in fleet.seals() {
        settle(&world, seal).await;
        let truth = seal.truth().await.expect("a seal");
        presses += truth.presses.len();
        world.agrees_with(&truth).await;
    }
    println!("{rounds} rounds, {SEALS} seals, {presses} presses: none lost, none doubled");
    assert!(presses > rounds, "the seals stamped");
}

async fn stamp_until(seal: SealHandle, stop: Arc<AtomicBool>, mut rng: StdRng) {
    while !stop.load(Ordering::Relaxed) {
        let _ = seal.press(Press::proper()).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..120))).await;
    }
}

/// Everything the seal has is acknowledged.
async fn settle(world: &World, seal: &SealHandle) {
    seal.fault(LinkFault::Duplicate(false))
        .await
        .expect("a seal");
    seal.act(Input::Reset).await.expect("a seal");
    seal.power_on().await.expect("a seal");
    see(seal, "online", |view| view.online).await;
    world.drained(seal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_is_quick_and_clean() {
    let mut world = World::start().await;
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
