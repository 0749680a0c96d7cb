//! A seal, a platform made of the codec's receiving end, and the network between them, all in memory and all with a
//! clock that only moves when told.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use ed25519_dalek::SigningKey;
use sealgate_codec::{
    DeviceId, Frame, Message,
    chain::{Cursor, LogReceiver, Verdict},
    cose::Dalek,
    message::{CmdAck, CmdStatus, Gap, HelloAck, LeaseDown, Life, LogAck, Stamps},
    record::Entry,
    statement::{KeyEntry, KeySet, Lease},
    ticket::{Args, GrantArgs, GrantFlags, Scope, Ticket, UseMode},
};

use super::super::*;

const KID: u8 = 7;
const DEVICE: [u8; 8] = *b"sealtest";

/// The start of every world.
pub(crate) const DAWN: u64 = 1_700_000_000_000;

/// The platform of one seal.
pub(crate) struct Platform {
    key: SigningKey,
    log_public: [u8; 32],
    receiver: LogReceiver,
    pub(crate) stored: BTreeMap<u32, Entry>,
    pub(super) counters: [u32; 4],
    pub(super) generation: u32,
    pub(super) lease_ttl_s: u32,
    /// Orders not yet answered, by domain and counter.
    pub(super) pending: BTreeMap<(u8, u32), Vec<u8>>,
    pub(super) answers: Vec<CmdAck>,
    pub(super) alarms: usize,
    pub(super) other: Vec<Message>,
    next_grant: u32,
    mid: u16,
    boot: u32,
    /// Keeps commits but loses their acknowledgements.
    pub(super) mute: bool,
}

/// A root, and a key that may sign everything.
fn anchors(key: &SigningKey) -> Anchors {
    let root = SigningKey::from_bytes(&[1; 32]);
    let scopes = [
        Scope::GRANT,
        Scope::LOCK,
        Scope::UNLOCK,
        Scope::CONFIG,
        Scope::LEASE,
        Scope::RECEIPT,
    ]
    .into_iter()
    .fold(Scope::default(), Scope::union);
    let set = KeySet {
        version: 1,
        entries: vec![KeyEntry {
            kid: KID,
            alg: sealgate_codec::cose::ED25519,
            public: key.verifying_key().to_bytes(),
            scopes,
            not_after: u32::MAX,
        }],
    };
    Anchors {
        root: root.verifying_key().to_bytes(),
        key_set: set.sign(&root, 0),
    }
}

impl Platform {
    fn new(key: SigningKey) -> Self {
        let log_key = SigningKey::from_bytes(&World::LOG_SEED);
        Self {
            key,
            log_public: log_key.verifying_key().to_bytes(),
            receiver: LogReceiver::new(Cursor::genesis(Self::device(), 0)),
            stored: BTreeMap::new(),
            counters: [0; 4],
            generation: 0,
            lease_ttl_s: 3_600,
            pending: BTreeMap::new(),
            answers: Vec::new(),
            alarms: 0,
            other: Vec::new(),
            next_grant: 0,
            mid: 0,
            boot: 0,
            mute: false,
        }
    }

    fn device() -> DeviceId {
        DeviceId::new(DEVICE)
    }

    pub(super) fn ticket(
        &mut self,
        now: u64,
        args: Args,
        window: (Option<u32>, Option<u32>),
    ) -> Vec<u8> {
        let domain = args.op().domain().index();
        self.counters[domain] += 1;
        let issued = seconds(now);
        let ticket = Ticket::new(
            Self::device(),
            self.generation,
            self.counters[domain],
            issued,
            args,
        )
        .with_window(window.0, window.1);
        ticket.sign(&self.key, KID)
    }

    /// Makes an order that stays until it is answered.
    pub(super) fn order(
        &mut self,
        now: u64,
        args: Args,
        window: (Option<u32>, Option<u32>),
    ) -> Vec<u8> {
        let domain = args.op().domain();
        let bytes = self.ticket(now, args, window);
        let counter = self.counters[domain.index()];
        self.pending
            .insert((domain.number(), counter), bytes.clone());
        bytes
    }

    pub(super) fn grant(&mut self, now: u64, max: u16, flags: u16) -> Vec<u8> {
        self.next_grant += 1;
        let args = Args::Grant(GrantArgs {
            no: self.next_grant,
            max,
            mode: UseMode::Physical,
            flags: GrantFlags(flags),
            area: None,
            fingerprints: None,
            activation: None,
            user: 1,
            offline: None,
        });
        let window = (Some(seconds(now) - 5), Some(seconds(now) + 7 * 86_400));
        self.order(now, args, window)
    }

    pub(super) fn grant_no(&self) -> u32 {
        self.next_grant
    }

    fn lease(&self, now: u64, boot: u32, nonce: [u8; 8]) -> Vec<u8> {
        Lease {
            dev: Self::device(),
            generation: self.generation,
            boot,
            nonce,
            iat: seconds(now),
            exp: seconds(now) + self.lease_ttl_s,
        }
        .sign(&self.key, KID)
    }

    fn say(&mut self, re: Option<u16>, message: Message) -> Vec<u8> {
        self.mid = self.mid.wrapping_add(1);
        Frame {
            mid: self.mid,
            re,
            message,
        }
        .encode()
    }

    /// One message up; the answers go down.
    pub(crate) fn hear(&mut self, bytes: &[u8], boot: Option<u32>, now: u64) -> Vec<Vec<u8>> {
        let frame = Frame::decode(bytes).expect("a seal sends what the codec reads");
        let re = Some(frame.mid);
        match frame.message {
            Message::Hello(hello) => {
                assert!(boot.is_none_or(|boot| boot == hello.boot));
                self.boot = hello.boot;
                let boot = hello.boot;
                let ack = HelloAck {
                    minor: 0,
                    now: seconds(now),
                    ackto: self.receiver.cursor.next,
                    keepalive: 240,
                    life: Life::Bound,
                    pending: 0,
                    retry: None,
                    lease: Some(self.lease(now, boot, hello.nonce)),
                };
                let mut down = vec![self.say(re, Message::HelloAck(ack))];
                let orders: Vec<_> = self.pending.values().cloned().collect();
                for order in orders {
                    down.push(self.say(None, Message::Cmd(order)));
                }
                down
            }
            Message::LeaseReq(request) => {
                let lease = self.lease(now, self.boot, request.nonce);
                vec![self.say(re, Message::Lease(LeaseDown { lease }))]
            }
            Message::Stamps(stamps) => self.store(&stamps, re, now),
            Message::CmdAck(ack) => {
                if ack.status != CmdStatus::Accepted {
                    self.pending.remove(&(ack.domain.number(), ack.ctr));
                }
                self.answers.push(ack);
                Vec::new()
            }
            Message::Event(_) => {
                self.alarms += 1;
                Vec::new()
            }
            other => {
                self.other.push(other);
                Vec::new()
            }
        }
    }

    fn store(&mut self, stamps: &Stamps, re: Option<u16>, now: u64) -> Vec<Vec<u8>> {
        let verdict = self
            .receiver
            .check_signed(stamps, Self::device(), &self.log_public, &Dalek)
            .expect("the seal signs its own checkpoints");
        let mut gaps = Vec::new();
        match verdict {
            Verdict::Append(append) => {
                for entry in append.records(stamps) {
                    let before = self.stored.insert(entry.record.seq, *entry);
                    assert!(before.is_none(), "stored twice: {entry:?}");
                }
                self.receiver.commit(append.cursor);
            }
            Verdict::Duplicate { .. } => {
                for entry in &stamps.records {
                    assert_eq!(self.stored.get(&entry.record.seq), Some(entry));
                }
            }
            Verdict::Gap { from, count } => gaps.push(Gap {
                start: from,
                count: u16::try_from(count).unwrap_or(u16::MAX),
            }),
            other => panic!("a seal without faults never gets {other:?}"),
        }
        if self.mute {
            return Vec::new();
        }
        let ack = LogAck {
            epoch: stamps.epoch,
            upto: self.receiver.cursor.next,
            now: seconds(now),
            gaps,
            receipt: None,
        };
        vec![self.say(re, Message::LogAck(ack))]
    }
}

/// All of it.
pub(crate) struct World {
    pub(super) seal: Seal,
    pub(super) platform: Platform,
    pub(super) now: u64,
    /// Connections can be made.
    pub(super) covered: bool,
    /// Everything up is sent twice.
    pub(super) doubling: bool,
    connected: bool,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    pub(super) connects: usize,
}

impl World {
    /// Seed of the seal's log key.
    pub(crate) const LOG_SEED: [u8; 32] = [3; 32];

    pub(crate) fn device() -> DeviceId {
        Platform::device()
    }

    pub(super) fn new(seed: u64, params: Params) -> Self {
        let key = SigningKey::from_bytes(&[2; 32]);
        let device = Self::device();
        let identity = Identity {
            device,
            name: device.to_string(),
            log_seed: Self::LOG_SEED,
            anchors: Arc::new(anchors(&key)),
        };
        let flash = Flash::factory(&identity, &params);
        let truth = Truth::of(device.to_string());
        let seal = Seal::new(identity, params, flash, truth, seed).expect("the key set is signed");
        Self {
            seal,
            platform: Platform::new(key),
            now: DAWN,
            covered: true,
            doubling: false,
            connected: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            connects: 0,
        }
    }

    /// A seal that is off, bound, and holds a grant of `max` stamps, and its platform, at another time.
    pub(crate) fn granted_at(now: u64, max: u16) -> Self {
        let mut world = Self::new(1, Params::default());
        world.now = now - 10_000;
        world.act(Input::PowerKey);
        let order = world.platform.order(now, Args::Bind, (None, None));
        world.deliver(order);
        let grant = world.platform.grant(world.now, max, 0);
        world.deliver(grant);
        world.act(Input::PowerKey);
        world.pass(3_000);
        assert!(!world.seal.is_on());
        world
    }

    pub(crate) fn into_parts(self) -> (Seal, Platform) {
        (self.seal, self.platform)
    }

    /// A world whose seal is on, bound, and holds a grant of `max` stamps that allows offline mode.
    pub(super) fn granted(seed: u64, max: u16) -> Self {
        let mut world = Self::bound(seed);
        let grant = world
            .platform
            .grant(world.now, max, GrantFlags::OFFLINE_ALLOWED);
        world.deliver(grant);
        world
    }

    pub(super) fn bound(seed: u64) -> Self {
        let mut world = Self::new(seed, Params::default());
        world.act(Input::PowerKey);
        let now = world.now;
        let bind = world.platform.order(now, Args::Bind, (None, None));
        world.deliver(bind);
        world.pass(2_000);
        assert!(world.seal.flash().bound);
        world
    }

    /// Something happens to the seal; what follows from it at once follows.
    pub(super) fn act(&mut self, input: Input) {
        self.seal.handle(input, self.now);
        self.settle();
    }

    pub(super) fn press(&mut self) -> TruthPress {
        self.act(Input::Press(Press::proper()));
        self.seal.last_press().expect("the seal is on")
    }

    /// Something happens to the seal, and the world stops before anything it led to leaves the seal.
    pub(super) fn act_alone(&mut self, input: Input) {
        self.seal.handle(input, self.now);
    }

    /// Sends an order down, if there is a session.
    pub(super) fn deliver(&mut self, order: Vec<u8>) {
        if self.seal.is_online() {
            let message = self.platform.say(None, Message::Cmd(order));
            self.down.push_back(message);
            self.settle();
        }
    }

    pub(super) fn order(&mut self, args: Args) {
        let now = self.now;
        let order = self.platform.order(now, args, (None, None));
        self.deliver(order);
    }

    /// The connection breaks; what was under way is lost.
    pub(super) fn drop_link(&mut self) {
        self.up.clear();
        self.down.clear();
        if std::mem::take(&mut self.connected) {
            self.act(Input::LinkLost);
        }
    }

    /// Lets time pass, stopping at every moment the seal asks for.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        for _ in 0..100_000 {
            match self.seal.poll_timeout() {
                Some(at) if at <= end => {
                    self.now = at.max(self.now);
                    self.act(Input::Tick);
                }
                _ => {
                    self.now = end;
                    self.act(Input::Tick);
                    return;
                }
            }
        }
        panic!("the seal asks for the same moment for ever");
    }

    /// Carries messages until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        loop {
            self.carry_outputs();
            if let Some(bytes) = self.up.pop_front() {
                let boot = self.seal.flash().boot;
                let answers = self.platform.hear(&bytes, Some(boot), self.now);
                self.down.extend(answers);
            } else if let Some(bytes) = self.down.pop_front() {
                self.seal.handle(Input::Down(bytes), self.now);
            } else {
                return;
            }
        }
    }

    fn carry_outputs(&mut self) {
        while let Some(output) = self.seal.poll_output() {
            match output {
                Output::Connect => {
                    self.connects += 1;
                    self.connected = self.covered;
                    let input = match self.covered {
                        true => Input::LinkUp,
                        false => Input::LinkLost,
                    };
                    self.seal.handle(input, self.now);
                }
                Output::Disconnect { orderly } => {
                    if !orderly {
                        self.up.clear();
                    }
                    self.down.clear();
                    self.connected = false;
                }
                Output::Send { payload, .. } => {
                    if self.connected {
                        if self.doubling {
                            self.up.push_back(payload.clone());
                        }
                        self.up.push_back(payload);
                    }
                }
            }
        }
    }

    /// Everything heals: coverage, power, time enough for every retry.
    pub(super) fn heal(&mut self) {
        self.covered = true;
        self.platform.mute = false;
        self.pass(5_000);
        if !self.seal.is_on() {
            self.act(Input::PowerKey);
        }
        for _ in 0..200 {
            if self.seal.unsent() == 0 && self.platform.pending.is_empty() {
                return;
            }
            self.pass(30_000);
            if !self.seal.is_on() {
                self.act(Input::PowerKey);
            }
        }
        panic!(
            "never in step: {} records unsent, {:?} orders pending, answers {:?}",
            self.seal.unsent(),
            self.platform.pending.keys(),
            self.platform.answers,
        );
    }
}

pub(super) fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1_000).expect("before 2106")
}
