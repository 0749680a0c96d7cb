//! Commands.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const EVENTS: [Event; 6] = [
    Event::Sent,
    Event::Acknowledged,
    Event::Applied,
    Event::Rejected,
    Event::Expired,
    Event::Superseded,
];

#[test]
fn numbers_of_ops_and_domains_are_unique_and_survive() {
    let numbers: HashSet<_> = Op::ALL.iter().map(|op| op.number()).collect();
    assert_eq!(numbers.len(), Op::ALL.len());
    for op in Op::ALL {
        assert_eq!(Op::from_number(op.number()), Some(*op));
        assert_eq!(op.as_str().parse(), Ok(*op));
    }
    for domain in Domain::ALL {
        assert_eq!(Domain::from_number(domain.number()), Some(*domain));
    }
}

#[test]
fn lock_is_the_most_urgent_and_has_a_counter_of_its_own() {
    for op in Op::ALL.iter().filter(|op| **op != Op::Lock) {
        assert!(Op::Lock.priority() < op.priority(), "{op}");
        assert_eq!(op.domain() == Domain::Lock, *op == Op::Unlock);
    }
    assert!(Op::End.priority() < Op::Unlock.priority());
}

#[test]
fn one_shots_expire_and_desired_state_does_not() {
    for op in Op::ALL {
        assert_eq!(op.expires_at(Millis(0)).is_some(), op.one_shot(), "{op}");
        assert!(!(op.one_shot() && op.supersede_key(1).is_some()), "{op}");
    }
}

#[test]
fn lock_and_unlock_supersede_each_other_and_so_do_grant_and_end() {
    assert_eq!(Op::Lock.supersede_key(0), Op::Unlock.supersede_key(0));
    assert_eq!(Op::Grant.supersede_key(0), Op::End.supersede_key(0));
    assert_ne!(Op::Lock.supersede_key(0), Op::Grant.supersede_key(0));
    assert_ne!(
        Op::FingerprintDelete.supersede_key(1),
        Op::FingerprintDelete.supersede_key(2)
    );
}

#[test]
fn a_late_answer_of_the_device_is_the_truth() {
    assert_eq!(State::Expired.next(Event::Applied), Ok(State::Applied));
    assert_eq!(State::Superseded.next(Event::Applied), Ok(State::Applied));
    assert_eq!(State::Expired.next(Event::Rejected), Ok(State::Rejected));
    assert_eq!(
        State::Rejected.next(Event::Applied),
        Err(RuleError::CommandOver)
    );
    assert_eq!(
        State::Expired.next(Event::Sent),
        Err(RuleError::CommandOver)
    );
    assert_eq!(
        State::Acknowledged.next(Event::Sent),
        Err(RuleError::CommandStateBackwards)
    );
}

#[test]
fn a_repeat_changes_nothing() {
    let mut state = State::Pending;
    for event in [
        Event::Sent,
        Event::Sent,
        Event::Acknowledged,
        Event::Acknowledged,
        Event::Applied,
        Event::Applied,
    ] {
        state = state.next(event).expect("forward");
    }
    assert_eq!(state, State::Applied);
}

proptest! {
    #[test]
    fn states_only_move_forward(events in proptest::collection::vec(0..EVENTS.len(), 0..30)) {
        let mut state = State::Pending;
        for event in events {
            let Ok(next) = state.next(EVENTS[event]) else { continue };
            prop_assert!(next == state || next.rank() > state.rank());
            prop_assert!(next != State::Pending);
            state = next;
        }
    }
}
