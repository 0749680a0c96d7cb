//! A seal and a server over a link that loses, doubles and reorders, with power cuts of the seal and restarts of the
//! server: nothing is lost, nothing is doubled.
//!
//! A failing seed is printed and replays: `SEALGATE_SEED=<seed> cargo test -p sealgate-codec lossy`.

use std::collections::{BTreeMap, VecDeque};

use sealgate_codec::{
    chain::{Appended, Cursor, LogReceiver, LogSender, LogState, Proof, Reconciled, Verdict},
    cose::Dalek,
    message::{Gap, LogAck, Stamps},
    record::Record,
    statement::{Receipt, ReceiptView},
};

use crate::{
    keys::{DEVICE, LOG, NOW, RECEIPT, key, key_set, public},
    samples::{record, sign_log},
};

/// Dice from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// Messages on their way in one direction.
struct Pipe<T>(VecDeque<T>);

impl<T: Clone> Pipe<T> {
    fn send(&mut self, message: T, dice: &mut Dice) {
        if dice.percent(20) {
            return;
        }
        if dice.percent(15) {
            self.0.push_back(message.clone());
        }
        let place = if dice.percent(20) {
            dice.below(self.0.len() + 1)
        } else {
            self.0.len()
        };
        self.0.insert(place, message);
    }
}

struct World {
    dice: Dice,
    /// Straight or through a box.
    direct: bool,
    seal: LogSender,
    /// What survives a power cut. Appends and counters are always written; freeing may be forgotten.
    flash: LogState,
    server: LogReceiver,
    /// Committed records by number, with the number of times each was stored.
    stored: BTreeMap<u32, (Record, u32)>,
    up: Pipe<Stamps>,
    down: Pipe<LogAck>,
    pressed: Vec<Record>,
    counted: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let seal = LogSender::new(DEVICE, 1, 60);
        let mut dice = Dice(seed);
        Self {
            direct: dice.percent(50),
            dice,
            flash: seal.state(),
            seal,
            server: LogReceiver::new(Cursor::genesis(DEVICE, 1)),
            stored: BTreeMap::new(),
            up: Pipe(VecDeque::new()),
            down: Pipe(VecDeque::new()),
            pressed: vec![],
            counted: 0,
        }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..30 => self.press(),
            30..55 => self.seal_sends(),
            55..75 => self.server_receives(),
            75..90 => self.seal_receives(),
            90..95 => self.seal.rewind(),
            95..97 => self.power_cut(),
            97..98 => self.server_restarts(),
            _ => self.connect(),
        }
    }

    fn press(&mut self) {
        let kind = if self.dice.percent(20) { 3 } else { 0 };
        let number = u32::try_from(self.pressed.len()).unwrap();
        // Each press is its own, so that one stored twice or in another's place is seen.
        let press = Record {
            kind,
            up: number,
            ..record(1)
        };
        match self.seal.append(press) {
            Appended::Stored(entry) => {
                self.flash.records.push(entry.bytes);
                self.pressed.push(entry.record);
            }
            Appended::Counted(_) => self.counted += 1,
        }
        self.flash.counted = *self.seal.counted();
    }

    fn seal_sends(&mut self) {
        if let Some(stamps) = self.seal.next_batch(41, 1, &sign_log) {
            self.up.send(stamps, &mut self.dice);
        }
    }

    fn server_receives(&mut self) {
        let Some(stamps) = self.up.0.pop_front() else {
            return;
        };
        let verdict = self
            .server
            .check_signed(&stamps, DEVICE, &public(LOG), &Dalek)
            .expect("an honest seal");
        let mut gaps = vec![];
        match verdict {
            Verdict::Append(append) => {
                for entry in append.records(&stamps) {
                    self.stored
                        .entry(entry.record.seq)
                        .or_insert((entry.record, 0))
                        .1 += 1;
                }
                self.server.commit(append.cursor);
            }
            Verdict::Duplicate { .. } => {
                for entry in &stamps.records {
                    assert_eq!(
                        self.stored[&entry.record.seq].0, entry.record,
                        "a duplicate that differs"
                    );
                }
            }
            Verdict::Gap { from, count } => gaps.push(Gap {
                start: from,
                count: u16::try_from(count).unwrap(),
            }),
            other => panic!("an honest seal is accused: {other:?}"),
        }
        // Committed, but the answer may never be made: kill -9 between commit and acknowledgement.
        if self.dice.percent(5) {
            return;
        }
        let receipt = (!self.direct).then(|| self.receipt().sign(&key(RECEIPT), RECEIPT));
        let ack = LogAck {
            epoch: 1,
            upto: self.server.cursor.next,
            now: NOW,
            gaps,
            receipt,
        };
        self.down.send(ack, &mut self.dice);
    }

    fn receipt(&self) -> Receipt {
        let Cursor { epoch, next, head } = self.server.cursor;
        Receipt {
            dev: DEVICE,
            epoch,
            upto: next,
            head,
            time: NOW,
        }
    }

    fn seal_receives(&mut self) {
        let Some(ack) = self.down.0.pop_front() else {
            return;
        };
        let view = ReceiptView {
            dev: DEVICE,
            epoch: 1,
            now: Some(NOW),
        };
        let receipt = ack
            .receipt
            .as_ref()
            .map(|bytes| Receipt::accept(bytes, &key_set(), &view).expect("a true receipt"));
        let proof = receipt.as_ref().map_or(Proof::None, Proof::Receipt);
        let proof = if self.direct { Proof::Direct } else { proof };
        self.seal.on_ack(&ack, proof).expect("an honest server");
        if self.dice.percent(60) {
            self.flash = self.seal.state();
        }
    }

    fn power_cut(&mut self) {
        self.up.0.clear();
        self.down.0.clear();
        self.seal = LogSender::restore(&self.flash).expect("flash is whole");
        if self.dice.percent(70) {
            self.connect();
        }
    }

    /// The cursor is read back from what was committed.
    fn server_restarts(&mut self) {
        self.up.0.clear();
        self.down.0.clear();
        self.server = LogReceiver::new(self.server.cursor);
        self.seal.stop();
    }

    fn connect(&mut self) {
        self.up.0.clear();
        self.down.0.clear();
        let reconciled = self.seal.reconcile(self.server.cursor.next, self.direct);
        assert!(
            matches!(reconciled, Reconciled::Sending(_) | Reconciled::InStep),
            "{reconciled:?}"
        );
    }

    /// A good link for long enough to finish.
    fn settle(&mut self) {
        self.connect();
        for _ in 0..100 {
            while let Some(stamps) = self.seal.next_batch(41, 1, &sign_log) {
                self.up.0.push_back(stamps);
            }
            while !self.up.0.is_empty() {
                self.server_receives();
            }
            while !self.down.0.is_empty() {
                self.seal_receives();
            }
            self.seal.rewind();
            if self.seal.is_empty() {
                return;
            }
            self.connect();
        }
        panic!("the log does not drain: {:?}", self.seal.position());
    }

    fn check(&self) {
        let stored: Vec<Record> = self.stored.values().map(|(record, _)| *record).collect();
        assert_eq!(stored, self.pressed, "every press is stored as it was");
        assert!(
            self.stored.values().all(|(_, times)| *times == 1),
            "no press is stored twice"
        );
        let counted: u32 = self
            .seal
            .counted()
            .iter()
            .map(|count| u32::from(*count))
            .sum();
        assert_eq!(counted, self.counted, "what found the log full is counted");
        assert_eq!(self.server.cursor.head, self.seal.head());
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    world.connect();
    for _ in 0..600 {
        world.step();
    }
    world.settle();
    world.check();
}

#[test]
fn over_a_lossy_link_with_power_cuts_nothing_is_lost_and_nothing_doubled() {
    if let Ok(seed) = std::env::var("SEALGATE_SEED") {
        return play(seed.parse().expect("a number"));
    }
    let long = std::env::var_os("SEALGATE_LONG").is_some();
    for seed in 0..if long { 3000 } else { 150 } {
        let played = std::panic::catch_unwind(|| play(seed));
        if let Err(cause) = played {
            eprintln!("seed {seed} fails; SEALGATE_SEED={seed} replays it");
            std::panic::resume_unwind(cause);
        }
    }
}
