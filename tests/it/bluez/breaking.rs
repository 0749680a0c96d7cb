//! What breaks, and what a client then sees: descriptors that end, signals that just stop, links that are up and dead.

use bytes::Bytes;
use sealgate_simulators::{
    bluez::{Air, Change, Fault, Table, uuids},
    peripheral::{Link, Peripheral},
};
use sealgate_tests::wait;
use tokio::sync::mpsc;

use super::support::{Scene, station};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_daemon_ends_descriptors_and_leaves_signals_silent() {
    let Some(mut scene) = Scene::with_echoes("a_killed_daemon", 2).await else {
        return;
    };
    let seal = scene.seal;
    scene.found().await;
    scene.talking().await;
    scene.inflict(Fault::DaemonKilled).await;
    scene.client.expect("next-io", "end").await;
    let answer = scene.client.ask(&format!("connect {seal}")).await;
    assert!(answer.contains("ServiceUnknown"), "{answer}");

    scene.inflict(Fault::DaemonBack).await;
    scene
        .client
        .expect("adapter-event", "AdapterAdded(\"hci0\")")
        .await;
    // Remembered, with the services of its former life, without a new discovery.
    let known = scene.client.ask(&format!("uuids {seal}")).await;
    assert!(known.contains(&uuids::SERVICE.to_string()), "{known}");
    scene.talking().await;
    scene.client.expect("close-io", "ok").await;

    // As signals: nothing ends, nothing comes.
    scene
        .client
        .expect(&format!("disconnect {seal}"), "ok")
        .await;
    scene.client.expect(&format!("connect {seal}"), "ok").await;
    scene
        .client
        .expect(&format!("notify-signals {seal}"), "ok")
        .await;
    scene
        .client
        .expect(&format!("request {seal} 01"), "ok")
        .await;
    scene.client.expect("notified", "01").await;
    scene.inflict(Fault::DaemonKilled).await;
    scene.client.expect("notifications-silent", "true").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_that_vanishes_ends_everything_and_says_so() {
    let Some(mut scene) = Scene::with_echoes("an_adapter_vanishes", 1).await else {
        return;
    };
    let seal = scene.seal;
    scene.found().await;
    scene.talking().await;
    scene.inflict(Fault::AdapterGone).await;
    scene.client.expect("next-io", "end").await;
    scene
        .client
        .expect("adapter-event", "AdapterRemoved(\"hci0\")")
        .await;
    scene.client.expect("adapters", "").await;
    scene.inflict(Fault::AdapterBack).await;
    scene
        .client
        .expect("adapter-event", "AdapterAdded(\"hci0\")")
        .await;

    scene.client.expect(&format!("connect {seal}"), "ok").await;
    scene
        .client
        .expect(&format!("notify-signals {seal}"), "ok")
        .await;
    scene.inflict(Fault::AdapterGone).await;
    scene.client.expect("notified", "end").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_connected_and_says_nothing() {
    let Some(mut scene) = Scene::with_echoes("a_silent_peer", 1).await else {
        return;
    };
    let seal = scene.seal;
    scene.found().await;
    scene.talking().await;
    scene.change(Change::Silent(true)).await;
    let lost = ["send-io 0bad", "silent-io"];
    scene.client.repeat(&lost, |silent| silent == "true").await;
    scene
        .client
        .expect(&format!("connected {seal}"), "true")
        .await;
    scene.change(Change::Silent(false)).await;
    let echoed = ["send-io 600d", "silent-io"];
    scene
        .client
        .repeat(&echoed, |silent| silent == "false")
        .await;

    // A request that is not answered ends the link.
    scene.change(Change::Silent(true)).await;
    scene
        .client
        .refused(&format!("request {seal} 01"), "Failed")
        .await;
    scene
        .client
        .expect(&format!("connected {seal}"), "false")
        .await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_dropped_ends_descriptors_while_the_link_stays() {
    let Some(mut scene) = Scene::with_echoes("a_service_dropped", 1).await else {
        return;
    };
    let seal = scene.seal;
    scene.found().await;
    scene.talking().await;
    scene.change(Change::SealService(false)).await;
    scene.client.expect("next-io", "end").await;
    scene
        .client
        .expect(&format!("connected {seal}"), "true")
        .await;
    scene
        .client
        .expect(&format!("services {seal}"), &uuids::BATTERY.to_string())
        .await;
    scene.change(Change::SealService(true)).await;
    let service = uuids::SERVICE.to_string();
    let services = format!("services {seal}");
    let returned = |answer: &str| answer.contains(&service);
    scene.client.repeat(&[&services], returned).await;
    scene.talking().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_link_ends_descriptors_and_the_device_can_be_dialled_again() {
    let Some(mut scene) = Scene::with_echoes("a_lost_link", 1).await else {
        return;
    };
    let seal = scene.seal;
    scene.found().await;
    scene.talking().await;
    scene.inflict(Fault::LinkLost { device: seal }).await;
    scene.client.expect("next-io", "end").await;
    scene
        .client
        .expect(&format!("connected {seal}"), "false")
        .await;
    scene.talking().await;
    scene.change(Change::InRange(false)).await;
    scene.client.expect("next-io", "end").await;
    let answer = scene.client.ask(&format!("connect {seal}")).await;
    assert_eq!(answer, "error Failed le-connection-abort-by-local");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_tables_have_no_seal_or_the_wrong_flags() {
    let Some(mut scene) = Scene::with_echoes("wrong_tables", 1).await else {
        return;
    };
    let seal = scene.seal;
    scene.found().await;
    for (table, wanted) in [
        (Table::Foreign, "error no such characteristic"),
        (Table::Bare, "error no such characteristic"),
        (
            Table::Swapped,
            "error NotSupported Operation is not supported",
        ),
        (Table::Seal, "mtu 247"),
    ] {
        scene.change(Change::Table(table)).await;
        scene.client.expect(&format!("connect {seal}"), "ok").await;
        scene
            .client
            .expect(&format!("notify-io {seal}"), wanted)
            .await;
        scene
            .client
            .expect(&format!("disconnect {seal}"), "ok")
            .await;
    }
    scene.end().await;
}

/// Tells the test what it got.
struct Recorder(mpsc::Sender<Bytes>);

impl Peripheral for Recorder {
    fn connected(&mut self, link: Link) {
        let told = self.0.clone();
        sealgate::tasks::spawn("recorder", async move {
            let (mut inbound, outbound) = link.split();
            while let Some(value) = inbound.recv().await {
                // Answered too, so that a client that is subscribed in truth would hear it.
                let _ = outbound.send(value.clone()).await;
                told.send(value).await.expect("the test listens");
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_table_subscribes_into_the_command_characteristic() {
    let (told, mut got) = mpsc::channel(8);
    let air = Air::new();
    let seal = sealgate_simulators::bluez::Address::numbered(1);
    air.add(seal, station(Recorder(told)));
    let Some(mut scene) = Scene::of("a_stale_table", air).await else {
        return;
    };
    scene.change(Change::Table(Table::Stale)).await;
    scene.found().await;
    scene.client.expect(&format!("connect {seal}"), "ok").await;
    // Reported as done, and not done.
    scene
        .client
        .expect(&format!("notify-io {seal}"), "mtu 247")
        .await;
    let value = wait::patiently("the two bytes", got.recv())
        .await
        .expect("a value");
    assert_eq!(value.as_ref(), [1, 0]);
    scene.client.expect("silent-io", "true").await;
    scene.end().await;
}
