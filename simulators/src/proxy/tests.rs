use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::{net::UdpSocket, time::timeout};

use super::{Fate, Lane, UdpProxy, Weather};

const PATIENCE: Duration = Duration::from_secs(30);

fn packet(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn drained(lane: &mut Lane, until: Duration) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(packet) = lane.take(until) {
        numbers.push(u32::from_be_bytes(packet[..4].try_into().unwrap()));
    }
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_lane_keeps_the_order_and_its_seed_decides_everything(
        seed: u64,
        loss in 0.0..0.9_f64,
        delay_ms in 0..200_u32,
        jitter_ms in 0..300_u32,
        gaps in prop::collection::vec(0..50_u64, 1..100),
    ) {
        let weather = Weather { loss, delay_ms, jitter_ms, ..Weather::default() };
        let play = || {
            let mut lane = Lane::new(weather, seed);
            let mut now = Duration::ZERO;
            let mut fates = Vec::new();
            for (number, gap) in (0_u32..).zip(&gaps) {
                now += Duration::from_millis(*gap);
                let fate = lane.offer(now, packet(number));
                if let Fate::Due(due) = fate {
                    assert!(due >= now + Duration::from_millis(delay_ms.into()));
                }
                fates.push(fate);
            }
            (fates, drained(&mut lane, Duration::from_secs(3_600)))
        };
        let (fates, numbers) = play();
        prop_assert!(numbers.is_sorted());
        prop_assert_eq!(numbers.len(), fates.iter().filter(|f| matches!(f, Fate::Due(_))).count());
        prop_assert_eq!((fates, numbers), play());
    }
}

#[test]
fn jitter_reorders_only_where_that_is_asked_for() {
    let weather = Weather {
        jitter_ms: 500,
        reorder: true,
        ..Weather::default()
    };
    let mut lane = Lane::new(weather, 7);
    for number in 0..100 {
        lane.offer(Duration::from_millis(number.into()), packet(number));
    }
    let numbers = drained(&mut lane, Duration::from_secs(10));
    assert!(!numbers.is_sorted());
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 100);
}

#[test]
fn loss_is_near_its_share() {
    let weather = Weather {
        loss: 0.05,
        ..Weather::default()
    };
    let mut lane = Lane::new(weather, 11);
    let lost = (0..20_000)
        .filter(|number| lane.offer(Duration::ZERO, packet(*number)) == Fate::Lost)
        .count();
    assert!((800..1_200).contains(&lost), "{lost} of 20000");
}

#[test]
fn a_narrow_lane_takes_its_time_and_overflows() {
    let weather = Weather {
        bits_per_second: 8_000,
        backlog: 3_000,
        ..Weather::default()
    };
    let mut lane = Lane::new(weather, 1);
    let fates: Vec<Fate> = (0..6)
        .map(|_| lane.offer(Duration::ZERO, Bytes::from(vec![0; 1_000])))
        .collect();
    let seconds = |n| Fate::Due(Duration::from_secs(n));
    assert_eq!(
        fates,
        [
            seconds(1),
            seconds(2),
            seconds(3),
            seconds(4),
            Fate::Overflow,
            Fate::Overflow
        ]
    );
}

#[test]
fn an_outage_swallows_what_is_under_way_and_what_comes() {
    let weather = Weather {
        delay_ms: 100,
        ..Weather::default()
    };
    let mut lane = Lane::new(weather, 1);
    let second = Duration::from_secs(1);
    lane.offer(Duration::ZERO, packet(1));
    lane.darken(2 * second);
    assert_eq!(lane.offer(second, packet(2)), Fate::Dark);
    assert!(matches!(lane.offer(2 * second, packet(3)), Fate::Due(_)));
    assert_eq!(drained(&mut lane, 10 * second), [3]);
}

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 64];
    let (length, from) = timeout(PATIENCE, socket.recv_from(&mut buffer))
        .await
        .expect("a packet in time")
        .unwrap();
    (buffer[..length].to_vec(), from)
}

async fn proxy(server: &UdpSocket, weather: Weather) -> UdpProxy {
    let listen = "127.0.0.1:0".parse().unwrap();
    UdpProxy::start(listen, server.local_addr().unwrap(), weather, 5)
        .await
        .unwrap()
}

#[tokio::test]
async fn packets_pass_both_ways_and_after_a_rebinding_from_another_port() {
    let (server, client) = (socket().await, socket().await);
    let proxy = proxy(&server, Weather::default()).await;

    client.send_to(b"one", proxy.address()).await.unwrap();
    let (bytes, first_port) = receive(&server).await;
    assert_eq!(bytes, b"one");
    server.send_to(b"two", first_port).await.unwrap();
    assert_eq!(receive(&client).await, (b"two".to_vec(), proxy.address()));

    proxy.rebind().await;
    let second_port = loop {
        client.send_to(b"three", proxy.address()).await.unwrap();
        let (bytes, port) = receive(&server).await;
        assert_eq!(bytes, b"three");
        if port != first_port {
            break port;
        }
    };
    server.send_to(b"gone", first_port).await.unwrap();
    server.send_to(b"four", second_port).await.unwrap();
    assert_eq!(receive(&client).await.0, b"four");
}

#[tokio::test]
async fn a_blackhole_loses_and_then_lets_pass_again() {
    let (server, client) = (socket().await, socket().await);
    let proxy = proxy(&server, Weather::default()).await;
    client.send_to(b"before", proxy.address()).await.unwrap();
    receive(&server).await;

    proxy.blackhole(Duration::from_secs(3_600)).await;
    while proxy.counters().dark == 0 {
        client.send_to(b"swallowed", proxy.address()).await.unwrap();
        tokio::task::yield_now().await;
    }
    proxy.blackhole(Duration::ZERO).await;
    let up = proxy.counters().up;
    client.send_to(b"after", proxy.address()).await.unwrap();
    assert_eq!(receive(&server).await.0, b"after");
    assert_eq!((up, proxy.counters().lost), (1, 0));
}
