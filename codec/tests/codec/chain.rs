//! The log chain: what a server makes of a batch, what a seal makes of an acknowledgement.

use proptest::prelude::*;
use sealgate_codec::{
    chain::{
        AckError, Appended, Cursor, Head, HelloVerdict, Invalid, LogReceiver, LogSender, LossError,
        Proof, RESERVE, Reconciled, Verdict,
    },
    cose::Dalek,
    message::{Gap, LogAck, Stamps},
    record::{Entry, Record, kind},
    statement::Receipt,
};

use crate::{
    keys::{DEVICE, LOG, NOW, OTHER_DEVICE, public},
    samples::{record, sign_log},
};

fn log(count: u32) -> LogSender {
    let mut log = LogSender::new(DEVICE, 1, 800);
    for seq in 1..=count {
        log.append(record(seq));
    }
    log
}

fn batch(log: &mut LogSender) -> Stamps {
    log.next_batch(41, 3700, &sign_log).expect("a batch")
}

fn receiver() -> LogReceiver {
    LogReceiver::new(Cursor::genesis(DEVICE, 1))
}

fn check(receiver: &LogReceiver, stamps: &Stamps) -> Verdict {
    receiver
        .check_signed(stamps, DEVICE, &public(LOG), &Dalek)
        .expect("a valid signature")
}

fn store(receiver: &mut LogReceiver, stamps: &Stamps) -> Vec<Entry> {
    let Verdict::Append(append) = check(receiver, stamps) else {
        panic!("{:?}", check(receiver, stamps));
    };
    receiver.commit(append.cursor);
    append.records(stamps).to_vec()
}

fn ack(upto: u32) -> LogAck {
    LogAck {
        epoch: 1,
        upto,
        now: NOW,
        gaps: vec![],
        receipt: None,
    }
}

#[test]
fn the_first_head_covers_device_and_epoch() {
    let hex = |head: Head| format!("{head:?}");
    // SHA-256 over "SL1" || 0001020304050607 || 00000001, made with another tool.
    assert_eq!(
        hex(Head::genesis(DEVICE, 1)),
        "9fd1b83bf0a52487fac4ddbdd4ecc33d4eb9f0cf12898187659eae851fac32ef"
    );
    assert_ne!(Head::genesis(DEVICE, 1), Head::genesis(DEVICE, 2));
    assert_ne!(Head::genesis(DEVICE, 1), Head::genesis(OTHER_DEVICE, 1));
}

#[test]
fn a_batch_that_continues_the_log_is_appended() {
    let (mut sender, mut receiver) = (log(3), receiver());
    sender.reconcile(1, true);
    let stored = store(&mut receiver, &batch(&mut sender));
    assert_eq!(stored.len(), 3);
    assert_eq!(
        (receiver.cursor.next, receiver.cursor.head),
        (4, sender.head())
    );
}

#[test]
fn a_batch_known_already_is_a_duplicate() {
    let (mut sender, mut receiver) = (log(40), receiver());
    sender.reconcile(1, true);
    let (first, second) = (batch(&mut sender), batch(&mut sender));
    store(&mut receiver, &first);
    assert_eq!(
        check(&receiver, &first),
        Verdict::Duplicate { proven: true }
    );
    store(&mut receiver, &second);
    assert_eq!(
        check(&receiver, &first),
        Verdict::Duplicate { proven: false }
    );
}

#[test]
fn a_batch_past_a_gap_is_not_stored() {
    let (mut sender, receiver) = (log(40), receiver());
    sender.reconcile(1, true);
    let first = batch(&mut sender);
    let second = batch(&mut sender);
    let count = u32::try_from(first.records.len()).unwrap();
    assert_eq!(check(&receiver, &second), Verdict::Gap { from: 1, count });
}

#[test]
fn of_an_overlap_only_the_new_records_are_stored() {
    let (mut sender, mut receiver) = (log(3), receiver());
    sender.reconcile(1, true);
    store(&mut receiver, &batch(&mut sender));
    sender.append(record(4));
    sender.append(record(5));
    sender.rewind();
    let stored = store(&mut receiver, &batch(&mut sender));
    assert_eq!(
        stored
            .iter()
            .map(|entry| entry.record.seq)
            .collect::<Vec<_>>(),
        [4, 5]
    );
    assert_eq!(receiver.cursor.head, sender.head());
}

/// A second log of the same seal that tells another story from some record on.
fn other_story(from: u32, count: u32) -> LogSender {
    let mut log = LogSender::new(DEVICE, 1, 800);
    for seq in 1..=count {
        let lie = u16::from(seq >= from);
        let record = record(seq);
        log.append(Record {
            n: record.n + lie,
            ..record
        });
    }
    log.reconcile(1, true);
    log
}

#[test]
fn another_story_about_stored_records_is_a_fork() {
    let (mut sender, mut receiver) = (log(3), receiver());
    sender.reconcile(1, true);
    store(&mut receiver, &batch(&mut sender));
    // As long as ours, as an overlap, and as a continuation.
    assert_eq!(
        check(&receiver, &batch(&mut other_story(2, 3))),
        Verdict::Fork
    );
    assert_eq!(
        check(&receiver, &batch(&mut other_story(2, 5))),
        Verdict::Fork
    );
    let mut continued = other_story(2, 5);
    continued.reconcile(4, true);
    assert_eq!(check(&receiver, &batch(&mut continued)), Verdict::Fork);
}

#[test]
fn a_lost_record_over_stored_ones_is_a_fork() {
    let (mut sender, mut receiver) = (log(5), receiver());
    sender.reconcile(1, true);
    store(&mut receiver, &batch(&mut sender));
    let mut forgetful = log(8);
    forgetful.reconcile(1, true);
    forgetful.declare_lost(4..7, 41, 3700).unwrap();
    assert_eq!(check(&receiver, &batch(&mut forgetful)), Verdict::Fork);
}

#[test]
fn records_changed_on_the_way_are_not_called_a_fork() {
    let (mut sender, receiver) = (log(3), receiver());
    sender.reconcile(1, true);
    let mut stamps = batch(&mut sender);
    let changed = Record {
        n: 499,
        ..stamps.records[1].record
    };
    stamps.records[1] = Entry::new(changed);
    assert_eq!(check(&receiver, &stamps), Verdict::Invalid(Invalid::Chain));
}

#[test]
fn a_batch_that_contradicts_itself_is_invalid() {
    let (mut sender, receiver) = (log(3), receiver());
    sender.reconcile(1, true);
    let good = batch(&mut sender);
    let mut order = good.clone();
    order.records.swap(0, 1);
    assert_eq!(check(&receiver, &order), Verdict::Invalid(Invalid::Order));
    let mut short = good.clone();
    short.records.pop();
    assert_eq!(
        check(&receiver, &short),
        Verdict::Invalid(Invalid::Coverage)
    );
    assert_eq!(
        receiver.check(&good, OTHER_DEVICE),
        Verdict::Invalid(Invalid::Device)
    );
    let mut unsigned = good.clone();
    *unsigned.checkpoint.last_mut().unwrap() ^= 1;
    assert!(
        receiver
            .check_signed(&unsigned, DEVICE, &public(LOG), &Dalek)
            .is_err()
    );
    assert!(
        receiver
            .check_signed(&good, DEVICE, &public(LOG + 1), &Dalek)
            .is_err()
    );
}

#[test]
fn a_log_of_another_epoch_waits_for_approval() {
    let mut sender = LogSender::new(DEVICE, 2, 800);
    sender.append(record(1));
    sender.reconcile(1, true);
    assert_eq!(
        check(&receiver(), &batch(&mut sender)),
        Verdict::OtherEpoch { epoch: 2 }
    );
}

#[test]
fn hello_is_compared_but_moves_nothing() {
    let (mut sender, mut receiver) = (log(5), receiver());
    sender.reconcile(1, true);
    store(&mut receiver, &batch(&mut sender));
    let compare = |sender: &LogSender| {
        receiver.compare_hello(sender.epoch(), &sender.position(), &sender.head().prefix())
    };
    assert_eq!(compare(&sender), HelloVerdict::InStep);
    assert_eq!(compare(&log(4)), HelloVerdict::Behind);
    assert_eq!(compare(&log(6)), HelloVerdict::Ahead);
    assert_eq!(compare(&other_story(2, 5)), HelloVerdict::Differs);
    let mut freed = log(9);
    freed.reconcile(8, true);
    assert_eq!(compare(&freed), HelloVerdict::Missing { from: 6, count: 2 });
    let other = LogSender::new(DEVICE, 7, 800);
    assert_eq!(compare(&other), HelloVerdict::OtherEpoch);
}

#[test]
fn a_full_log_counts_presses_and_keeps_a_reserve_for_abnormal_ones() {
    let mut log = LogSender::new(DEVICE, 1, 10);
    let abnormal = |seq| Record {
        kind: 4,
        ..record(seq)
    };
    for seq in 1..=10 {
        assert!(matches!(log.append(record(seq)), Appended::Stored(_)));
    }
    assert!(log.is_full());
    assert_eq!(log.append(record(11)), Appended::Counted(0));
    for seq in 0..u32::from(RESERVE) {
        assert!(matches!(log.append(abnormal(seq)), Appended::Stored(_)));
    }
    assert_eq!(log.append(abnormal(1)), Appended::Counted(4));
    assert_eq!(
        log.append(Record {
            kind: kind::REGION,
            ..record(1)
        }),
        Appended::Counted(0)
    );
    assert_eq!(log.counted(), &[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(log.fill_percent(), 260);
    for _ in 0..70_000 {
        log.append(record(1));
    }
    assert_eq!(log.counted()[0], u16::MAX);
}

#[test]
fn the_window_is_two_batches() {
    let mut log = log(200);
    assert_eq!(
        log.next_batch(41, 1, &sign_log),
        None,
        "not before the session began"
    );
    log.reconcile(1, true);
    let (first, second) = (batch(&mut log), batch(&mut log));
    assert_eq!(first.more, Some(true));
    assert_eq!(log.next_batch(41, 1, &sign_log), None);
    assert!(log.awaits_answer());
    let freed = log.on_ack(&ack(second.first), Proof::Direct).unwrap();
    assert_eq!(freed, first.records.len());
    let third = batch(&mut log);
    assert_eq!(
        third.first,
        second.first + u32::try_from(second.records.len()).unwrap()
    );
}

#[test]
fn an_acknowledgement_with_gaps_rewinds() {
    let mut log = log(100);
    log.reconcile(1, true);
    let (first, _) = (batch(&mut log), batch(&mut log));
    let gap = LogAck {
        gaps: vec![Gap {
            start: 1,
            count: 28,
        }],
        ..ack(1)
    };
    log.on_ack(&gap, Proof::Direct).unwrap();
    assert_eq!(batch(&mut log), first);
}

#[test]
fn through_a_box_only_a_receipt_frees() {
    let mut log = log(10);
    assert_eq!(
        log.reconcile(11, false),
        Reconciled::Sending(10),
        "the newest once more, for its receipt"
    );
    assert_eq!(log.len(), 10);
    assert_eq!(batch(&mut log).first, 10);
    assert_eq!(log.on_ack(&ack(11), Proof::None), Ok(0));
    assert!(!log.awaits_answer());
    let receipt = |upto, head| Receipt {
        dev: DEVICE,
        epoch: 1,
        upto,
        head,
        time: NOW,
    };
    let forged = receipt(11, Head([0; 32]));
    assert_eq!(
        log.on_ack(&ack(11), Proof::Receipt(&forged)),
        Err(AckError::Fork)
    );
    let true_head = log.head();
    assert_eq!(
        log.on_ack(&ack(11), Proof::Receipt(&receipt(11, true_head))),
        Ok(10)
    );
    assert!(log.is_empty());
    assert_eq!(
        log.on_ack(&ack(11), Proof::Receipt(&receipt(5, Head([0; 32])))),
        Ok(0),
        "long freed"
    );
}

#[test]
fn an_acknowledgement_that_does_not_fit_changes_nothing() {
    let mut log = log(10);
    log.reconcile(1, true);
    batch(&mut log);
    assert_eq!(
        log.on_ack(&ack(12), Proof::Direct),
        Err(AckError::BeyondLog)
    );
    assert_eq!(
        log.on_ack(&LogAck { epoch: 2, ..ack(5) }, Proof::Direct),
        Err(AckError::OtherEpoch)
    );
    assert_eq!(log.len(), 10);
    assert_eq!(log.on_ack(&ack(4), Proof::Direct), Ok(3));
    assert_eq!(log.on_ack(&ack(2), Proof::Direct), Ok(0), "an old one");
    assert_eq!(log.position().first, 4);
}

#[test]
fn a_session_begins_only_where_both_logs_can_meet() {
    let mut seal = log(10);
    seal.reconcile(5, true);
    assert_eq!(
        seal.reconcile(3, true),
        Reconciled::ServerBehind { from: 3, count: 2 }
    );
    assert_eq!(seal.next_batch(41, 1, &sign_log), None);
    assert_eq!(
        seal.reconcile(12, true),
        Reconciled::SealBehind { server: 12 }
    );
    assert_eq!(seal.next_batch(41, 1, &sign_log), None);
    assert_eq!(seal.reconcile(11, true), Reconciled::InStep);
}

#[test]
fn lost_records_leave_one_signed_record_in_their_place() {
    let (mut sender, mut receiver) = (log(10), receiver());
    assert_eq!(
        sender.declare_lost(3..6, 41, 3700),
        Err(LossError::MaybeStored)
    );
    sender.reconcile(1, true);
    assert_eq!(sender.declare_lost(3..12, 41, 3700), Err(LossError::Range));
    assert_eq!(sender.declare_lost(3..3, 41, 3700), Err(LossError::Range));
    sender.declare_lost(3..6, 41, 3700).unwrap();
    let stored = store(&mut receiver, &batch(&mut sender));
    let numbers: Vec<u32> = stored.iter().map(|entry| entry.record.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 6, 7, 8, 9, 10]);
    assert_eq!(stored[2].record.lost_range(), Some(3..6));
    assert_eq!(receiver.cursor.next, 11);
    sender.append(record(11));
    assert_eq!(
        sender.declare_lost(8..9, 41, 3700),
        Err(LossError::MaybeStored),
        "sent already"
    );
    assert!(sender.declare_lost(11..12, 41, 3700).is_ok());
}

#[test]
fn log_pull_sends_again() {
    let mut log = log(60);
    log.reconcile(1, true);
    let first = batch(&mut log);
    batch(&mut log);
    log.on_pull(1);
    assert_eq!(batch(&mut log), first);
}

#[test]
fn flash_gives_the_same_log_back() {
    let mut before = log(50);
    before.reconcile(20, true);
    before.declare_lost(30..33, 41, 1).unwrap();
    let after = LogSender::restore(&before.state()).unwrap();
    assert_eq!(after.state(), before.state());
    assert_eq!((after.next(), after.head()), (before.next(), before.head()));
    let mut torn = before.state();
    torn.records.remove(3);
    assert!(LogSender::restore(&torn).is_err());
}

proptest! {
    #[test]
    fn a_batch_never_passes_its_limits(positions in prop::collection::vec(any::<bool>(), 1..80)) {
        let mut log = LogSender::new(DEVICE, u32::MAX, 800);
        for with_position in positions {
            let record = Record { boot: u32::MAX, up: u32::MAX, auth: u32::MAX, ..record(1) };
            log.append(Record { at: record.at.filter(|_| with_position), ..record });
        }
        log.reconcile(1, true);
        let stamps = log.next_batch(u32::MAX, u32::MAX, &sign_log).unwrap();
        let bytes = sealgate_codec::Frame::new(u16::MAX, sealgate_codec::Message::Stamps(stamps.clone())).encode();
        prop_assert!(stamps.records.len() <= 28);
        prop_assert!(bytes.len() <= 1280, "{}", bytes.len());
    }
}

#[test]
fn what_a_box_received_is_not_sent_again_and_not_freed() {
    let mut log = LogSender::new(DEVICE, 1, 800);
    for seq in 1..=60 {
        log.append(record(seq));
    }
    log.reconcile(1, false);
    let first = log.next_batch(41, 3700, &sign_log).unwrap();
    let second = log.next_batch(41, 3700, &sign_log).unwrap();
    assert!(log.next_batch(41, 3700, &sign_log).is_none(), "the window");
    log.on_received(1, second.first).unwrap();
    let third = log.next_batch(41, 3700, &sign_log).unwrap();
    let seconds = u32::try_from(second.records.len()).unwrap();
    assert_eq!(third.first, second.first + seconds);
    // The second is overdue; the first is with the box.
    log.rewind();
    assert_eq!(log.next_batch(41, 3700, &sign_log).unwrap(), second);
    assert_eq!(log.len(), 60);
    // The next session begins where the server says, whatever the box claimed.
    log.reconcile(1, false);
    assert_eq!(log.next_batch(41, 3700, &sign_log).unwrap(), first);
    assert_eq!(log.on_received(2, 5), Err(AckError::OtherEpoch));
    assert_eq!(log.on_received(1, 62), Err(AckError::BeyondLog));
}
