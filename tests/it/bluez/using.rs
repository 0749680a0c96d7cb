//! What works: finding, connecting, reading, writing, being notified.

use sealgate_simulators::bluez::{Address, Air, Change, Dialling};
use sealgate_simulators::peripheral::Echo;

use super::support::{Scene, WRITER_247, advertisement, station};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unmodified_client_finds_and_hears() {
    let Some(mut scene) = Scene::with_echoes("finds_and_hears", 3).await else {
        return;
    };
    let seal = scene.seal;
    scene.client.expect("scan", "ok").await;
    scene.client.expect(&format!("heard {seal}"), "ok").await;
    scene
        .client
        .expect(&format!("advertises {seal} 01"), "ok")
        .await;
    scene.bluez.air().advertise(seal, advertisement(&[2, 7]));
    scene
        .client
        .expect(&format!("advertises {seal} 0207"), "ok")
        .await;
    scene.client.expect("stop-scan", "ok").await;

    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unmodified_client_connects_and_talks() {
    let Some(mut scene) = Scene::with_echoes("connects_and_talks", 1).await else {
        return;
    };
    let seal = scene.seal;
    scene.found().await;
    scene
        .client
        .expect(&format!("connected {seal}"), "false")
        .await;
    scene.client.expect(&format!("connect {seal}"), "ok").await;
    scene
        .client
        .expect(&format!("connected {seal}"), "true")
        .await;
    let services = scene.client.ask(&format!("services {seal}")).await;
    assert!(
        services.contains("5ea10001-7a3c-4c52-9b1e-0c6f5e8d2a11"),
        "{services}"
    );
    scene.client.expect(&format!("info {seal}"), "010203").await;

    scene
        .client
        .expect(&format!("notify-io {seal}"), "mtu 247")
        .await;
    scene
        .client
        .expect(&format!("write-io {seal}"), WRITER_247)
        .await;
    for number in 0..20_u8 {
        scene.echoes(&format!("aa{number:02x}")).await;
    }
    scene
        .client
        .expect(&format!("request {seal} beef"), "ok")
        .await;
    scene.client.expect("next-io", "beef").await;
    scene
        .client
        .refused(&format!("notify-signals {seal}"), "NotPermitted")
        .await;

    scene
        .client
        .expect(&format!("disconnect {seal}"), "ok")
        .await;
    scene.client.expect("next-io", "end").await;
    scene
        .client
        .expect(&format!("connected {seal}"), "false")
        .await;
    scene
        .client
        .refused(&format!("disconnect {seal}"), "")
        .await;
    let counters = scene.bluez.counters();
    assert_eq!((counters.connected, counters.disconnected), (1, 1));
    assert_eq!((counters.written, counters.dropped), (21, 0));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_come_as_signals_too() {
    let Some(mut scene) = Scene::with_echoes("come_as_signals", 1).await else {
        return;
    };
    let seal = scene.seal;
    scene.found().await;
    scene.client.expect(&format!("connect {seal}"), "ok").await;
    scene
        .client
        .expect(&format!("notify-signals {seal}"), "ok")
        .await;
    for value in ["01", "02", "0303"] {
        scene
            .client
            .expect(&format!("request {seal} {value}"), "ok")
            .await;
        scene.client.expect("notified", value).await;
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_stations_are_found_and_a_filter_keeps_the_far_ones_out() {
    let air = Air::new();
    for number in 1..=300 {
        let mut station = station(Echo::default());
        station.rssi = if number % 3 == 0 { -90 } else { -50 };
        air.add(Address::numbered(number), station);
    }
    let Some(mut scene) = Scene::of("hundreds_of_stations", air).await else {
        return;
    };
    scene.client.expect("scan -70", "ok").await;
    scene.client.expect("count 200", "200").await;
    scene.client.expect("stop-scan", "ok").await;
    scene.client.expect("scan", "ok").await;
    scene.client.expect("count 300", "300").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_made_one_at_a_time_and_up_to_a_limit() {
    let Some(mut scene) = Scene::with_echoes("one_at_a_time", 9).await else {
        return;
    };
    scene.client.expect("scan", "ok").await;
    scene.client.expect("count 9", "9").await;
    scene.client.expect("stop-scan", "ok").await;
    let [one, two] = [1, 2].map(Address::numbered);
    let both = scene.client.ask(&format!("connect-both {one} {two}")).await;
    assert!(both == "ok InProgress" || both == "InProgress ok", "{both}");
    for number in 1..=8 {
        let address = Address::numbered(number);
        scene
            .client
            .expect(&format!("connect {address}"), "ok")
            .await;
    }
    let ninth = Address::numbered(9);
    let refusal = scene.client.ask(&format!("connect {ninth}")).await;
    assert_eq!(
        refusal,
        "error Failed le-connection-concurrent-connection-limit"
    );
    scene
        .client
        .expect(&format!("disconnect {one}"), "ok")
        .await;
    scene.client.expect(&format!("connect {ninth}"), "ok").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_mtu_is_told_and_limits_what_one_packet_carries() {
    let Some(mut scene) = Scene::with_echoes("a_slow_mtu", 1).await else {
        return;
    };
    scene.change(Change::Mtu(23)).await;
    scene.found().await;
    let seal = scene.seal;
    scene.client.expect(&format!("connect {seal}"), "ok").await;
    scene
        .client
        .expect(&format!("notify-io {seal}"), "mtu 23")
        .await;
    scene
        .client
        .expect(&format!("write-io {seal}"), "mtu 18")
        .await;
    scene.echoes(&"11".repeat(18)).await;
    // A request may be longer than one packet, a notification may not: the echo is cut to what fits.
    scene
        .client
        .expect(&format!("request {seal} {}", "22".repeat(40)), "ok")
        .await;
    scene.client.expect("next-io", &"22".repeat(20)).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_refused_time_out_or_are_in_progress() {
    let Some(mut scene) = Scene::with_echoes("attempts_fail", 1).await else {
        return;
    };
    scene.found().await;
    let connect = format!("connect {}", scene.seal);
    for (dialling, wanted) in [
        (Dialling::Refused, "error Failed le-connection-refused"),
        (
            Dialling::Unanswered,
            "error Failed le-connection-abort-by-local",
        ),
        (
            Dialling::InProgress,
            "error InProgress Operation already in progress",
        ),
        (Dialling::Answered, "ok"),
    ] {
        scene.change(Change::Dialling(dialling)).await;
        scene.client.expect(&connect, wanted).await;
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_power_nothing_is_found_or_connected() {
    let Some(mut scene) = Scene::with_echoes("without_power", 1).await else {
        return;
    };
    scene.found().await;
    scene.talking().await;
    scene.client.expect("power off", "ok").await;
    scene.client.expect("next-io", "end").await;
    scene.client.refused("scan", "NotReady").await;
    scene
        .client
        .refused(&format!("connect {}", scene.seal), "NotReady")
        .await;
    scene.client.expect("power on", "ok").await;
    scene.talking().await;
    scene.end().await;
}
