//! Where batches belong, when records were made, what class they are.

use proptest::prelude::*;

use super::*;

const CURSOR: Cursor = Cursor {
    epoch: 1,
    next: 10,
    head: [1; 32],
};
const NEXT: Batch = Batch {
    epoch: 1,
    first: 10,
    end: 13,
    chained_from: 10,
    prev_head: [1; 32],
    new_head: [2; 32],
};
const NOW: Millis = Millis(1_700_000_000_000);

#[test]
fn a_batch_that_continues_the_log_is_appended() {
    assert_eq!(reconcile(&CURSOR, &NEXT), Verdict::Append { from: 10 });
    let overlap = Batch { first: 7, ..NEXT };
    assert_eq!(reconcile(&CURSOR, &overlap), Verdict::Append { from: 10 });
}

#[test]
fn a_batch_from_another_past_is_a_fork() {
    assert_eq!(
        reconcile(
            &CURSOR,
            &Batch {
                prev_head: [9; 32],
                ..NEXT
            }
        ),
        Verdict::Fork
    );
    let at_the_cursor = Batch {
        first: 7,
        end: 10,
        chained_from: 10,
        ..NEXT
    };
    assert_eq!(reconcile(&CURSOR, &at_the_cursor), Verdict::Fork);
}

#[test]
fn a_repeated_batch_is_a_duplicate_proven_only_at_the_cursor() {
    let proven = Batch {
        first: 7,
        end: 10,
        chained_from: 7,
        new_head: [1; 32],
        ..NEXT
    };
    assert_eq!(
        reconcile(&CURSOR, &proven),
        Verdict::Duplicate { proven: true }
    );
    let older = Batch {
        first: 7,
        end: 9,
        chained_from: 7,
        ..NEXT
    };
    assert_eq!(
        reconcile(&CURSOR, &older),
        Verdict::Duplicate { proven: false }
    );
}

#[test]
fn a_batch_past_a_gap_names_the_gap() {
    let gap = Batch {
        first: 12,
        chained_from: 12,
        ..NEXT
    };
    assert_eq!(
        reconcile(&CURSOR, &gap),
        Verdict::Gap { from: 10, count: 2 }
    );
}

#[test]
fn a_batch_checked_from_an_old_cursor_is_stale() {
    assert_eq!(
        reconcile(
            &CURSOR,
            &Batch {
                first: 8,
                chained_from: 8,
                ..NEXT
            }
        ),
        Verdict::Stale
    );
}

#[test]
fn what_is_no_batch_is_refused() {
    for batch in [
        Batch { epoch: 2, ..NEXT },
        Batch { end: 10, ..NEXT },
        Batch { first: 0, ..NEXT },
    ] {
        assert_eq!(reconcile(&CURSOR, &batch), Verdict::Refused, "{batch:?}");
    }
}

const SYNC: TimeSync = TimeSync {
    boot: 5,
    uptime_s: 1_000,
    at: NOW,
};

fn time(boot: u32, uptime_s: u32, wall: Option<Millis>) -> DeviceTime {
    DeviceTime {
        boot,
        uptime_s,
        wall,
    }
}

#[test]
fn a_record_of_this_boot_is_placed_by_uptime() {
    let corrected = correct(&time(5, 400, Some(Millis(7))), &SYNC, None, NOW);
    assert_eq!(corrected.at, NOW.plus(-600_000));
    assert!(corrected.uncertainty_s < 10);
    let live = correct(&time(5, 1_060, None), &SYNC, None, NOW.plus(61_000));
    assert_eq!(live.at, NOW.plus(60_000));
}

#[test]
fn a_record_of_an_earlier_boot_is_placed_by_its_secure_clock() {
    let wall = NOW.plus(-5 * Millis::HOUR);
    let corrected = correct(&time(4, 50, Some(wall)), &SYNC, Some(wall.plus(-9)), NOW);
    assert_eq!(corrected.at, wall);
}

#[test]
fn without_one_it_lies_between_what_is_known() {
    let after = NOW.plus(-3 * Millis::HOUR);
    let impossible = Some(NOW.plus(Millis::HOUR));
    for wall in [None, impossible] {
        let corrected = correct(&time(4, 50, wall), &SYNC, Some(after), NOW);
        let latest = NOW.plus(-1_000_000);
        assert!(after < corrected.at && corrected.at < latest);
        let slack = i64::from(corrected.uncertainty_s) * Millis::SECOND;
        assert!(corrected.at.plus(-slack) <= after && corrected.at.plus(slack) >= latest);
    }
    let unknown = correct(&time(4, 50, None), &SYNC, None, NOW);
    assert_eq!(unknown.uncertainty_s, u32::MAX);
}

proptest! {
    #[test]
    fn no_record_is_made_after_it_arrived(boot in 0..9_u32, uptime in any::<u32>(), wall in proptest::option::of(any::<i64>()), after in proptest::option::of(any::<i64>()), received in 0..2_000_000_000_i64) {
        let corrected = correct(&time(boot, uptime, wall.map(Millis)), &SYNC, after.map(Millis), Millis(received));
        prop_assert!(corrected.at.0 <= received);
    }
}

const PRESS: PressFacts = PressFacts {
    grant_active: true,
    booting: false,
    class: None,
    at: Corrected {
        at: NOW,
        uncertainty_s: 5,
    },
    uptime_s: 100,
    n: 1,
};
const GRANT: GrantKnowledge = GrantKnowledge {
    not_before: NOW,
    not_after: Millis(NOW.0 + Millis::HOUR),
    ended_at: None,
    over: false,
};
const KNOWN: Knowledge = Knowledge {
    mode: UseMode::GrantsRequired,
    grant: Some(GRANT),
    lock: None,
};

fn without_grant(class: AbnormalKind) -> PressFacts {
    PressFacts {
        grant_active: false,
        class: Some(class),
        ..PRESS
    }
}

#[test]
fn a_press_under_its_grant_is_nothing_abnormal() {
    assert_eq!(anomaly(&PRESS, &KNOWN), None);
    assert!(counts(&PRESS));
}

#[test]
fn the_class_of_the_device_stands() {
    for class in AbnormalKind::ALL
        .iter()
        .filter(|class| **class != AbnormalKind::LockedWhileOff)
    {
        assert_eq!(anomaly(&without_grant(*class), &KNOWN), Some(*class));
        assert!(!counts(&without_grant(*class)));
    }
}

#[test]
fn what_the_device_took_for_granted_is_checked_against_what_is_known() {
    let with = |change: fn(&mut GrantKnowledge)| {
        let mut grant = GRANT;
        change(&mut grant);
        anomaly(
            &PRESS,
            &Knowledge {
                grant: Some(grant),
                ..KNOWN
            },
        )
    };
    assert_eq!(
        with(|grant| grant.over = true),
        Some(AbnormalKind::OverCount)
    );
    assert_eq!(
        with(|grant| grant.not_before = NOW.plus((120 + 5) * Millis::SECOND)),
        None
    );
    assert_eq!(
        with(|grant| grant.not_before = NOW.plus((120 + 6) * Millis::SECOND)),
        Some(AbnormalKind::OutsideTime)
    );
    assert_eq!(
        with(|grant| grant.not_after = NOW.plus(-200 * Millis::SECOND)),
        Some(AbnormalKind::OutsideTime)
    );
    assert_eq!(
        with(|grant| grant.ended_at = Some(NOW.plus(-200 * Millis::SECOND))),
        Some(AbnormalKind::WithoutGrant)
    );
    assert_eq!(with(|grant| grant.ended_at = Some(NOW)), None);
    let unknown = Knowledge {
        grant: None,
        ..KNOWN
    };
    assert_eq!(anomaly(&PRESS, &unknown), Some(AbnormalKind::WithoutGrant));
}

#[test]
fn free_use_knows_no_missing_grant() {
    let free = Knowledge {
        mode: UseMode::Free,
        grant: None,
        ..KNOWN
    };
    assert_eq!(anomaly(&PRESS, &free), None);
    for class in AbnormalKind::ALL {
        let kept = matches!(class.number(), 1 | 2 | 4 | 5 | 10);
        assert_eq!(
            anomaly(&without_grant(*class), &free),
            kept.then_some(*class)
        );
    }
}

#[test]
fn a_lock_issued_while_off_is_kind_10_until_the_device_knows() {
    let booting = PressFacts {
        booting: true,
        ..without_grant(AbnormalKind::WithoutGrant)
    };
    let boot = NOW.plus(-100_000);
    let with = |issued: Millis, applied: Option<Millis>| {
        let lock = Some(LockSpan {
            issued_at: issued,
            applied_at: applied,
            lifted_at: None,
        });
        anomaly(&booting, &Knowledge { lock, ..KNOWN })
    };
    let before = boot.plus(-1);
    assert_eq!(with(before, None), Some(AbnormalKind::LockedWhileOff));
    assert_eq!(
        with(before, Some(NOW.plus(1))),
        Some(AbnormalKind::LockedWhileOff)
    );
    assert_eq!(with(before, Some(NOW)), Some(AbnormalKind::WithoutGrant));
    assert_eq!(with(boot, None), Some(AbnormalKind::WithoutGrant));
    let later = PressFacts {
        booting: false,
        ..booting
    };
    let lock = Some(LockSpan {
        issued_at: before,
        applied_at: None,
        lifted_at: None,
    });
    assert_eq!(
        anomaly(&later, &Knowledge { lock, ..KNOWN }),
        Some(AbnormalKind::WithoutGrant)
    );
}

#[test]
fn a_lock_taken_back_before_the_press_is_no_kind_10() {
    let booting = PressFacts {
        booting: true,
        ..without_grant(AbnormalKind::WithoutGrant)
    };
    let with = |lifted: Millis| {
        let lock = Some(LockSpan {
            issued_at: NOW.plus(-200_000),
            applied_at: None,
            lifted_at: Some(lifted),
        });
        anomaly(&booting, &Knowledge { lock, ..KNOWN })
    };
    assert_eq!(
        with(NOW.plus(-150_000)),
        Some(AbnormalKind::WithoutGrant),
        "of every later boot"
    );
    assert_eq!(
        with(NOW.plus(1)),
        Some(AbnormalKind::LockedWhileOff),
        "an unlock changes nothing that was before it"
    );
}

#[test]
fn a_seal_that_says_it_is_locked_knew_of_the_lock() {
    let booting = PressFacts {
        booting: true,
        ..without_grant(AbnormalKind::AfterLock)
    };
    // The answer was lost; the HELLO behind the press is the first we hear of it.
    let lock = Some(LockSpan {
        issued_at: NOW.plus(-200_000),
        applied_at: Some(NOW.plus(5_000)),
        lifted_at: None,
    });
    let known = Knowledge { lock, ..KNOWN };
    assert_eq!(anomaly(&booting, &known), Some(AbnormalKind::AfterLock));
}

#[test]
fn behind_a_reopened_log_the_devices_chain_is_taken_from_where_it_stands() {
    let cursor = Cursor {
        epoch: 1,
        next: 10,
        head: UNKNOWN_HEAD,
    };
    let batch = Batch {
        epoch: 1,
        first: 10,
        end: 12,
        chained_from: 10,
        prev_head: UNKNOWN_HEAD,
        new_head: [7; 32],
    };
    assert_eq!(reconcile(&cursor, &batch), Verdict::Append { from: 10 });
    let older = Batch {
        first: 8,
        end: 10,
        ..batch
    };
    let given_up = Verdict::Duplicate { proven: false };
    assert_eq!(reconcile(&cursor, &older), given_up);
    let unchecked = Batch {
        chained_from: 0,
        ..batch
    };
    assert_eq!(reconcile(&cursor, &unchecked), Verdict::Stale);
}

#[test]
fn the_ten_classes_have_their_numbers() {
    let numbers: Vec<_> = AbnormalKind::ALL
        .iter()
        .map(|class| class.number())
        .collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    for class in AbnormalKind::ALL {
        assert_eq!(AbnormalKind::from_number(class.number()), Some(*class));
    }
    assert_eq!(AbnormalKind::from_number(11), None);
}

#[test]
fn an_uptime_that_cannot_be_places_no_record_before_the_protocol() {
    let oldest = Millis(1_577_836_800_000);
    let sync = TimeSync {
        boot: 2,
        uptime_s: u32::MAX,
        at: NOW,
    };
    for (boot, after) in [(1, None), (1, Some(NOW)), (2, None), (2, Some(NOW))] {
        let time = DeviceTime {
            boot,
            uptime_s: 5,
            wall: None,
        };
        let corrected = correct(&time, &sync, after, NOW);
        assert!(
            corrected.at >= oldest && corrected.at <= NOW,
            "{corrected:?}"
        );
    }
}
