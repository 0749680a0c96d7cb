//! Malformed, oversized, replayed, forged and foreign messages over the real front: each gets its error code or a closed
//! session and moves a counter, and a bystander on the same gateway stamps on.

use ed25519_dalek::SigningKey;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use sealgate_codec::{
    DeviceId, ErrorCode, Frame, Message,
    chain::Head,
    cose,
    message::{Caps, CmdAck, CmdStatus, Hello, LogPosition, ResetCause, Stamps},
    record::{ClockQuality, Entry, Facts, LinkKind, Record, kind},
    statement::Checkpoint,
    ticket::Ticket,
};
use sealgate_simulators::net::SealHandle;
use sealgate_tests::{
    raw::RawSeal,
    wait::patiently,
    world::{World, press},
};

/// A world with a bystander that must not notice anything, and a device that misbehaves.
struct Scene {
    world: World,
    bystander: SealHandle,
    _fleet: sealgate_simulators::fleet::Fleet,
    id: DeviceId,
    log_key: SigningKey,
    /// What the rogue has applied.
    counters: [u32; 4],
}

const ROGUE: usize = 10;

impl Scene {
    async fn new() -> Self {
        let world = World::start().await;
        let fleet = world.fleet(&[0], 1);
        let bystander = fleet.seals()[0].clone();
        world.ready(&bystander, 0, false).await;
        let rogue = &world.material.folder.devices[ROGUE];
        let (id, log_key) = (rogue.id, SigningKey::from_bytes(&rogue.log_seed));
        let mut scene = Self {
            world,
            bystander,
            _fleet: fleet,
            id,
            log_key,
            counters: [0; 4],
        };
        scene.bind_rogue().await;
        scene
    }

    /// Only a bound device has records to send.
    async fn bind_rogue(&mut self) {
        let name = self.world.material.id(ROGUE);
        self.world.deliver(name).await;
        let mut raw = self.greeted().await;
        let path = format!("devices/{name}/bind");
        let order = self.world.api.post(&path, serde_json::json!({})).await;
        let (mid, signed) = loop {
            let down = raw.message().await.expect("a command");
            let frame = Frame::decode(&down.payload).expect("SL/1");
            if let Message::Cmd(signed) = frame.message {
                break (frame.mid, signed);
            }
        };
        let payload = cose::parse(&signed).expect("COSE").payload;
        let ticket = Ticket::decode(payload).expect("a ticket");
        self.counters[ticket.domain.index()] = ticket.ctr;
        let ack = Frame {
            mid: 9,
            re: Some(mid),
            message: Message::CmdAck(CmdAck {
                domain: ticket.domain,
                ctr: ticket.ctr,
                status: CmdStatus::Applied,
                err: None,
            }),
        };
        raw.publish(&format!("s1/{name}/u"), &ack.encode())
            .await
            .expect("sent");
        self.world.applied(&order).await;
    }

    async fn rogue(&self) -> RawSeal {
        let id = self.world.material.id(ROGUE);
        RawSeal::connect(
            self.world.gateway.at.front,
            self.world.material.tls(ROGUE),
            id,
        )
        .await
    }

    /// A session that has said HELLO and got its answer.
    async fn greeted(&self) -> RawSeal {
        let mut raw = self.rogue().await;
        let hello = frame(1, Message::Hello(hello(self.id, self.counters)));
        assert!(matches!(
            self.say(&mut raw, &hello).await,
            Some(Message::HelloAck(_))
        ));
        raw
    }

    /// Sends up; the first message that comes down, `None` when the session ends.
    async fn say(&self, raw: &mut RawSeal, payload: &[u8]) -> Option<Message> {
        let topic = format!("s1/{}/u", self.world.material.id(ROGUE));
        raw.publish(&topic, payload).await.ok()?;
        let Publish { payload, .. } = raw.message().await?;
        Some(
            Frame::decode(&payload)
                .expect("the gateway speaks SL/1")
                .message,
        )
    }

    /// The payload is refused with that code (or a closed session when `None`), and counted.
    async fn refuses(&self, raw: &mut RawSeal, payload: &[u8], code: ErrorCode) {
        let before = self.world.api.metric("sealgate_errors_sent_total").await;
        match self.say(raw, payload).await {
            Some(Message::Err(error)) => assert_eq!(error.code, code, "{payload:02x?}"),
            other => panic!("{payload:02x?}: {other:?}"),
        }
        let after = self.world.api.metric("sealgate_errors_sent_total").await;
        assert!(after > before, "not counted");
    }

    async fn bystander_is_unharmed(&self) {
        press(&self.bystander).await;
        patiently("the bystander", self.world.drained(&self.bystander)).await;
        self.world
            .agrees_with(&self.bystander.truth().await.expect("a seal"))
            .await;
    }

    fn stamps(&self, key: &SigningKey, device: DeviceId, first: u32, count: u32) -> Stamps {
        let mut head = Head::genesis(device, 0);
        for seq in 1..first {
            head = head.extend(&record(seq).encode());
        }
        let prev = head.prefix();
        let records: Vec<Entry> = (first..first + count)
            .map(|seq| Entry::new(record(seq)))
            .collect();
        for entry in &records {
            head = head.extend(&entry.bytes);
        }
        let checkpoint = Checkpoint {
            dev: device,
            epoch: 0,
            next: first + count,
            head,
            boot: 1,
            up: 100,
        };
        Stamps {
            epoch: 0,
            first,
            records,
            prev,
            checkpoint: checkpoint.sign(key),
            more: None,
        }
    }

    async fn stored(&self) -> usize {
        self.world
            .records(self.world.material.id(ROGUE))
            .await
            .len()
    }
}

fn frame(mid: u16, message: Message) -> Vec<u8> {
    Frame {
        mid,
        re: None,
        message,
    }
    .encode()
}

fn record(seq: u32) -> Record {
    Record {
        seq,
        boot: 1,
        up: 10 + seq,
        wall: 0,
        clkq: ClockQuality::Unset,
        kind: kind::STAMP,
        auth: 0,
        n: 0,
        at: None,
        facts: Facts::new(),
    }
}

fn hello(device: DeviceId, counters: [u32; 4]) -> Hello {
    Hello {
        minor: 0,
        fw: 1,
        sec: 1,
        hw: 1,
        boot: 1,
        cause: ResetCause::PowerKey,
        up: 1,
        wall: 0,
        clkq: ClockQuality::Unset,
        batt: 50,
        rssi: None,
        log: LogPosition {
            first: 1,
            next: 1,
            capacity: 800,
        },
        counters,
        locked: false,
        config_version: 0,
        cell: None,
        link: LinkKind::Gprs,
        caps: Caps(Caps::GPRS),
        head: Head::genesis(device, 0).prefix(),
        epoch: 0,
        generation: 0,
        nonce: [9; 8],
        counted: [0; 11],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_get_their_codes() {
    let scene = Scene::new().await;
    let mut raw = scene.greeted().await;
    let good = frame(2, Message::Hello(hello(scene.id, scene.counters)));
    let mut trailing = good.clone();
    trailing.push(0);
    for (payload, code) in [
        (vec![0xff], ErrorCode::Malformed),
        (vec![], ErrorCode::Malformed),
        (good[..good.len() - 3].to_vec(), ErrorCode::Malformed),
        // [200, 1, {}]: a vendor's type.
        (vec![0x83, 0x18, 200, 0x01, 0xa0], ErrorCode::UnknownType),
        (vec![0x81; 64], ErrorCode::Malformed),
    ] {
        scene.refuses(&mut raw, &payload, code).await;
    }
    match scene.say(&mut raw, &trailing).await {
        Some(Message::Err(error)) => {
            assert!(matches!(
                error.code,
                ErrorCode::NotCanonical | ErrorCode::Malformed
            ));
        }
        other => panic!("{other:?}"),
    }
    scene.bystander_is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_packet_ends_the_session() {
    let scene = Scene::new().await;
    let mut raw = scene.greeted().await;
    let before = scene
        .world
        .api
        .metric("sealgate_packets_rejected_total")
        .await;
    let topic = format!("s1/{}/u", scene.world.material.id(ROGUE));
    let _ = raw.publish(&topic, &vec![0x81; 5_000]).await;
    raw.closed().await;
    let after = scene
        .world
        .api
        .metric("sealgate_packets_rejected_total")
        .await;
    assert!(after > before, "not counted");
    scene.bystander_is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_stamps_are_refused_and_not_stored() {
    let scene = Scene::new().await;
    let mut raw = scene.greeted().await;
    let wrong_key = SigningKey::from_bytes(&[3; 32]);
    let forged = frame(2, Message::Stamps(scene.stamps(&wrong_key, scene.id, 1, 2)));
    scene.refuses(&mut raw, &forged, ErrorCode::Signature).await;
    assert_eq!(scene.stored().await, 0);
    scene.bystander_is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stamps_of_another_device_are_refused() {
    let scene = Scene::new().await;
    let mut raw = scene.greeted().await;
    let victim = scene.world.material.folder.devices[11].id;
    let foreign = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, victim, 1, 1)),
    );
    match scene.say(&mut raw, &foreign).await {
        Some(Message::Err(error)) => assert!(
            matches!(
                error.code,
                ErrorCode::WrongDevice | ErrorCode::Signature | ErrorCode::LogFork
            ),
            "{error:?}"
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        scene.world.records(scene.world.material.id(11)).await.len(),
        0
    );
    assert_eq!(scene.stored().await, 0);
    scene.bystander_is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_batch_is_acknowledged_again_and_stored_once() {
    let scene = Scene::new().await;
    let mut raw = scene.greeted().await;
    let batch = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, scene.id, 1, 3)),
    );
    for _ in 0..3 {
        match scene.say(&mut raw, &batch).await {
            Some(Message::LogAck(ack)) => assert_eq!(ack.upto, 4),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(scene.stored().await, 3);
    let mut later = scene.greeted().await;
    assert!(matches!(
        scene.say(&mut later, &batch).await,
        Some(Message::LogAck(_))
    ));
    assert_eq!(scene.stored().await, 3);
    scene.bystander_is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_past_a_gap_is_answered_with_the_gap_and_not_stored() {
    let scene = Scene::new().await;
    let mut raw = scene.greeted().await;
    let early = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, scene.id, 5, 2)),
    );
    match scene.say(&mut raw, &early).await {
        Some(Message::LogAck(ack)) => {
            assert_eq!(ack.upto, 1);
            assert_eq!((ack.gaps[0].start, ack.gaps[0].count), (1, 4));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.stored().await, 0);
    scene.bystander_is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_of_the_same_seal_is_a_fork_and_never_overwrites() {
    let scene = Scene::new().await;
    let mut raw = scene.greeted().await;
    let first = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, scene.id, 1, 2)),
    );
    assert!(matches!(
        scene.say(&mut raw, &first).await,
        Some(Message::LogAck(_))
    ));
    let before = scene.world.records(scene.world.material.id(ROGUE)).await;

    let mut other = record(1);
    other.up = 77;
    let mut head = Head::genesis(scene.id, 0);
    let prev = head.prefix();
    let entry = Entry::new(other);
    head = head.extend(&entry.bytes);
    let checkpoint = Checkpoint {
        dev: scene.id,
        epoch: 0,
        next: 2,
        head,
        boot: 1,
        up: 100,
    };
    let fork = frame(
        3,
        Message::Stamps(Stamps {
            epoch: 0,
            first: 1,
            records: vec![entry],
            prev,
            checkpoint: checkpoint.sign(&scene.log_key),
            more: None,
        }),
    );
    scene.refuses(&mut raw, &fork, ErrorCode::LogFork).await;
    assert_eq!(
        scene.world.records(scene.world.material.id(ROGUE)).await,
        before
    );
    assert!(scene.world.api.metric("sealgate_log_forks_total").await >= 1.0);
    scene.bystander_is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_only_come_down_are_refused_on_the_way_up() {
    let scene = Scene::new().await;
    let mut raw = scene.greeted().await;
    let down = frame(2, Message::Cmd(vec![0x80]));
    match scene.say(&mut raw, &down).await {
        Some(Message::Err(_)) | None => {}
        other => panic!("{other:?}"),
    }
    scene.bystander_is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_never_stop_the_gateway() {
    use rand::{Rng as _, RngCore as _};
    let seed = sealgate_tests::seed::seed("random_bytes_never_stop_the_gateway");
    let mut rng = sealgate_tests::seed::rng(seed);
    let scene = Scene::new().await;
    let good = frame(
        2,
        Message::Stamps(scene.stamps(&scene.log_key, scene.id, 1, 5)),
    );
    for round in 0..60 {
        let mut raw = scene.rogue().await;
        for _ in 0..10 {
            let mut payload = good.clone();
            if round % 2 == 0 {
                payload = vec![0; rng.random_range(0..400)];
                rng.fill_bytes(&mut payload);
            } else {
                let at = rng.random_range(0..payload.len());
                payload[at] ^= 1 << rng.random_range(0..8);
            }
            let topic = format!("s1/{}/u", scene.world.material.id(ROGUE));
            if raw.publish(&topic, &payload).await.is_err() {
                break;
            }
        }
        let _ = raw.send(&Packet::Disconnect).await;
    }
    assert_eq!(
        scene.world.api.metric("sealgate_task_panics_total").await,
        0.0
    );
    scene.bystander_is_unharmed().await;
}
