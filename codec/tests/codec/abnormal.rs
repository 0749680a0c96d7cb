//! The truth table: every kind, every row's place, and all combinations of facts.

use sealgate_codec::{
    abnormal::{AbnormalKind, TRUTH_TABLE, classify, classify_with},
    record::{Facts, GrantState, LinkKind, Phase, Screen},
};

use crate::samples::truth_table;

#[test]
fn every_sample_is_classified_as_its_name_says() {
    for sample in truth_table() {
        let (record, locked_while_off) = sample.value;
        let expected = match sample.name.split('_').nth(1) {
            Some(number) if sample.name.starts_with("kind") => {
                AbnormalKind::from_number(number.parse().unwrap())
            }
            _ => None,
        };
        assert_eq!(
            classify_with(record.facts, locked_while_off),
            expected,
            "{}",
            sample.name
        );
    }
}

#[test]
fn every_kind_has_a_sample_and_a_row() {
    for kind in AbnormalKind::ALL {
        assert!(TRUTH_TABLE.iter().any(|row| row.kind == *kind), "{kind}");
        let sampled = truth_table()
            .iter()
            .any(|sample| classify_with(sample.value.0.facts, sample.value.1) == Some(*kind));
        assert!(sampled, "{kind}");
    }
}

/// Every combination of the facts that the table looks at.
fn combinations() -> impl Iterator<Item = (Facts, bool)> {
    (0..=0xfff_u32).flat_map(|bits| {
        [
            (Facts::from_bits(bits), false),
            (Facts::from_bits(bits), true),
        ]
    })
}

#[test]
fn over_count_wins_over_the_screen() {
    for (facts, locked_while_off) in combinations() {
        if facts.grant_state() == GrantState::Exhausted {
            let kind = classify_with(facts, locked_while_off).unwrap();
            assert!(
                !matches!(
                    kind,
                    AbnormalKind::NoGrantQr
                        | AbnormalKind::NoGrantScreenOff
                        | AbnormalKind::NoGrant
                ),
                "{facts:?}"
            );
        }
    }
}

#[test]
fn stretched_and_quick_under_a_grant_that_is_over_is_kind_6() {
    let over = [
        GrantState::Exhausted,
        GrantState::TimeOver,
        GrantState::Ended,
        GrantState::NoneNow,
    ];
    for screen in Screen::ALL {
        for state in over {
            let facts = Facts::new()
                .with_stretched(true)
                .with_quick(true)
                .with_screen(*screen)
                .with_grant_state(state);
            assert_eq!(classify(facts), Some(AbnormalKind::GrantOver), "{facts:?}");
        }
    }
}

#[test]
fn a_locked_seal_never_stamps_normally() {
    for (facts, locked_while_off) in combinations() {
        if facts.locked() {
            let kind = classify_with(facts, locked_while_off);
            assert!(
                matches!(
                    kind,
                    Some(AbnormalKind::AfterLock | AbnormalKind::LockedWhileOff)
                ),
                "{facts:?}"
            );
        }
    }
}

#[test]
fn a_press_is_normal_only_with_an_active_grant_and_after_the_first_lease_or_offline() {
    for (facts, locked_while_off) in combinations() {
        let kind = classify_with(facts, locked_while_off);
        let allowed = facts.grant_state() == GrantState::Active
            && (facts.phase() != Phase::Booting || facts.offline_mode());
        if kind.is_none() {
            assert!(allowed && !facts.locked(), "{facts:?}");
        }
        if !allowed {
            assert!(kind.is_some(), "{facts:?}");
        }
    }
}

#[test]
fn kind_10_needs_the_server() {
    for (facts, _) in combinations() {
        assert_ne!(classify(facts), Some(AbnormalKind::LockedWhileOff));
        let with_lock = classify_with(facts, true) == Some(AbnormalKind::LockedWhileOff);
        let unaware = facts.phase() == Phase::Booting && !facts.locked();
        assert_eq!(with_lock, unaware, "{facts:?}");
    }
}

#[test]
fn facts_keep_their_bits_apart() {
    let facts = Facts::new()
        .with_grant_state(GrantState::NotBegun)
        .with_locked(true)
        .with_stretched(true)
        .with_phase(Phase::ShuttingDown)
        .with_screen(Screen::Off)
        .with_quick(true)
        .with_offline_mode(true)
        .with_link(LinkKind::Uart)
        .with_photo(true)
        .with_fingerprint(true);
    assert_eq!(facts.bits(), 0b1111_1110_1011_1001);
    assert_eq!(facts.grant_state(), GrantState::NotBegun);
    assert!(facts.locked() && facts.stretched() && facts.quick() && facts.offline_mode());
    assert_eq!(
        (facts.phase(), facts.screen(), facts.link()),
        (Phase::ShuttingDown, Screen::Off, LinkKind::Uart)
    );
    assert!(facts.photo() && facts.fingerprint());
    assert_eq!(
        facts.with_locked(false).with_link(LinkKind::None).bits(),
        0b1100_1110_1010_1001
    );
    let mut next = 0;
    for (name, shift, width) in Facts::FIELDS {
        assert_eq!(shift, next, "{name}");
        next = shift + width;
    }
}

#[test]
fn states_of_later_versions_do_not_allow_a_stamp() {
    for number in 10..16 {
        let facts = Facts::from_bits(number);
        assert_eq!(classify(facts), Some(AbnormalKind::NoGrant));
    }
}
