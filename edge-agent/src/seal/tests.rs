//! The core against the seal's own link machine, in virtual time.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sealgate_codec::{
    Frame, Message, MessageType,
    edge::{LinkState, PassResult, SealOpen},
    link::{Framing, Link as _, LinkEvent, LinkLimits, Received, SealLink, SealSetup, public_key},
    message::{Caps, ErrMsg, Hello, LeaseReq, LogAck, LogPosition, OtaBlk, ResetCause, Stamps},
    record::{ClockQuality, Entry, Facts, LinkKind, Record, kind},
    statement::{KeyEntry, KeySet, LinkRole, LinkTicket},
    ticket::Scope,
};

use super::*;
use crate::queue::{Done, MemoryStore, Op, Store as _};

pub(crate) const DEV: DeviceId = DeviceId::new([0, 1, 2, 3, 4, 5, 6, 7]);
pub(crate) const NOW: u32 = 1_795_000_000;
pub(crate) const BOX: [u8; 32] = [0xb0; 32];
pub(crate) const SEAL: [u8; 32] = [0x5e; 32];
const KID: u8 = 9;

pub(crate) fn keys() -> KeySet {
    KeySet {
        version: 1,
        entries: vec![KeyEntry {
            kid: KID,
            alg: sealgate_codec::cose::ED25519,
            public: SigningKey::from_bytes(&[KID; 32])
                .verifying_key()
                .to_bytes(),
            scopes: Scope::LINK,
            not_after: NOW + 365 * 86_400,
        }],
    }
}

pub(crate) fn ticket(dev: DeviceId) -> Vec<u8> {
    LinkTicket {
        dev,
        key: public_key(&BOX),
        role: LinkRole::Edge,
        user: 1,
        iat: NOW,
        exp: NOW + 86_400,
    }
    .sign(&SigningKey::from_bytes(&[KID; 32]), KID)
}

/// One box, one seal, the air between them, a queue, and a gateway that notes what it gets.
struct Rig {
    now: Millis,
    core: SealCore,
    store: MemoryStore,
    seal: Option<SealLink>,
    seal_said: Vec<LinkEvent>,
    up: Vec<SealFrame>,
    said: Vec<String>,
    random: StdRng,
    /// Percent of values that vanish.
    loss: u32,
    connected: bool,
    full: bool,
}

impl Rig {
    fn new(seed: u64) -> Self {
        Self {
            now: 0,
            core: SealCore::new(DEV, 0, 5_000),
            store: MemoryStore::new(1 << 20),
            seal: None,
            seal_said: Vec::new(),
            up: Vec::new(),
            said: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            loss: 0,
            connected: false,
            full: false,
        }
    }

    fn connect(&mut self, framing: Framing, time: Option<u32>) {
        let limits = match framing {
            Framing::Ble { .. } => LinkLimits::BLE,
            Framing::Uart => LinkLimits::UART,
        };
        let Done::Term(term) = self.store.apply(&[Op::Term { dev: DEV }], 1).unwrap()[0] else {
            panic!("a number");
        };
        let setup = BoxSetup {
            framing,
            limits,
            secret: BOX,
            seal: public_key(&SEAL),
            ticket: ticket(DEV),
            ephemeral: self.random.random(),
        };
        let seal = SealSetup {
            framing,
            limits,
            dev: DEV,
            secret: SEAL,
            keys: keys(),
            time,
            seed: self.random.random(),
        };
        self.seal = Some(SealLink::accept(seal, self.now));
        self.connected = true;
        self.core.connect(setup, term, Some(-60), self.now).unwrap();
        self.settle();
    }

    /// Carries values and outputs until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.core.poll() {
                moved = true;
                self.obey(output);
            }
            if let Some(after) = self.core.wants() {
                let read = self.store.read(DEV, after, 4_000).unwrap();
                moved |= !read.is_empty();
                self.core.queued(read);
            }
            moved |= self.seal_turn();
            if !moved {
                return;
            }
        }
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Write(value) => {
                let lost = self.random.random_range(0..100) < self.loss;
                if let (Some(seal), false) = (&mut self.seal, lost) {
                    seal.receive(&value, self.now);
                }
            }
            Output::Append {
                term,
                message,
                reserve,
            } => {
                let op = Op::Append {
                    dev: DEV,
                    term,
                    body: message.clone(),
                    reserve,
                };
                let done = if self.full {
                    Done::Full
                } else {
                    self.store.apply(&[op], 1).unwrap()[0]
                };
                let result = match done {
                    Done::At(_) => Appended::Done,
                    _ => Appended::NoRoom,
                };
                self.core.appended(&message, result, self.now);
            }
            Output::Stored(upto) => {
                self.store
                    .apply(&[Op::Stored { dev: DEV, upto }], 1)
                    .unwrap();
            }
            Output::Up(frame) => {
                let bytes = frame.encode();
                self.up.push(SealFrame::decode(&bytes).unwrap());
            }
            Output::Closed(reason) => {
                self.connected = false;
                self.said.push(format!("closed: {reason}"));
            }
            other => self.said.push(format!("{other:?}")),
        }
    }

    fn seal_turn(&mut self) -> bool {
        let mut moved = false;
        let Some(seal) = &mut self.seal else {
            return false;
        };
        let mut values = Vec::new();
        while let Some(value) = seal.poll_output() {
            values.push(value);
        }
        while let Some(event) = seal.poll_event() {
            moved = true;
            self.seal_said.push(event);
        }
        for value in values {
            moved = true;
            if self.connected && self.random.random_range(0..100) >= self.loss {
                self.core.bytes(&value, self.now);
            }
        }
        moved
    }

    /// Time passes, timers fire.
    fn pass(&mut self, ms: Millis) {
        let end = self.now + ms;
        loop {
            let seal = self.seal.as_ref().and_then(|seal| seal.deadline());
            let due = [self.core.deadline(), seal].into_iter().flatten().min();
            let Some(due) = due.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(due);
            self.core.tick(self.now);
            if let Some(seal) = &mut self.seal {
                seal.tick(self.now);
            }
            self.settle();
        }
        self.now = end;
    }

    fn seal_says(&mut self, frame: &Frame) {
        self.seal
            .as_mut()
            .unwrap()
            .send(&frame.encode(), self.now)
            .unwrap();
        self.settle();
    }

    fn gateway(&mut self, frame: SealFrame) {
        self.core.frame(frame, self.now).unwrap();
        self.settle();
    }

    fn open_stream(&mut self) {
        let first = self.store.read(DEV, 0, 1).unwrap();
        self.core
            .stream_opened(first.first().map_or(0, |q| q.pos), self.now);
        self.settle();
    }

    fn seal_messages(&self) -> Vec<Message> {
        let frames = self.seal_said.iter().filter_map(|event| match event {
            LinkEvent::Message(bytes) => Some(Frame::decode(bytes).unwrap().message),
            _ => None,
        });
        frames.collect()
    }
}

const BLE: Framing = Framing::Ble { mtu: 185 };

fn entry(seq: u32) -> Entry {
    Entry::new(Record {
        seq,
        boot: 1,
        up: seq,
        wall: NOW,
        clkq: ClockQuality::Secure,
        kind: kind::STAMP,
        auth: 7,
        n: 1,
        at: None,
        facts: Facts::default(),
    })
}

/// A batch; its checkpoint is not the box's business.
pub(crate) fn stamps(mid: u16, first: u32, count: u32) -> Frame {
    Frame::new(
        mid,
        Message::Stamps(Stamps {
            epoch: 1,
            first,
            records: (first..first + count).map(entry).collect(),
            prev: [0; 16],
            checkpoint: vec![1; 80],
            more: None,
        }),
    )
}

/// Live, worth nothing later, and allowed on a restricted link.
fn lease_req(mid: u16) -> Frame {
    Frame::new(mid, Message::LeaseReq(LeaseReq { nonce: [1; 8] }))
}

pub(crate) fn hello(mid: u16) -> Frame {
    Frame::new(
        mid,
        Message::Hello(Hello {
            minor: 0,
            fw: 1,
            sec: 1,
            hw: 1,
            boot: 1,
            cause: ResetCause::PowerKey,
            up: 1,
            wall: 0,
            clkq: ClockQuality::Unset,
            batt: 80,
            rssi: None,
            log: LogPosition {
                first: 1,
                next: 2,
                capacity: 240,
            },
            counters: [0; 4],
            locked: false,
            config_version: 1,
            cell: None,
            link: LinkKind::Ble,
            caps: Caps(Caps::BLE),
            head: [0; 16],
            epoch: 1,
            generation: 1,
            nonce: [2; 8],
            counted: [0; 11],
        }),
    )
}

pub(crate) fn log_ack(upto: u32) -> Vec<u8> {
    let ack = LogAck {
        epoch: 1,
        upto,
        now: NOW,
        gaps: vec![],
        receipt: None,
    };
    Frame::reply(1, 1, Message::LogAck(ack)).encode()
}

fn msgs(up: &[SealFrame]) -> Vec<(u64, u32, MessageType)> {
    let found = up.iter().filter_map(|frame| match frame {
        SealFrame::Msg { pos, term, message } => {
            Some((*pos, *term, Frame::peek(message).unwrap().0))
        }
        _ => None,
    });
    found.collect()
}

fn passes(up: &[SealFrame]) -> Vec<(u32, PassResult)> {
    let found = up.iter().filter_map(|frame| match frame {
        SealFrame::Pass { n, result } => Some((*n, *result)),
        _ => None,
    });
    found.collect()
}

#[test]
fn records_are_committed_then_received_then_sent_up_and_dropped_when_stored() {
    let mut rig = Rig::new(1);
    rig.connect(BLE, Some(NOW));
    assert!(rig.core.link_state().linked);
    rig.seal_says(&hello(1));
    rig.seal_says(&stamps(2, 1, 3));
    let received = Received { epoch: 1, upto: 4 };
    assert!(rig.seal_said.contains(&LinkEvent::Received(received)));
    assert!(rig.up.is_empty(), "nobody is there");

    rig.open_stream();
    let linked = LinkState {
        linked: true,
        way: LinkKind::Ble,
        term: 1,
        rssi: Some(-60),
    };
    let open = SealOpen {
        dev: DEV,
        link: linked,
        queued: 1,
    };
    assert_eq!(rig.up, [SealFrame::Open(open)], "nothing before ACCEPT");
    rig.gateway(SealFrame::Accept { stored: 0 });
    let expected = [(0, 1, MessageType::Hello), (1, 1, MessageType::Stamps)];
    assert_eq!(msgs(&rig.up), expected, "HELLO waited for the stream");
    assert_eq!(rig.store.state(1).messages, 1);
    rig.gateway(SealFrame::Stored { upto: 1 });
    assert_eq!(rig.store.state(1).messages, 0);
    rig.seal_says(&lease_req(3));
    assert_eq!(msgs(&rig.up)[2], (0, 1, MessageType::LeaseReq));
    assert_eq!(rig.store.state(1).messages, 0, "worth nothing later");
}

#[test]
fn what_the_gateway_has_already_is_not_sent_again() {
    let mut rig = Rig::new(2);
    rig.connect(BLE, Some(NOW));
    rig.seal_says(&stamps(2, 1, 3));
    rig.seal_says(&stamps(3, 4, 3));
    rig.open_stream();
    rig.gateway(SealFrame::Accept { stored: 1 });
    assert_eq!(msgs(&rig.up), [(2, 1, MessageType::Stamps)]);
    // The stream breaks before it is stored: it goes up again on the next one.
    rig.core.stream_closed();
    rig.up.clear();
    rig.open_stream();
    rig.gateway(SealFrame::Accept { stored: 1 });
    assert_eq!(msgs(&rig.up), [(2, 1, MessageType::Stamps)]);
}

#[test]
fn a_message_of_the_gateway_is_answered_once_by_what_became_of_it() {
    let mut rig = Rig::new(3);
    rig.open_stream();
    rig.gateway(SealFrame::Accept { stored: 0 });
    let send = |n, term, message: Vec<u8>| SealFrame::Send { n, term, message };
    rig.gateway(send(1, 0, log_ack(2)));
    assert_eq!(passes(&rig.up), [(1, PassResult::NoLink)]);
    rig.connect(BLE, Some(NOW));
    rig.gateway(send(2, 1, log_ack(2)));
    rig.gateway(send(3, 0, log_ack(2)));
    rig.pass(100);
    assert_eq!(rig.seal_messages().len(), 1, "the one for this link");
    // More than the link holds at once: the rest waits.
    for n in 4..=15 {
        rig.gateway(send(n, 1, log_ack(n)));
    }
    rig.pass(1_000);
    assert_eq!(rig.seal_messages().len(), 13);
    // The air is dead from here on.
    rig.connected = false;
    rig.seal = None;
    rig.gateway(send(16, 1, log_ack(99)));
    rig.pass(120_000);
    let mut results = passes(&rig.up);
    results.sort_unstable_by_key(|(n, _)| *n);
    let expected: Vec<(u32, PassResult)> = (1..=16)
        .map(|n| match n {
            1 | 3 | 16 => (n, PassResult::NoLink),
            _ => (n, PassResult::Passed),
        })
        .collect();
    assert_eq!(results, expected);
}

#[test]
fn on_a_restricted_link_the_gateway_hears_what_does_not_pass() {
    let mut rig = Rig::new(4);
    rig.open_stream();
    rig.gateway(SealFrame::Accept { stored: 0 });
    rig.connect(BLE, None);
    assert!(rig.said.iter().any(|s| s.contains("restricted: true")));
    let block = Message::OtaBlk(OtaBlk {
        artifact: 1,
        index: 0,
        data: vec![1],
    });
    let message = Frame::new(1, block).encode();
    rig.gateway(SealFrame::Send {
        n: 1,
        term: 1,
        message,
    });
    assert_eq!(passes(&rig.up), [(1, PassResult::Restricted)]);
}

#[test]
fn a_full_queue_is_told_to_the_seal_and_nothing_is_called_received() {
    let mut rig = Rig::new(5);
    rig.connect(BLE, Some(NOW));
    rig.full = true;
    rig.seal_says(&stamps(9, 1, 3));
    rig.pass(2_000);
    let told = Message::Err(ErrMsg {
        code: ErrorCode::RetryLater,
        retry: Some(60),
    });
    assert_eq!(rig.seal_messages(), [told]);
    assert!(
        !rig.seal_said
            .iter()
            .any(|e| matches!(e, LinkEvent::Received(_)))
    );
    assert!(
        !rig.core.has_link(),
        "a later batch must not be called received"
    );
    assert_eq!(rig.said[1], "NoRoom");
}

#[test]
fn a_seal_that_refuses_the_ticket_is_no_link() {
    let mut rig = Rig::new(6);
    rig.connect(BLE, Some(NOW + 90_000));
    rig.pass(20_000);
    assert!(!rig.core.has_link());
    let refused = CloseReason::Refused(ErrorCode::Expired);
    assert_eq!(rig.said, [format!("closed: {refused}")]);
}

#[test]
fn a_ticket_for_another_box_begins_nothing() {
    let mut core = SealCore::new(DEV, 0, 5_000);
    let setup = BoxSetup {
        framing: BLE,
        limits: LinkLimits::BLE,
        secret: [1; 32],
        seal: public_key(&SEAL),
        ticket: ticket(DEV),
        ephemeral: [3; 32],
    };
    assert_eq!(core.connect(setup, 1, None, 0), Err(ErrorCode::KeyScope));
    assert!(!core.has_link() && core.poll().is_none());
}

#[test]
fn a_quiet_link_ends_on_the_radio_and_stays_on_a_line() {
    let mut rig = Rig::new(7);
    rig.connect(BLE, Some(NOW));
    rig.pass(4_000);
    rig.seal_says(&lease_req(1));
    rig.pass(4_999);
    assert!(rig.core.has_link(), "a word puts the end off");
    rig.pass(2);
    assert!(!rig.core.has_link());
    let done = CloseReason::Local(CloseCode::Done);
    assert_eq!(rig.said.last().unwrap(), &format!("closed: {done}"));

    let mut rig = Rig::new(8);
    rig.connect(Framing::Uart, Some(NOW));
    rig.pass(600_000);
    assert!(rig.core.has_link() && rig.core.link_state().linked);
}

#[test]
fn a_new_session_at_the_gateway_never_begins_with_an_old_hello() {
    let mut rig = Rig::new(9);
    rig.connect(BLE, Some(NOW));
    rig.open_stream();
    rig.gateway(SealFrame::Accept { stored: 0 });
    rig.seal_says(&hello(1));
    assert_eq!(msgs(&rig.up), [(0, 1, MessageType::Hello)]);
    rig.core.stream_closed();
    rig.up.clear();
    rig.open_stream();
    assert!(!rig.core.has_link(), "the seal will say a fresh one");
    assert!(matches!(&rig.up[0], SealFrame::Open(open) if !open.link.linked));
    rig.connect(BLE, Some(NOW));
    rig.gateway(SealFrame::Accept { stored: 0 });
    rig.seal_says(&hello(2));
    assert_eq!(msgs(&rig.up), [(0, 2, MessageType::Hello)]);
}

#[test]
fn frames_out_of_order_end_the_stream_and_a_refusal_says_why() {
    let mut core = SealCore::new(DEV, 0, 5_000);
    assert!(core.frame(SealFrame::Stored { upto: 1 }, 0).is_err());
    core.stream_opened(0, 0);
    assert!(
        core.frame(SealFrame::Stored { upto: 1 }, 0).is_err(),
        "before ACCEPT"
    );
    let refuse = SealFrame::Refuse {
        code: ErrorCode::NotUser,
        retry: Some(30),
    };
    core.frame(refuse, 0).unwrap();
    core.poll();
    assert!(matches!(
        core.poll(),
        Some(Output::Refused(ErrorCode::NotUser, 30))
    ));
}

#[test]
fn not_more_than_a_window_is_in_flight() {
    let mut rig = Rig::new(10);
    for n in 0..600_u32 {
        let op = Op::Append {
            dev: DEV,
            term: 1,
            body: vec![7; 700 + n as usize % 7],
            reserve: false,
        };
        assert_ne!(rig.store.apply(&[op], 1).unwrap(), [Done::Full]);
    }
    rig.open_stream();
    rig.gateway(SealFrame::Accept { stored: 0 });
    let sent = |rig: &Rig| {
        rig.up
            .iter()
            .filter(|f| matches!(f, SealFrame::Msg { .. }))
            .count()
    };
    let first = sent(&rig);
    assert!((256..270).contains(&first), "{first}");
    rig.gateway(SealFrame::Stored { upto: 100 });
    assert!((350..370).contains(&sent(&rig)), "{}", sent(&rig));
    let upto = sent(&rig) as u64;
    rig.gateway(SealFrame::Stored { upto });
    rig.gateway(SealFrame::Stored { upto: 600 });
    assert_eq!(sent(&rig), 600);
    assert!(rig.core.is_drained());
    assert_eq!(rig.store.state(1).messages, 0);
}

/// A seal's log and the gateway's, for the long run.
#[derive(Default)]
struct Ledger {
    /// Records made, records freed by a LOG-ACK.
    made: u32,
    freed: u32,
    /// Sent on this link up to here.
    sent: u32,
    stored: BTreeMap<u32, Vec<u8>>,
    committed: u64,
}

impl Ledger {
    /// The seal sends what it has not sent on this link, one batch at a time.
    fn send(&mut self, rig: &mut Rig) {
        let open = rig.seal.as_ref().is_some_and(|seal| seal.is_open());
        if open && rig.connected && self.sent < self.made {
            let count = (self.made - self.sent).min(20);
            let batch = stamps(1, self.sent + 1, count).encode();
            let now = rig.now;
            if rig.seal.as_mut().unwrap().send(&batch, now).is_ok() {
                self.sent += count;
            }
            rig.settle();
        }
    }

    /// The gateway works off what came; `kill` loses its answers after the commit.
    fn serve(&mut self, rig: &mut Rig, kill: bool) {
        for frame in std::mem::take(&mut rig.up) {
            let SealFrame::Msg { pos, term, message } = frame else {
                continue;
            };
            let Message::Stamps(batch) = Frame::decode(&message).unwrap().message else {
                continue;
            };
            for entry in &batch.records {
                let known = self.stored.insert(entry.record.seq, entry.bytes.to_vec());
                assert!(
                    known.is_none_or(|known| known == entry.bytes.to_vec()),
                    "a fork"
                );
            }
            self.committed = self.committed.max(pos);
            if kill {
                continue;
            }
            rig.gateway(SealFrame::Stored { upto: pos });
            let upto = batch.first + batch.records.len() as u32;
            rig.gateway(SealFrame::Send {
                n: 1,
                term,
                message: log_ack(upto),
            });
        }
    }

    /// Every record made is at the gateway once and unchanged, and nobody keeps any.
    fn close(&self, rig: &mut Rig, seed: u64) {
        assert!(self.made > 1_000, "{}", self.made);
        let stored: Vec<u32> = self.stored.keys().copied().collect();
        assert_eq!(stored, (1..=self.made).collect::<Vec<_>>(), "seed {seed}");
        for (seq, bytes) in &self.stored {
            assert_eq!(bytes, &entry(*seq).bytes.to_vec());
        }
        assert_eq!(self.freed, self.made, "the seal's memory is free");
        assert_eq!(rig.store.state(1).messages, 0, "and so is the box's");
    }

    fn hear(&mut self, rig: &mut Rig) {
        for event in std::mem::take(&mut rig.seal_said) {
            match event {
                LinkEvent::Message(bytes) => {
                    if let Ok(Message::LogAck(ack)) = Frame::decode(&bytes).map(|f| f.message) {
                        self.freed = self.freed.max(ack.upto - 1);
                    }
                }
                LinkEvent::Opened { .. } => self.sent = self.freed,
                _ => {}
            }
        }
    }
}

#[test]
fn a_virtual_day_of_power_cuts_outages_and_loss_loses_and_doubles_nothing() {
    let seed = std::env::var("SEALGATE_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or(20_261_122);
    println!("SEALGATE_SEED={seed}");
    let mut rig = Rig::new(seed);
    rig.loss = 5;
    let mut ledger = Ledger::default();
    let mut stream = false;
    let day = 24 * 3_600_000;
    while rig.now < day {
        let calm = rig.now > day - 3_600_000;
        let dice = if calm {
            100
        } else {
            rig.random.random_range(0..400)
        };
        match dice {
            0..=60 => ledger.made += 1,
            61..=63 => {
                // The power goes: all that is left is what was committed.
                let (_, backlog) = rig.store.backlogs().unwrap()[0];
                rig.core = SealCore::new(DEV, backlog.term, 5_000);
                (rig.connected, stream) = (false, false);
                rig.up.clear();
            }
            64..=66 => {
                ledger.serve(&mut rig, true);
                rig.core.stream_closed();
                stream = false;
            }
            67..=70 => {
                rig.core.hung_up(rig.now);
                rig.connected = false;
            }
            _ => {}
        }
        if !rig.core.has_link() {
            rig.settle();
            rig.connect(BLE, Some(NOW));
        }
        // Outages are long: a tenth of the chances to come back is taken.
        if !stream && (calm || rig.random.random_range(0..10) == 0) {
            stream = true;
            rig.open_stream();
            let stored = ledger.committed;
            rig.gateway(SealFrame::Accept { stored });
        }
        ledger.send(&mut rig);
        let step = rig.random.random_range(500..20_000);
        rig.pass(step);
        rig.settle();
        if stream {
            ledger.serve(&mut rig, false);
        }
        ledger.hear(&mut rig);
    }
    ledger.close(&mut rig, seed);
}
