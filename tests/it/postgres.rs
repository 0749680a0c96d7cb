//! PostgreSQL goes away in the middle of a fleet's stamping: nothing acknowledged is lost, nothing is doubled, readiness
//! says so meanwhile, and the gateway comes back by itself.

use sealgate_tests::{
    database::{self, Database, within},
    gateway::Setup,
    postgres::PostgresServer,
    proxy::Proxy,
    seed,
    storm::Storm,
    world::World,
};

const SEALS: [usize; 6] = [0, 1, 2, 3, 4, 5];

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_terminates_lose_and_double_nothing() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let seed = seed::seed("connections_that_the_server_terminates_lose_and_double_nothing");
    let mut rng = seed::rng(seed);
    let world = World::on(database).await;
    let storm = Storm::begin(&world, &SEALS, seed).await;
    let url = world.gateway.database().to_owned();
    let others =
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..6 {
        storm.passes(&world).await;
        let sql = format!("SELECT count(pg_terminate_backend(pid)) AS value {others}");
        let ended = database::number(&url, &sql).await.expect("terminated");
        assert!(ended > 0, "the gateway had connections");
        storm.shake(&mut rng).await;
    }
    world.is_ready(true).await;
    let presses = storm.ends_well(&world).await;
    println!("{presses} presses: none lost, none doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_loses_and_doubles_nothing() {
    let Some(mut server) = PostgresServer::make() else {
        return;
    };
    let seed = seed::seed("a_server_that_dies_loses_and_doubles_nothing");
    let mut rng = seed::rng(seed);
    server.start().await;
    let world = World::on(Database::Postgres(server.url())).await;
    let storm = Storm::begin(&world, &SEALS, seed).await;
    for _ in 0..3 {
        storm.passes(&world).await;
        server.kill();
        world.is_ready(false).await;
        let stored = world.api.metric("sealgate_stamps_stored_total").await;
        storm.shake(&mut rng).await;
        let later = world.api.metric("sealgate_stamps_stored_total").await;
        assert_eq!(stored, later, "nothing is stored without a database");
        server.start().await;
        world.is_ready(true).await;
        storm.shake(&mut rng).await;
    }
    let presses = storm.ends_well(&world).await;
    println!("{presses} presses: none lost, none doubled");
    drop(world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_loses_and_doubles_nothing() {
    let Some(mut server) = PostgresServer::make() else {
        return;
    };
    let seed = seed::seed("a_server_that_falls_silent_loses_and_doubles_nothing");
    let mut rng = seed::rng(seed);
    server.start().await;
    database::execute(&server.local(), "CREATE DATABASE silent")
        .await
        .expect("made");
    let wire = Proxy::to(([127, 0, 0, 1], server.port()).into()).await;
    let url = within(&format!("postgres://sealgate@{}", wire.address), "silent");
    let setup = Setup {
        database: Database::Settings(format!(
            "[store]\nurl = {url:?}\ntimeout_ms = 2000\nacquire_timeout_ms = 2000\n"
        )),
        ..Setup::default()
    };
    let world = World::of(setup, true).await;
    let storm = Storm::begin(&world, &SEALS, seed).await;
    for _ in 0..2 {
        storm.passes(&world).await;
        wire.freeze(true);
        world.is_ready(false).await;
        wire.freeze(false);
        world.is_ready(true).await;
        storm.shake(&mut rng).await;
    }
    let presses = storm.ends_well(&world).await;
    println!("{presses} presses: none lost, none doubled");
    drop(world);
}
