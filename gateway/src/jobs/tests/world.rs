//! The world of these tests: a gateway without sockets, and a seal as firmware would behave. It lives on SQLite, or on the
//! PostgreSQL that `SEALGATE_TEST_POSTGRES` names.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use futures_util::future::BoxFuture;
use sealgate_codec::{
    DeviceId as WireId, ErrorCode, Frame, Message,
    chain::Head,
    cose,
    message::{Caps, CmdAck, CmdStatus, Hello, HelloAck, LogAck, LogPosition, ResetCause, Stamps},
    record::{ClockQuality, Entry, Facts, GrantState, LinkKind as WireLink, Record},
    statement::{Checkpoint, KeyEntry, KeySet},
    ticket::{Args, Scope, Ticket},
};
use sealgate_domain::{DeviceId, Millis, OrganizationId, command::State, device::Life};
use tokio::time::timeout;

use crate::{
    app::{
        App, AppError,
        command::{Issue, enqueue},
        order::Order,
    },
    clock::{SharedClock, SystemClock},
    config::Config,
    devices::{
        Devices, Settings,
        link::{
            CloseReason, Downlink, Identity, LinkEnd, LinkKind, Refusal, Session, SessionHost,
            UplinkLane,
        },
    },
    jobs::{Jobs, Parts},
    providers::Providers,
    signer::{Answers, Purpose, SharedSigner, SignRequest, Signed, Signer, SignerError},
    store::{
        self, Lane, Store, StoreError, command, device, organization,
        testing::{Home, device_row},
    },
    telemetry::Metrics,
};

/// The name of a node that was given none.
pub(super) const NODE: &str = "node-1";

const PATIENCE: Duration = Duration::from_secs(20);

fn system() -> SharedClock {
    Arc::new(SystemClock::new())
}

/// Signs everything with one key.
struct OneKey(SigningKey);

impl Signer for OneKey {
    fn sign(&self, requests: Vec<SignRequest>) -> BoxFuture<'_, Result<Answers, SignerError>> {
        let sign = |request: SignRequest| {
            let purpose = match request.purpose {
                Purpose::Ticket => cose::Purpose::Command,
                Purpose::Lease => cose::Purpose::Lease,
                Purpose::Receipt => cose::Purpose::Receipt,
            };
            let cose = cose::sign_with(&self.0, 1, purpose, &request.payload);
            Ok(Signed { cose })
        };
        let answers = requests.into_iter().map(sign).collect();
        Box::pin(async move { Ok(answers) })
    }

    fn key_set(&self) -> BoxFuture<'_, Result<Vec<u8>, SignerError>> {
        let public = self.0.verifying_key().to_bytes();
        let set = KeySet {
            version: 1,
            entries: vec![KeyEntry {
                kid: 1,
                alg: cose::ED25519,
                public,
                scopes: Scope::LOCK,
                not_after: u32::MAX,
            }],
        };
        Box::pin(async move { Ok(set.sign(&self.0, 0)) })
    }
}

/// A gateway.
pub(super) struct World {
    pub(super) app: App,
    pub(super) devices: Devices,
    pub(super) metrics: Arc<Metrics>,
    pub(super) organization: OrganizationId,
    pub(super) file: std::path::PathBuf,
    pub(super) jobs: Jobs,
    _home: Home,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Home::any().await, Self::one_key(), system(), change).await
    }

    /// For what only a file can show.
    pub(super) async fn on_sqlite() -> Self {
        let mut home = Home::sqlite();
        home.config.acquire_timeout_ms = 300;
        Self::at(home, Self::one_key(), system(), |_| {}).await
    }

    pub(super) async fn signed_by(signer: SharedSigner, change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Home::any().await, signer, system(), change).await
    }

    /// By a clock the test moves.
    pub(super) async fn by(clock: SharedClock) -> Self {
        Self::at(Home::any().await, Self::one_key(), clock, |_| {}).await
    }

    /// The sessions of the next run of this node, on the same database.
    pub(super) async fn next_run(&mut self) {
        self.devices.drain().await;
        let settings = Settings::new(&Config::default());
        let next = Devices::start(
            self.app.clone(),
            Self::one_key(),
            self.metrics.clone(),
            settings,
        );
        self.devices = next.await.unwrap();
    }

    pub(super) fn one_key() -> SharedSigner {
        Arc::new(OneKey(SigningKey::from_bytes(&[1; 32])))
    }

    async fn at(
        home: Home,
        signer: SharedSigner,
        clock: SharedClock,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let file = home.file.clone();
        let mut config = Config {
            store: home.config.clone(),
            ..Config::default()
        };
        config.commands.poll_ms = 50;
        change(&mut config);
        let store = Store::open(&config.store).await.unwrap();
        store.migrate().await.unwrap();
        let app = App::new(store, clock, Providers::memory());
        let metrics = Arc::new(Metrics::new());
        let settings = Settings::new(&config);
        let devices = Devices::start(app.clone(), signer.clone(), metrics.clone(), settings)
            .await
            .unwrap();
        let jobs = Jobs::start(&Parts {
            app: app.clone(),
            devices: devices.clone(),
            signer,
            bus: None,
            metrics: metrics.clone(),
            node: config.node.id.clone(),
            commands: config.commands.clone(),
        });
        let organization = OrganizationId(uuid::Uuid::from_u128(7));
        let world = Self {
            app,
            devices,
            metrics,
            organization,
            file,
            jobs,
            _home: home,
        };
        world.add_organization().await;
        world
    }

    async fn add_organization(&self) {
        let row = organization::Row {
            id: self.organization.0,
            name: "测试单位".to_owned(),
            grants_required: true,
            device_quota: 50,
            next_member_no: 1,
            version: 1,
            created_at: 0,
            mode_switched_at: organization::NEVER.to_owned(),
        };
        self.write(move |tx| {
            let row = row.clone();
            async move { organization::insert(&tx, &row).await }
        })
        .await;
    }

    pub(super) async fn write<T, F, Fut>(&self, work: F) -> T
    where
        F: Fn(store::Tx) -> Fut + Send,
        Fut: Future<Output = Result<T, StoreError>> + Send,
        T: Send,
    {
        let done: Result<T, StoreError> = self.app.store.write(Lane::Normal, work).await;
        let done = done.unwrap();
        self.app.wake.poke();
        done
    }

    /// A delivered seal.
    pub(super) async fn seal(&self, number: u8) -> Seal {
        let seal = Seal::new(number);
        let row = seal.row(self.organization);
        self.write(move |tx| {
            let row = row.clone();
            async move { device::insert(&tx, &row).await }
        })
        .await;
        seal
    }

    /// A seal that is bound already.
    pub(super) async fn bound_seal(&self, number: u8) -> Seal {
        let seal = self.seal(number).await;
        self.change(&seal, |row| row.life = Life::Bound.as_str().to_owned())
            .await;
        seal
    }

    pub(super) async fn change(
        &self,
        seal: &Seal,
        change: impl Fn(&mut device::Row) + Send + Sync,
    ) {
        let id = seal.id;
        let change = &change;
        self.write(|tx| async move {
            let mut row = device::lock(&tx, id).await?.unwrap();
            change(&mut row);
            device::save(&tx, &mut row).await
        })
        .await;
        self.devices.changed(id);
    }

    /// From now on the organization's seals are in free use.
    pub(super) async fn require_no_grants(&self) {
        let id = self.organization;
        self.write(|tx| async move {
            let mut row = organization::lock(&tx, id).await?.unwrap();
            row.grants_required = false;
            organization::save(&tx, &mut row).await
        })
        .await;
    }

    /// Waits until the database has the seal as connected.
    pub(super) async fn connected(&self, seal: &Seal) {
        let there = || async { self.report(seal).await.connected };
        self.eventually("the seal is connected", there).await;
    }

    pub(super) async fn order(&self, seal: &Seal, order: Order) -> command::Row {
        self.order_at(seal, order, self.app.clock.now()).await
    }

    pub(super) async fn order_at(&self, seal: &Seal, order: Order, now: Millis) -> command::Row {
        let id = seal.id;
        let order = &order;
        self.write(|tx| async move {
            let mut row = device::lock(&tx, id).await?.unwrap();
            if matches!(order, Order::Lock {}) {
                row.desired_locked = true;
                row.lock_issued_at = Some(now.0);
                row.lock_lifted_at = None;
            }
            if matches!(order, Order::Unlock {}) {
                row.desired_locked = false;
                row.lock_lifted_at = Some(now.0);
            }
            enqueue(&tx, &mut row, order, &Issue::system(now)).await
        })
        .await
    }

    pub(super) async fn command(&self, row: &command::Row) -> command::Row {
        let reader = self.app.store.read();
        command::find(&reader, row.key()).await.unwrap().unwrap()
    }

    /// Waits until a command is in that state.
    pub(super) async fn until(&self, row: &command::Row, state: State) -> command::Row {
        let wait = async {
            loop {
                let row = self.command(row).await;
                if row.state().unwrap() == state {
                    return row;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = timeout(PATIENCE, wait).await;
        match found {
            Ok(row) => row,
            Err(_) => panic!("is {} instead of {state:?}", self.command(row).await.state),
        }
    }

    pub(super) async fn device(&self, seal: &Seal) -> device::Row {
        let reader = self.app.store.read();
        device::find(&reader, seal.id).await.unwrap().unwrap()
    }

    pub(super) async fn report(&self, seal: &Seal) -> store::report::Row {
        let reader = self.app.store.read();
        store::report::find(&reader, seal.id)
            .await
            .unwrap()
            .unwrap()
    }

    /// Sequence numbers of the stored records, oldest first.
    pub(super) async fn stored(&self, seal: &Seal) -> Vec<u32> {
        let reader = self.app.store.read();
        let rows = store::stamp::range(&reader, seal.id, 1, 1, u32::MAX)
            .await
            .unwrap();
        rows.iter().map(store::stamp::Row::seq).collect()
    }

    /// Kinds of the alarms raised about a seal.
    pub(super) async fn alarms(&self, seal: &Seal) -> Vec<String> {
        self.app.sequence_outbox().await.unwrap();
        let filter = store::OutboxFilter {
            device: Some(seal.id),
            topics: vec![store::Topic::Alarm],
            ..store::OutboxFilter::default()
        };
        self.app.store.sequence().await.unwrap();
        let reader = self.app.store.read();
        let rows = reader.outbox_after(0, 1_000, &filter).await.unwrap();
        let kind = |row: &store::EventRow| row.payload["kind"].as_str().unwrap().to_owned();
        rows.iter().map(kind).collect()
    }

    /// What changed of a seal.
    pub(super) async fn changes(&self, seal: &Seal) -> Vec<String> {
        let filter = store::OutboxFilter {
            device: Some(seal.id),
            topics: vec![store::Topic::Device],
            ..store::OutboxFilter::default()
        };
        self.app.sequence_outbox().await.unwrap();
        let reader = self.app.store.read();
        let rows = reader.outbox_after(0, 1_000, &filter).await.unwrap();
        let change = |row: &store::EventRow| row.payload["change"].as_str().map(str::to_owned);
        rows.iter().filter_map(change).collect()
    }

    pub(super) async fn open(&self, seal: &Seal, kind: LinkKind) -> Result<Link, Refusal> {
        let identity = Identity {
            device: seal.id,
            certificate: seal.certificate,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            kind,
        };
        let session = self.devices.open(identity).await?;
        Ok(Link {
            session,
            mid: 0,
            accepted: 0,
        })
    }

    /// A connected seal that has said HELLO.
    pub(super) async fn greeted(&self, seal: &mut Seal) -> (Link, HelloAck) {
        let mut link = self.open(seal, LinkKind::Mqtt).await.unwrap();
        let ack = link.hello(seal).await;
        (link, ack)
    }

    /// Waits until something holds.
    pub(super) async fn eventually<F, Fut>(&self, what: &str, holds: F)
    where
        F: Fn() -> Fut,
        Fut: Future<Output = bool>,
    {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}");
    }

    /// Renews implicit grants of what is connected, as the job does.
    pub(super) async fn renew_free_use(&self) -> Result<usize, AppError> {
        self.app.renew_free_use(&self.devices.live()).await
    }
}

/// A seal: what its flash holds.
pub(super) struct Seal {
    pub(super) id: DeviceId,
    pub(super) certificate: [u8; 32],
    pub(super) key: SigningKey,
    pub(super) boot: u32,
    pub(super) up: u32,
    pub(super) epoch: u32,
    /// The oldest record it has not freed.
    pub(super) first: u32,
    pub(super) next: u32,
    pub(super) head: Head,
    pub(super) counters: [u32; 4],
    pub(super) locked: bool,
    pub(super) generation: u32,
}

impl Seal {
    pub(super) fn new(number: u8) -> Self {
        let id = DeviceId([number; 8]);
        Self {
            id,
            certificate: [number; 32],
            key: SigningKey::from_bytes(&[number; 32]),
            boot: 1,
            up: 10,
            epoch: 1,
            first: 1,
            next: 1,
            head: Head::genesis(WireId::new(id.0), 1),
            counters: [0; 4],
            locked: false,
            generation: 0,
        }
    }

    pub(super) fn wire(&self) -> WireId {
        WireId::new(self.id.0)
    }

    fn row(&self, organization: OrganizationId) -> device::Row {
        device::Row {
            id: self.id.to_key(),
            serial: format!("S{}", self.id),
            name: "章".to_owned(),
            life: Life::Unbound.as_str().to_owned(),
            organization_id: Some(organization.0),
            cert_fingerprint: self.certificate.to_vec(),
            log_key: self.key.verifying_key().to_bytes().to_vec(),
            created_at: 0,
            ..device_row(0)
        }
    }

    pub(super) fn hello(&mut self) -> Hello {
        self.up += 1;
        Hello {
            minor: 0,
            fw: 1,
            sec: 0,
            hw: 1,
            boot: self.boot,
            cause: ResetCause::PowerKey,
            up: self.up,
            wall: 0,
            clkq: ClockQuality::Unset,
            batt: 80,
            rssi: Some(-60),
            log: LogPosition {
                first: self.first,
                next: self.next,
                capacity: 800,
            },
            counters: self.counters,
            locked: self.locked,
            config_version: 0,
            cell: None,
            link: WireLink::Gprs,
            caps: Caps::default(),
            head: self.head.prefix(),
            epoch: self.epoch,
            generation: self.generation,
            nonce: rand::random(),
            counted: [0; 11],
        }
    }

    /// Makes `count` presses and the batch that carries them.
    pub(super) fn press(&mut self, count: u32) -> Stamps {
        let entries = (0..count)
            .map(|_| self.entry(GrantState::NoneNow))
            .collect();
        self.batch(entries)
    }

    pub(super) fn entry(&mut self, grant: GrantState) -> Entry {
        self.up += 1;
        let entry = Entry::new(Record {
            seq: self.next,
            boot: self.boot,
            up: self.up,
            wall: 0,
            clkq: ClockQuality::Unset,
            kind: 0,
            auth: 0,
            n: 0,
            at: None,
            facts: Facts::new()
                .with_grant_state(grant)
                .with_link(WireLink::Gprs),
        });
        self.next += 1;
        entry
    }

    /// The batch of entries that follow what is in the chain.
    pub(super) fn batch(&mut self, records: Vec<Entry>) -> Stamps {
        let prev = self.head.prefix();
        let first = records[0].record.seq;
        for entry in &records {
            self.head = self.head.extend(&entry.bytes);
        }
        Stamps {
            epoch: self.epoch,
            first,
            prev,
            checkpoint: self.checkpoint().sign(&self.key),
            records,
            more: None,
        }
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            dev: self.wire(),
            epoch: self.epoch,
            next: self.next,
            head: self.head,
            boot: self.boot,
            up: self.up,
        }
    }

    /// Obeys a command: counter and effect in one step.
    pub(super) fn obey(&mut self, cose: &[u8]) -> (Ticket, CmdAck) {
        let ticket = Ticket::decode(cose::parse(cose).unwrap().payload).unwrap();
        self.counters[ticket.domain.index()] = ticket.ctr;
        match ticket.args {
            Args::Lock { .. } => self.locked = true,
            Args::Unlock { .. } => self.locked = false,
            Args::Unbind => self.generation += 1,
            _ => {}
        }
        let ack = CmdAck {
            domain: ticket.domain,
            ctr: ticket.ctr,
            status: CmdStatus::Applied,
            err: None,
        };
        (ticket, ack)
    }
}

/// The link of a connected seal.
pub(super) struct Link {
    pub(super) session: Session,
    pub(super) mid: u16,
    pub(super) accepted: u32,
}

impl Link {
    pub(super) async fn send(&mut self, lane: UplinkLane, message: Message) -> u16 {
        self.mid += 1;
        let frame = match &message {
            // Nothing of ours is named: the session does not look at it.
            Message::CmdAck(_) => Frame::reply(self.mid, 1, message),
            _ => Frame::new(self.mid, message),
        };
        self.send_bytes(lane, frame.encode()).await;
        self.mid
    }

    pub(super) async fn say(&mut self, message: Message) -> u16 {
        self.send(UplinkLane::Reliable, message).await
    }

    pub(super) async fn send_bytes(&mut self, lane: UplinkLane, bytes: Vec<u8>) {
        let sent = self.session.uplink.send(lane, Bytes::from(bytes));
        timeout(PATIENCE, sent).await.unwrap().unwrap();
    }

    /// The next thing down.
    pub(super) async fn next(&mut self) -> Option<Downlink> {
        let next = self.session.downlink.recv();
        timeout(PATIENCE, next).await.expect("something comes down")
    }

    /// The next message; acknowledgements on the way are counted.
    pub(super) async fn message(&mut self) -> Frame {
        loop {
            match self.next().await {
                Some(Downlink::Payload { payload, .. }) => return Frame::decode(&payload).unwrap(),
                Some(Downlink::Accepted) => self.accepted += 1,
                other => panic!("{other:?} instead of a message"),
            }
        }
    }

    /// Waits for acknowledgements and nothing else.
    pub(super) async fn accepted(&mut self, count: u32) {
        while self.accepted < count {
            match self.next().await {
                Some(Downlink::Accepted) => self.accepted += 1,
                other => panic!("{other:?} instead of an acknowledgement"),
            }
        }
    }

    pub(super) async fn close_reason(&mut self) -> CloseReason {
        loop {
            match self.next().await {
                Some(Downlink::Close(reason)) => return reason,
                Some(Downlink::Accepted) => self.accepted += 1,
                Some(Downlink::Payload { .. }) => {}
                None => panic!("no reason given"),
            }
        }
    }

    pub(super) async fn hello(&mut self, seal: &mut Seal) -> HelloAck {
        let hello = seal.hello();
        let mid = self.say(Message::Hello(hello)).await;
        loop {
            let frame = self.message().await;
            if let Message::HelloAck(ack) = frame.message {
                assert_eq!(frame.re, Some(mid));
                return ack;
            }
        }
    }

    pub(super) async fn log_ack(&mut self) -> LogAck {
        match self.message().await.message {
            Message::LogAck(ack) => ack,
            other => panic!("{other:?} instead of LOG-ACK"),
        }
    }

    pub(super) async fn error(&mut self) -> ErrorCode {
        match self.message().await.message {
            Message::Err(error) => error.code,
            other => panic!("{other:?} instead of ERR"),
        }
    }

    pub(super) async fn command(&mut self) -> Vec<u8> {
        match self.message().await.message {
            Message::Cmd(cose) => cose,
            other => panic!("{other:?} instead of CMD"),
        }
    }

    /// Receives one command, obeys it and says so.
    pub(super) async fn obey(&mut self, seal: &mut Seal) -> Ticket {
        let cose = self.command().await;
        let (ticket, ack) = seal.obey(&cose);
        self.say(Message::CmdAck(ack)).await;
        ticket
    }

    pub(super) async fn lose(self) {
        self.session.uplink.end(LinkEnd::Lost).await;
    }
}
