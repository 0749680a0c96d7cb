//! More than a session, or the database, can take: queues fill to their bounds, then the sender's own connection holds
//! it back. Nothing is lost, and others are served meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use sealgate_codec::{Message, chain::Head, message::Stamps, record::Entry, statement::Checkpoint};
use sealgate_tests::{
    gateway::Setup,
    raw::{RawSeal, publish_bytes},
    wait::{patiently, until},
    world::World,
};
use tokio::{io::AsyncWriteExt as _, task::JoinHandle};

use super::rogue::{ROGUE, Scene, frame, record};

/// Batches of a flood, and records of a batch. Far more bytes than all buffers on the way hold.
const BATCHES: usize = 700;
const RECORDS: u32 = 28;
/// Packet id of the first; HELLO has those before it.
const FIRST: u16 = 2;

async fn scene(settings: &str) -> Scene {
    let setup = Setup {
        settings: settings.to_owned(),
        ..Setup::default()
    };
    Scene::of(World::of(setup, true).await).await
}

/// A log of [`BATCHES`] batches as packets, in order.
fn log(scene: &Scene) -> Vec<Bytes> {
    let topic = format!("s1/{}/u", scene.world.material.id(ROGUE));
    let mut head = Head::genesis(scene.id, 0);
    let mut packets = Vec::with_capacity(BATCHES);
    for (pkid, first) in (FIRST..).zip((1..).step_by(RECORDS as usize)).take(BATCHES) {
        let prev = head.prefix();
        let records: Vec<Entry> = (first..first + RECORDS)
            .map(|seq| Entry::new(record(seq)))
            .collect();
        for entry in &records {
            head = head.extend(&entry.bytes);
        }
        let checkpoint = Checkpoint {
            dev: scene.id,
            epoch: 0,
            next: first + RECORDS,
            head,
            boot: 1,
            up: 100,
        };
        let stamps = Stamps {
            epoch: 0,
            first,
            records,
            prev,
            checkpoint: checkpoint.sign(&scene.log_key),
            more: None,
        };
        let payload = frame(pkid, Message::Stamps(stamps));
        packets.push(publish_bytes(&topic, pkid, &payload));
    }
    packets
}

/// A seal that sends everything it has at once, whatever is acknowledged.
struct Flood {
    written: Arc<AtomicUsize>,
    acknowledged: Arc<AtomicUsize>,
    /// Most packets that were on the way at once.
    ahead: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

impl Flood {
    async fn begins(scene: &Scene, mut raw: RawSeal) -> Self {
        let packets = log(scene);
        let down = format!("s1/{}/d", scene.world.material.id(ROGUE));
        raw.listen_lightly(&down).await.expect("sent");
        raw.send_little_ahead();
        let (mut acks, mut wire) = raw.split();
        let [written, acknowledged, ahead] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let (wrote, heard) = (Arc::clone(&written), Arc::clone(&acknowledged));
        let (answered, most) = (Arc::clone(&acknowledged), Arc::clone(&ahead));
        let writer = async move {
            for packet in packets {
                wire.write_all(&packet).await.expect("the session lives");
                wire.flush().await.expect("the session lives");
                let on_the_way = wrote.fetch_add(1, Ordering::SeqCst) + 1;
                let on_the_way = on_the_way.saturating_sub(answered.load(Ordering::SeqCst));
                most.fetch_max(on_the_way, Ordering::SeqCst);
            }
            // Until the last acknowledgement the direction stays open.
            while answered.load(Ordering::SeqCst) < BATCHES {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let reader = async move {
            while heard.load(Ordering::SeqCst) < BATCHES {
                match acks.next().await {
                    Some(FIRST..) => heard.fetch_add(1, Ordering::SeqCst),
                    // Of HELLO.
                    Some(_) => continue,
                    None => return,
                };
            }
        };
        Self {
            written,
            acknowledged,
            ahead,
            tasks: [
                sealgate::tasks::spawn("flood", writer),
                sealgate::tasks::spawn("answers", reader),
            ],
        }
    }

    fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Everything was taken; the sender was held back; everything is stored, in order, once.
    async fn ends_well(self, scene: &Scene) {
        for task in self.tasks {
            patiently("the flood", task).await.expect("no panic");
        }
        assert_eq!(self.acknowledged.load(Ordering::SeqCst), BATCHES);
        let ahead = self.ahead.load(Ordering::SeqCst);
        println!("{BATCHES} packets, at most {ahead} of them on the way at once");
        assert!(ahead < BATCHES / 2, "nothing held the sender back: {ahead}");
        let records = scene.world.records(scene.world.material.id(ROGUE)).await;
        let numbers: Vec<u64> = records.iter().filter_map(|r| r["seq"].as_u64()).collect();
        let expected: Vec<u64> = (1..=BATCHES as u64 * u64::from(RECORDS)).collect();
        assert!(numbers == expected, "{} records", numbers.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_sends_too_fast_is_held_back_and_others_are_not() {
    // Far more than a device may send at once (`front.device_burst`).
    let scene = scene("").await;
    let flood = Flood::begins(&scene, scene.greeted().await).await;
    let mut served = 0;
    while flood.acknowledged() < BATCHES {
        scene.bystander_is_unharmed().await;
        served += 1;
    }
    println!("the bystander was served {served} times meanwhile");
    let truth = scene.bystander.truth().await.expect("a seal");
    assert_eq!(truth.sessions, 1, "the bystander lost its session");
    flood.ends_well(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_somebody_else_holds_the_database_nothing_is_acknowledged_and_nothing_is_lost() {
    let scene = scene("[store]\nacquire_timeout_ms = 120000\n").await;
    let greeted = scene.greeted().await;
    let file = scene.world.gateway.dir().join("sealgate.db");
    let holder = rusqlite::Connection::open(file).expect("the database");
    let busy = std::time::Duration::from_secs(60);
    holder.busy_timeout(busy).expect("patience");
    holder.execute_batch("BEGIN IMMEDIATE").expect("held");
    let flood = Flood::begins(&scene, greeted).await;
    // Until the sender does not get on.
    let mut before = usize::MAX;
    until("the sender is held back", || {
        let now = flood.written();
        let stands = now == before && now > 0;
        before = now;
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            stands.then_some(())
        }
    })
    .await;
    assert!(flood.written() < BATCHES, "nothing held the sender back");
    assert_eq!(
        flood.acknowledged(),
        0,
        "nothing is stored, so nothing is acknowledged"
    );
    holder.execute_batch("ROLLBACK").expect("let go");
    flood.ends_well(&scene).await;
    scene.bystander_is_unharmed().await;
    let truth = scene.bystander.truth().await.expect("a seal");
    assert_eq!(truth.sessions, 1, "the bystander lost its session");
}
