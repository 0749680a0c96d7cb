//! From the facts of a press to one of the ten abnormal kinds (REC-6): one table, the first row that matches.
//!
//! The order is part of the contract:
//! - A lock the seal could not know yet (10), a lock it knew (4) and a press while shutting down (5) come first,
//!   whatever the grant was.
//! - Stretched and quick (7, 6) come before the reason why the grant did not hold: kind 7 before any grant, kind 6
//!   for every grant that is over: ended, used up, out of time, or gone.
//! - "Over count" (1) comes before the state of the screen (8, 9): who stamps more than granted is not hidden by a
//!   dark screen.
//! - Then the screen (8, 9), the time (2), and for everything else that is not allowed, 3.
//!
//! A press is allowed when its grant state is `Active` and the seal is past its first lease of this boot, or in
//! offline mode. An allowed press has no abnormal kind, unless it was while locked or shutting down.

use crate::record::{Facts, GrantState, Phase, Screen};

wire_enum! { @closed
    /// The ten abnormal kinds, numbered as REC-6 does.
    AbnormalKind: u8 {
        /// More stamps than granted.
        OverCount = 1 => "over count",
        /// Outside the granted time.
        OutsideTime = 2 => "outside time",
        /// Without a grant.
        NoGrant = 3 => "no grant",
        /// After a loss lock.
        AfterLock = 4 => "after lock",
        /// Stretched, while shutting down.
        ShuttingDown = 5 => "while shutting down",
        /// Grant over, stretched, quick press.
        GrantOver = 6 => "grant over, quick press",
        /// After binding, before the first grant, stretched, quick press.
        BeforeFirstGrant = 7 => "before the first grant, quick press",
        /// No grant, stretched, QR code showing.
        NoGrantQr = 8 => "no grant, QR code showing",
        /// No grant, stretched, screen off.
        NoGrantScreenOff = 9 => "no grant, screen off",
        /// Locked while off, pressed right after power-on.
        LockedWhileOff = 10 => "locked while off",
    }
}

/// One row of the truth table.
#[derive(Debug)]
pub struct Row {
    /// What the row stands for.
    pub kind: AbnormalKind,
    /// The condition in words, for the published table.
    pub condition: &'static str,
    matches: fn(Facts, bool) -> bool,
}

/// The truth table; the first row that matches wins.
pub static TRUTH_TABLE: [Row; 10] = [
    Row {
        kind: AbnormalKind::LockedWhileOff,
        condition: "booting, not locked, and the server had issued a lock before that boot which the seal had not acknowledged",
        matches: |facts, locked_while_off| locked_while_off && booting(facts) && !facts.locked(),
    },
    Row {
        kind: AbnormalKind::AfterLock,
        condition: "locked",
        matches: |facts, _| facts.locked(),
    },
    Row {
        kind: AbnormalKind::ShuttingDown,
        condition: "stretched, shutting down",
        matches: |facts, _| facts.stretched() && facts.phase() == Phase::ShuttingDown,
    },
    Row {
        kind: AbnormalKind::BeforeFirstGrant,
        condition: "stretched, quick, grant state never",
        matches: |facts, _| stretched_and_quick(facts) && facts.grant_state() == GrantState::Never,
    },
    Row {
        kind: AbnormalKind::GrantOver,
        condition: "stretched, quick, grant state exhausted, time over, ended or none now",
        matches: |facts, _| stretched_and_quick(facts) && over(facts.grant_state()),
    },
    Row {
        kind: AbnormalKind::OverCount,
        condition: "grant state exhausted",
        matches: |facts, _| facts.grant_state() == GrantState::Exhausted,
    },
    Row {
        kind: AbnormalKind::NoGrantQr,
        condition: "stretched, not allowed, QR code showing",
        matches: |facts, _| facts.stretched() && !allowed(facts) && facts.screen() == Screen::Qr,
    },
    Row {
        kind: AbnormalKind::NoGrantScreenOff,
        condition: "stretched, not allowed, screen off",
        matches: |facts, _| facts.stretched() && !allowed(facts) && facts.screen() == Screen::Off,
    },
    Row {
        kind: AbnormalKind::OutsideTime,
        condition: "grant state time over or not begun",
        matches: |facts, _| {
            matches!(
                facts.grant_state(),
                GrantState::TimeOver | GrantState::NotBegun
            )
        },
    },
    Row {
        kind: AbnormalKind::NoGrant,
        condition: "not allowed: grant state other than active, or booting without offline mode",
        matches: |facts, _| !allowed(facts),
    },
];

/// What a press is to be shown as, from its facts alone: all a seal can know (never kind 10).
#[must_use]
pub fn classify(facts: Facts) -> Option<AbnormalKind> {
    classify_with(facts, false)
}

/// What a press is to be shown as. `locked_while_off`: the server issued a lock before the record's boot began, and
/// the seal acknowledged it only after the press.
#[must_use]
pub fn classify_with(facts: Facts, locked_while_off: bool) -> Option<AbnormalKind> {
    TRUTH_TABLE
        .iter()
        .find(|row| (row.matches)(facts, locked_while_off))
        .map(|row| row.kind)
}

fn booting(facts: Facts) -> bool {
    facts.phase() == Phase::Booting
}

fn stretched_and_quick(facts: Facts) -> bool {
    facts.stretched() && facts.quick()
}

fn over(state: GrantState) -> bool {
    matches!(
        state,
        GrantState::Exhausted | GrantState::TimeOver | GrantState::Ended | GrantState::NoneNow
    )
}

fn allowed(facts: Facts) -> bool {
    facts.grant_state() == GrantState::Active && (!booting(facts) || facts.offline_mode())
}
