//! A device that misbehaves, beside a bystander that must not notice anything.

use ed25519_dalek::SigningKey;
use rumqttc::mqttbytes::v4::Publish;
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
    database::Database,
    raw::RawSeal,
    wait::{patiently, until},
    world::{World, press},
};

/// A world with a bystander that must not notice anything, and a device that misbehaves.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) bystander: SealHandle,
    _fleet: sealgate_simulators::fleet::Fleet,
    pub(super) id: DeviceId,
    pub(super) log_key: SigningKey,
    /// What the rogue has applied.
    pub(super) counters: [u32; 4],
}

pub(super) const ROGUE: usize = 10;

impl Scene {
    pub(super) async fn new(database: Database) -> Self {
        Self::of(World::on(database).await).await
    }

    pub(super) async fn of(world: World) -> Self {
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
        // The API knows of a session a moment after the session does.
        let device = format!("devices/{name}");
        until("connected", || async {
            (self.world.api.get(&device).await["connected"] == true).then_some(())
        })
        .await;
        let path = format!("{device}/bind");
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

    pub(super) async fn rogue(&self) -> RawSeal {
        let id = self.world.material.id(ROGUE);
        RawSeal::connect(
            self.world.gateway.at.front,
            self.world.material.tls(ROGUE),
            id,
        )
        .await
    }

    /// A session that has said HELLO and got its answer.
    pub(super) async fn greeted(&self) -> RawSeal {
        let mut raw = self.rogue().await;
        let hello = frame(1, Message::Hello(hello(self.id, self.counters)));
        assert!(matches!(
            self.say(&mut raw, &hello).await,
            Some(Message::HelloAck(_))
        ));
        raw
    }

    /// Sends up; the first message that comes down, `None` when the session ends.
    pub(super) async fn say(&self, raw: &mut RawSeal, payload: &[u8]) -> Option<Message> {
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
    pub(super) async fn refuses(&self, raw: &mut RawSeal, payload: &[u8], code: ErrorCode) {
        let before = self.world.api.metric("sealgate_errors_sent_total").await;
        match self.say(raw, payload).await {
            Some(Message::Err(error)) => assert_eq!(error.code, code, "{payload:02x?}"),
            other => panic!("{payload:02x?}: {other:?}"),
        }
        let after = self.world.api.metric("sealgate_errors_sent_total").await;
        assert!(after > before, "not counted");
    }

    pub(super) async fn bystander_is_unharmed(&self) {
        press(&self.bystander).await;
        patiently("the bystander", self.world.drained(&self.bystander)).await;
        self.world
            .agrees_with(&self.bystander.truth().await.expect("a seal"))
            .await;
    }

    pub(super) fn stamps(
        &self,
        key: &SigningKey,
        device: DeviceId,
        first: u32,
        count: u32,
    ) -> Stamps {
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

    pub(super) async fn stored(&self) -> usize {
        self.world
            .records(self.world.material.id(ROGUE))
            .await
            .len()
    }
}

pub(super) fn frame(mid: u16, message: Message) -> Vec<u8> {
    Frame {
        mid,
        re: None,
        message,
    }
    .encode()
}

pub(super) fn record(seq: u32) -> Record {
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

pub(super) fn hello(device: DeviceId, counters: [u32; 4]) -> Hello {
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
