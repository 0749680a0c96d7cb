//! Commands: what a seal obeys, in which order it refuses, and what it remembers.

use sealgate_codec::{
    ErrorCode,
    message::CmdStatus,
    record::LinkKind,
    ticket::{
        Admission, Args, CounterDomain, CounterJournal, DeviceView, OPS, Op, Outcome, Scope, Taken,
        Ticket, verify_ticket,
    },
};

use crate::{
    keys::{DEVICE, NOW, OTHER_DEVICE, key, key_set, kid_for},
    samples::{signed, tickets},
};

fn view() -> DeviceView {
    DeviceView {
        dev: DEVICE,
        generation: 2,
        counters: [0; 4],
        now: Some(NOW),
        bound: true,
        link: LinkKind::Gprs,
    }
}

fn lock(ctr: u32) -> Ticket {
    Ticket::new(DEVICE, 2, ctr, NOW, Args::Lock { reason: None })
}

#[test]
fn every_op_is_obeyed_by_the_seal_it_is_for() {
    for sample in tickets() {
        let view = DeviceView {
            bound: sample.value.op != Op::Bind,
            ..view()
        };
        let verified = verify_ticket(&signed(&sample.value), &key_set(), &view);
        assert_eq!(verified, Ok(sample.value), "{}", sample.name);
    }
}

#[test]
fn no_key_signs_an_op_outside_its_scope() {
    for sample in tickets() {
        let own = kid_for(sample.value.op);
        for entry in key_set().entries.iter().filter(|entry| entry.kid != own) {
            let foreign = sample.value.sign(&key(entry.kid), entry.kid);
            assert_eq!(
                verify_ticket(&foreign, &key_set(), &view()),
                Err(ErrorCode::KeyScope),
                "{}",
                sample.name
            );
        }
    }
}

#[test]
fn the_first_thing_that_is_wrong_is_the_answer() {
    let keys = key_set();
    let now_wrong = |ticket: Ticket| ticket.with_window(None, Some(NOW - 1));
    // Everything is wrong with this one; then one thing after the other is put right.
    let wrong = DeviceView {
        dev: OTHER_DEVICE,
        generation: 9,
        counters: [40, 0, 0, 0],
        bound: false,
        ..view()
    };
    let ticket = now_wrong(lock(32));
    let check = |bytes: &[u8], view: DeviceView| verify_ticket(bytes, &keys, &view).unwrap_err();
    let mut forged = ticket.sign(&key(3), 3);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(check(&forged[1..], wrong), ErrorCode::Malformed);
    assert_eq!(check(&ticket.sign(&key(4), 4), wrong), ErrorCode::KeyScope);
    assert_eq!(check(&forged, wrong), ErrorCode::Signature);
    let bytes = ticket.sign(&key(3), 3);
    assert_eq!(check(&bytes, wrong), ErrorCode::WrongDevice);
    let wrong = DeviceView {
        dev: DEVICE,
        ..wrong
    };
    assert_eq!(check(&bytes, wrong), ErrorCode::Generation);
    let wrong = DeviceView {
        generation: 2,
        ..wrong
    };
    assert_eq!(check(&bytes, wrong), ErrorCode::CounterStale);
    let wrong = DeviceView {
        counters: [0; 4],
        ..wrong
    };
    assert_eq!(check(&bytes, wrong), ErrorCode::Expired);
    let bytes = lock(32).sign(&key(3), 3);
    assert_eq!(check(&bytes, wrong), ErrorCode::Unbound);
}

#[test]
fn a_bound_seal_is_not_bound_again() {
    let bind = Ticket::new(DEVICE, 2, 25, NOW, Args::Bind);
    assert_eq!(
        verify_ticket(&signed(&bind), &key_set(), &view()),
        Err(ErrorCode::Busy)
    );
}

#[test]
fn a_lock_without_times_needs_no_clock_and_one_with_times_does() {
    let view = DeviceView {
        now: None,
        ..view()
    };
    assert!(verify_ticket(&signed(&lock(1)), &key_set(), &view).is_ok());
    let timed = lock(1).with_window(None, Some(NOW + 60));
    assert_eq!(
        verify_ticket(&signed(&timed), &key_set(), &view),
        Err(ErrorCode::NoSecureTime)
    );
}

#[test]
fn a_grant_that_has_not_begun_is_taken_and_one_that_is_over_is_not() {
    let grant = tickets().remove(0).value;
    let at = |now| verify_ticket(&signed(&grant), &key_set(), &DeviceView { now, ..view() });
    assert!(at(Some(NOW - 1000)).is_ok());
    assert!(at(None).is_ok());
    assert_eq!(at(Some(NOW + 9 * 3600)), Err(ErrorCode::Expired));
    let lock = lock(1).with_window(Some(NOW + 1), None);
    assert_eq!(
        verify_ticket(&signed(&lock), &key_set(), &view()),
        Err(ErrorCode::NotYetValid)
    );
}

#[test]
fn fingerprints_are_not_enrolled_over_ble() {
    let enrol = Ticket::new(
        DEVICE,
        2,
        1,
        NOW,
        Args::FpEnrol {
            slot: 1,
            user: 2,
            presses: None,
        },
    );
    let view = DeviceView {
        link: LinkKind::Ble,
        ..view()
    };
    assert_eq!(
        verify_ticket(&signed(&enrol), &key_set(), &view),
        Err(ErrorCode::NotOnThisLink)
    );
}

#[test]
fn a_repeated_command_gets_the_stored_answer_and_an_older_one_is_stale() {
    let mut journal = CounterJournal::new();
    let receive =
        |journal: &CounterJournal, ctr| journal.receive(&signed(&lock(ctr)), &key_set(), &view());
    assert_eq!(receive(&journal, 5), Ok(Taken::New(lock(5))));
    journal.commit(CounterDomain::Lock, 5, Outcome::APPLIED);
    let Ok(Taken::Repeat(ack)) = receive(&journal, 5) else {
        panic!("a repeat")
    };
    assert_eq!((ack.ctr, ack.status), (5, CmdStatus::Applied));
    assert_eq!(receive(&journal, 4), Err(ErrorCode::CounterStale));
    assert_eq!(receive(&journal, 7), Ok(Taken::New(lock(7))));
    assert_eq!(journal.admit(CounterDomain::Grant, 1), Admission::New);
    assert_eq!(journal.counters(), [5, 0, 0, 0]);
}

#[test]
fn a_result_that_follows_replaces_the_stored_answer() {
    let mut journal = CounterJournal::new();
    journal.commit(CounterDomain::Config, 3, Outcome::ACCEPTED);
    journal.commit(
        CounterDomain::Config,
        3,
        Outcome::rejected(ErrorCode::FingerprintTimeout),
    );
    journal.commit(CounterDomain::Config, 2, Outcome::APPLIED);
    let expected = Outcome::rejected(ErrorCode::FingerprintTimeout);
    assert_eq!(
        journal.admit(CounterDomain::Config, 3),
        Admission::Repeat(expected)
    );
    assert_eq!(CounterJournal::restore(*journal.entries()), journal);
}

#[test]
fn the_repeat_of_an_unbind_gets_its_answer_though_the_generation_went_up() {
    let unbind = Ticket::new(DEVICE, 2, 24, NOW, Args::Unbind);
    let mut journal = CounterJournal::new();
    journal.commit(CounterDomain::Config, 24, Outcome::APPLIED);
    let after = DeviceView {
        generation: 3,
        bound: false,
        ..view()
    };
    let taken = journal.receive(&signed(&unbind), &key_set(), &after);
    assert!(matches!(taken, Ok(Taken::Repeat(_))), "{taken:?}");
}

#[test]
fn a_forged_repeat_gets_no_answer_from_the_journal() {
    let mut journal = CounterJournal::new();
    journal.commit(CounterDomain::Lock, 5, Outcome::APPLIED);
    let forged = lock(5).sign(&key(99), 3);
    assert_eq!(
        journal.receive(&forged, &key_set(), &view()),
        Err(ErrorCode::Signature)
    );
}

#[test]
fn the_table_of_ops_is_complete_and_in_order() {
    for (row, op) in OPS.iter().zip(Op::ALL) {
        assert_eq!(row.op, *op);
        assert!(!row.scope.intersects(Scope::KEYSET));
    }
    assert_eq!(OPS.len(), Op::ALL.len());
    assert_ne!(Op::Lock.scope(), Op::Unlock.scope());
}
