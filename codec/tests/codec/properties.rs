//! Properties of every decoder: what is encoded is decoded, and no change of bytes makes one panic or accept what is
//! not canonical.

use proptest::{collection::vec, option, prelude::*, sample::Index};
use sealgate_codec::{
    Frame, Message,
    cbor::check_canonical,
    cose,
    message::{Bye, ByeReason, Gap, Hello, LeaseReq, LogAck, LogPosition, ResetCause, Status},
    record::{ClockQuality, Facts, LinkKind, Position, Record},
    ticket::{Args, ConfigArgs, GrantArgs, GrantFlags, Ticket, UseMode},
};

use crate::{checks, keys::DEVICE, samples, vectors};

fn position() -> impl Strategy<Value = Position> {
    (
        -900_000_000..=900_000_000_i32,
        -1_800_000_000..=1_800_000_000_i32,
        any::<u16>(),
    )
        .prop_map(|(lat_e7, lon_e7, accuracy)| Position {
            lat_e7,
            lon_e7,
            accuracy,
        })
}

fn record() -> impl Strategy<Value = Record> {
    let times = (
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        proptest::sample::select(ClockQuality::ALL),
    );
    let rest = (
        0..250_u8,
        any::<u32>(),
        any::<u16>(),
        option::of(position()),
        any::<u32>(),
    );
    (1..u32::MAX, times, rest).prop_map(
        |(seq, (boot, up, wall, clkq), (kind, auth, n, at, facts))| Record {
            seq,
            boot,
            up,
            wall,
            clkq,
            kind,
            auth,
            n,
            at,
            facts: Facts::from_bits(facts),
        },
    )
}

fn hello() -> impl Strategy<Value = Hello> {
    let who = (
        any::<u8>(),
        any::<u32>(),
        any::<u16>(),
        any::<u8>(),
        0..=100_u8,
        option::of(-128..=0_i8),
    );
    let log = (
        1..=u32::MAX,
        any::<u32>(),
        any::<u16>(),
        any::<[u8; 16]>(),
        any::<[u16; 11]>(),
    );
    let state = (
        any::<[u32; 4]>(),
        any::<bool>(),
        any::<u32>(),
        proptest::sample::select(LinkKind::ALL),
        any::<[u8; 8]>(),
    );
    (who, log, state).prop_map(|(who, log, state)| Hello {
        minor: who.0,
        fw: who.1,
        sec: who.2,
        cause: ResetCause::from_number(who.3),
        batt: who.4,
        rssi: who.5,
        log: LogPosition {
            first: log.0,
            next: log.0.saturating_add(log.1),
            capacity: log.2,
        },
        head: log.3,
        counted: log.4,
        counters: state.0,
        locked: state.1,
        config_version: state.2,
        link: state.3,
        nonce: state.4,
        ..samples::hello()
    })
}

fn message() -> impl Strategy<Value = (Message, bool)> {
    let gaps = vec(
        (any::<u32>(), 1..=u16::MAX).prop_map(|(start, count)| Gap { start, count }),
        0..=8,
    );
    let ack = (
        any::<[u32; 3]>(),
        gaps,
        option::of(vec(any::<u8>(), 1..200)),
    )
        .prop_map(|([epoch, upto, now], gaps, receipt)| LogAck {
            epoch,
            upto,
            now,
            gaps,
            receipt,
        });
    let status = (
        any::<u32>(),
        0..=100_u8,
        option::of(position()),
        option::of(-128..=0_i8),
        option::of(any::<u32>()),
        any::<u16>(),
        option::of(any::<[u16; 11]>()),
    )
        .prop_map(|(up, batt, position, rssi, facts, fill, counted)| Status {
            up,
            batt,
            position,
            rssi,
            facts: facts.map(Facts::from_bits),
            fill,
            counted,
        });
    prop_oneof![
        hello().prop_map(|hello| (Message::Hello(hello), false)),
        ack.prop_map(|ack| (Message::LogAck(ack), true)),
        status.prop_map(|status| (Message::Status(status), false)),
        any::<[u8; 8]>().prop_map(|nonce| (Message::LeaseReq(LeaseReq { nonce }), false)),
        (any::<u8>(), option::of(any::<u32>())).prop_map(|(reason, last)| (
            Message::Bye(Bye {
                reason: ByeReason::from_number(reason),
                last
            }),
            false
        )),
    ]
}

fn args() -> impl Strategy<Value = Args> {
    let config = (
        any::<u32>(),
        option::of(0..=180_u8),
        option::of(0..=30_u8),
        option::of(any::<u16>()),
        option::of(any::<u16>()),
    )
        .prop_map(|(version, backlight, auto_off, keepalive, heartbeat)| {
            Args::Config(ConfigArgs {
                version,
                backlight,
                auto_off,
                keepalive,
                heartbeat,
            })
        });
    let grant = (
        any::<[u32; 2]>(),
        0..=500_u16,
        any::<u16>(),
        option::of(vec(any::<u8>(), 1..=6)),
        option::of(any::<[u8; 16]>()),
        option::of(any::<u32>()),
    )
        .prop_map(
            |([no, user], max, flags, fingerprints, activation, offline)| {
                Args::Grant(GrantArgs {
                    no,
                    max,
                    mode: UseMode::Physical,
                    flags: GrantFlags(flags),
                    area: None,
                    fingerprints,
                    activation,
                    user,
                    offline,
                })
            },
        );
    prop_oneof![
        config,
        grant,
        any::<bool>().prop_map(|on| Args::Offline { on }),
        (any::<u32>(), option::of(any::<u8>()))
            .prop_map(|(grant, reason)| Args::End { grant, reason }),
        option::of(any::<u8>()).prop_map(|reason| Args::Unlock { reason }),
    ]
}

proptest! {
    #[test]
    fn every_record_survives_the_wire(record in record()) {
        let bytes = record.encode();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(Record::decode(&bytes), Ok(record));
    }

    #[test]
    fn every_message_survives_the_wire((message, answers) in message(), mid: u16, re: u16) {
        let frame = Frame { mid, re: answers.then_some(re), message };
        let bytes = frame.encode();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(Frame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn every_ticket_survives_the_wire(args in args(), ctr in 1..=u32::MAX, iat: u32, generation: u32, nbf in option::of(any::<u32>())) {
        let ticket = Ticket::new(DEVICE, generation, ctr, iat, args).with_window(nbf, None);
        let bytes = ticket.payload();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(Ticket::decode(&bytes), Ok(ticket));
    }
}

/// A change of bytes such as lines and attackers make.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    Truncate(Index),
    Repeat(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let heads = prop_oneof![
        any::<u8>(),
        proptest::sample::select(vec![
            0x00, 0x17, 0x18, 0x19, 0x1b, 0x1f, 0x5b, 0x5f, 0x81, 0x9f, 0xa1, 0xbb, 0xbf, 0xc1,
            0xf6, 0xf9, 0xff
        ])
    ];
    prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(place, bit)| Change::Flip(place, bit)),
        (any::<Index>(), heads.clone()).prop_map(|(place, byte)| Change::Set(place, byte)),
        (any::<Index>(), heads).prop_map(|(place, byte)| Change::Insert(place, byte)),
        any::<Index>().prop_map(Change::Delete),
        any::<Index>().prop_map(Change::Truncate),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match change {
        Change::Flip(place, bit) => bytes[place.index(length)] ^= 1 << bit,
        Change::Set(place, byte) => bytes[place.index(length)] = *byte,
        Change::Insert(place, byte) => bytes.insert(place.index(length + 1), *byte),
        Change::Delete(place) => drop(bytes.remove(place.index(length))),
        Change::Truncate(place) => bytes.truncate(place.index(length)),
        Change::Repeat(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(from..from, piece);
        }
    }
}

/// Every decoder on these bytes.
fn check_every_decoder(bytes: &[u8]) {
    checks::frame(bytes);
    checks::record(bytes);
    checks::sign1(bytes);
    checks::payload(bytes);
    checks::believed(bytes);
    checks::text(bytes);
    checks::link(bytes);
    checks::control(bytes);
    checks::seal_frame(bytes);
}

/// Every published vector, and the payload of every signed one.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![];
    for vector in vectors::valid().into_values().flatten() {
        if let Ok(signed) = cose::parse(&vector.bytes) {
            seeds.push(signed.payload.to_vec());
        }
        seeds.push(vector.bytes);
    }
    seeds
}

#[test]
fn changed_bytes_are_refused_or_canonical() {
    let seeds = seeds();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 6000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (any::<Index>(), vec(change(), 1..4));
    runner
        .run(&strategy, |(seed, changes)| {
            let mut bytes = seeds[seed.index(seeds.len())].clone();
            for change in &changes {
                apply(&mut bytes, change);
            }
            check_every_decoder(&bytes);
            checks::framing(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_single_bit_and_every_cut_of_every_small_vector_is_refused_or_canonical() {
    for seed in seeds().into_iter().filter(|seed| seed.len() <= 400) {
        for end in 0..seed.len() {
            check_every_decoder(&seed[..end]);
        }
        for bit in 0..seed.len() * 8 {
            let mut changed = seed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            check_every_decoder(&changed);
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_canonical(bytes in vec(any::<u8>(), 0..200)) {
        check_every_decoder(&bytes);
        checks::framing(&bytes);
    }
}
