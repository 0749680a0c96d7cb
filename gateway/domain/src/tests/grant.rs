//! Grants.

use proptest::prelude::*;

use super::*;

const NOW: Millis = Millis(1_000_000_000);
const DELIVERED: Grant = Grant {
    not_before: NOW,
    not_after: Millis(NOW.0 + Millis::HOUR),
    max: 2,
    used: 0,
    delivered_at: Some(NOW),
    end_requested_at: None,
    ended_at: None,
};

fn terms() -> Terms {
    Terms {
        not_before: NOW,
        not_after: NOW.plus(Millis::HOUR),
        max: 10,
        flags: Flags::default(),
        region: None,
    }
}

#[test]
fn terms_keep_the_rules_of_a_grant() {
    let check = |change: fn(&mut Terms)| {
        let mut asked = terms();
        change(&mut asked);
        asked.check(false, NOW)
    };
    assert!(check(|_| {}).is_ok());
    assert!(check(|terms| terms.max = 0).is_ok());
    assert!(check(|terms| terms.max = 500).is_ok());
    assert_eq!(
        check(|terms| terms.max = 501),
        Err(RuleError::GrantCountOutOfRange)
    );
    assert_eq!(
        check(|terms| terms.not_after = terms.not_before),
        Err(RuleError::GrantWindowInvalid)
    );
    let past = |terms: &mut Terms| {
        terms.not_before = NOW.plus(-2);
        terms.not_after = NOW;
    };
    assert_eq!(check(past), Err(RuleError::GrantEndInPast));
    let finger = |terms: &mut Terms| terms.flags = Flags::FINGERPRINT;
    assert_eq!(check(finger), Err(RuleError::GrantFingerprintUnavailable));
    let mut asked = terms();
    asked.flags = Flags::FINGERPRINT;
    assert!(asked.check(true, NOW).is_ok());
}

#[test]
fn a_region_lies_on_the_map_and_has_an_inside() {
    let place = |lat_e7, lon_e7| Place { lat_e7, lon_e7 };
    let circle = |center, radius_m| Region::Circle { center, radius_m }.check();
    assert_eq!(circle(place(0, 0), 50), Ok(()));
    assert_eq!(circle(place(0, 0), 49), Err(RuleError::GrantRegionInvalid));
    assert_eq!(
        circle(place(900_000_001, 0), 50),
        Err(RuleError::GrantRegionInvalid)
    );
    let triangle = vec![place(0, 0), place(0, 10), place(10, 0)];
    assert_eq!(Region::Polygon(triangle.clone()).check(), Ok(()));
    let line = vec![place(0, 0), place(5, 5), place(10, 10)];
    assert_eq!(
        Region::Polygon(line).check(),
        Err(RuleError::GrantRegionInvalid)
    );
    assert_eq!(
        Region::Polygon(triangle[..2].to_vec()).check(),
        Err(RuleError::GrantRegionInvalid)
    );
    let mut asked = terms();
    asked.region = Some(Region::Polygon(triangle));
    assert!(
        asked
            .check(false, NOW)
            .is_ok_and(|terms| terms.flags.has(Flags::REGION))
    );
    let mut asked = terms();
    asked.flags = Flags::REGION;
    assert!(
        asked
            .check(false, NOW)
            .is_ok_and(|terms| !terms.flags.has(Flags::REGION))
    );
}

#[test]
fn a_grants_state_follows_from_its_times_and_counts() {
    let grant = DELIVERED;
    assert_eq!(
        Grant {
            delivered_at: None,
            ..grant
        }
        .state(NOW),
        GrantState::ToBeDelivered
    );
    assert_eq!(grant.state(NOW.plus(-1)), GrantState::NotBegun);
    assert_eq!(grant.state(NOW), GrantState::InUse);
    assert_eq!(grant.state(grant.not_after), GrantState::Expired);
    assert_eq!(Grant { used: 2, ..grant }.state(NOW), GrantState::Expired);
    assert_eq!(
        Grant {
            delivered_at: None,
            ..grant
        }
        .state(grant.not_after),
        GrantState::Expired
    );
    let ending = grant.request_end(NOW).expect("ends");
    assert_eq!(ending.state(NOW), GrantState::Ending);
    assert_eq!(ending.ended(NOW).state(NOW), GrantState::Ended);
    assert_eq!(
        ending.ended(NOW).request_end(NOW),
        Err(RuleError::GrantAlreadyEnded)
    );
    assert_eq!(ending.request_end(NOW.plus(5)), Ok(ending));
}

#[test]
fn unlimited_is_never_used_up() {
    let mut grant = Grant {
        max: 0,
        ..DELIVERED
    };
    for n in 1..=1_000 {
        let (next, consumed) = grant.consume(n);
        assert_eq!(consumed, Consumed::default());
        grant = next;
    }
    assert_eq!((grant.used, grant.remaining()), (1_000, None));
    let worn = Grant {
        used: u32::MAX,
        ..grant
    };
    assert_eq!(worn.consume(1).0.state(NOW), GrantState::InUse);
}

#[test]
fn the_device_and_the_platform_count_and_the_greater_stands() {
    let (grant, consumed) = Grant {
        max: 9,
        ..DELIVERED
    }
    .consume(4);
    assert_eq!((grant.used, consumed), (4, Consumed::default()));
    let (grant, _) = grant.consume(2);
    assert_eq!(grant.used, 5);
}

#[test]
fn a_grant_needs_the_previous_one_ended_and_may_queue_behind_one_that_is_ending() {
    use GrantState::{Ended, Ending, Expired, InUse, NotBegun, ToBeDelivered};
    assert_eq!(may_grant([]), Ok(()));
    assert_eq!(may_grant([Ended, Ending]), Ok(()));
    for open in [Expired, InUse, NotBegun, ToBeDelivered] {
        assert_eq!(
            may_grant([Ended, open]),
            Err(RuleError::PreviousGrantOpen),
            "{open}"
        );
    }
}

#[test]
fn free_use_is_granted_for_a_day_at_most_and_renewed_in_time() {
    let terms = Terms::free_use(NOW);
    assert!(terms.not_after.since(NOW) <= 24 * Millis::HOUR);
    assert_eq!(terms.max, 0);
    assert!(free_use_due(None, NOW));
    let implicit = Grant {
        max: 0,
        not_after: terms.not_after,
        ..DELIVERED
    };
    assert!(!free_use_due(Some(&implicit), NOW));
    assert!(free_use_due(
        Some(&implicit),
        terms.not_after.plus(1 - FREE_USE_RENEW)
    ));
    assert!(free_use_due(Some(&implicit.ended(NOW)), NOW));
    assert!(free_use_due(Some(&DELIVERED), NOW));
}

#[test]
fn offline_mode_needs_a_grant_that_allows_it_and_a_connection() {
    let check = |state, flags, connected| check_offline_mode(state, flags, connected);
    let in_use = Some(GrantState::InUse);
    assert_eq!(check(in_use, Flags::OFFLINE, true), Ok(()));
    assert_eq!(
        check(in_use, Flags::OFFLINE, false),
        Err(RuleError::OfflineModeDeviceOffline)
    );
    assert_eq!(
        check(in_use, Flags::PHOTO, true),
        Err(RuleError::OfflineModeNotAllowed)
    );
    assert_eq!(
        check(None, Flags::OFFLINE, true),
        Err(RuleError::OfflineModeNeedsGrant)
    );
    assert_eq!(
        check(Some(GrantState::Expired), Flags::OFFLINE, true),
        Err(RuleError::OfflineModeNeedsGrant)
    );
}

proptest! {
    #[test]
    fn counting_never_goes_back_and_says_exhausted_once(max in 0..20_u16, presses in proptest::collection::vec(0..30_u16, 0..60)) {
        let mut grant = Grant { max, ..DELIVERED };
        let mut exhausted = 0;
        for n in presses {
            let (next, consumed) = grant.consume(n);
            prop_assert!(next.used > grant.used);
            prop_assert_eq!(consumed.over, max != 0 && next.used > u32::from(max));
            exhausted += u32::from(consumed.exhausted);
            grant = next;
        }
        prop_assert_eq!(exhausted, u32::from(grant.exhausted()));
    }

    #[test]
    fn time_alone_never_reopens_a_grant(from in -100..100_i64, length in 1..200_i64, delivered: bool, used in 0..3_u32, times in proptest::collection::vec(-200..400_i64, 2..20)) {
        let grant = Grant {
            not_before: NOW.plus(from),
            not_after: NOW.plus(from + length),
            used,
            delivered_at: delivered.then_some(NOW),
            ..DELIVERED
        };
        let mut times = times;
        times.sort_unstable();
        let states: Vec<_> = times.iter().map(|at| grant.state(NOW.plus(*at))).collect();
        prop_assert!(states.is_sorted());
    }
}
