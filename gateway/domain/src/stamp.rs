//! Stamp records: does a batch continue the log ([`reconcile`]), when was it ([`correct`]), what class of abnormal
//! use is it ([`anomaly`]), does it count against its grant ([`counts`]).
//!
//! Raw facts are never rewritten: everything here is derived and may be derived again.

use crate::{Millis, organization::UseMode};

/// A SHA-256.
pub type Hash = [u8; 32];

/// In place of a cursor's head after a log was reopened behind records that nobody has: the next signed checkpoint says
/// it. No hash is all zeros.
pub const UNKNOWN_HEAD: Hash = [0; 32];

/// A record of this kind stands for a range that the device lost.
pub const KIND_LOST: u8 = 250;

/// Is a record of this kind a press of the head, allowed or not? The others tell of links, clocks and losses.
#[must_use]
pub const fn is_press(kind: u8) -> bool {
    kind <= 12
}

/// How far a device's log is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The log's epoch.
    pub epoch: u32,
    /// The first sequence number not stored.
    pub next: u32,
    /// Chain head of everything before it.
    pub head: Hash,
}

/// A batch, as far as deciding where it belongs needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The log's epoch.
    pub epoch: u32,
    /// Sequence number of the first record.
    pub first: u32,
    /// The number after the last record (a record of losses stands for many).
    pub end: u32,
    /// From which sequence number on the chain was checked: the cursor the checker knew.
    pub chained_from: u32,
    /// The chain head there.
    pub prev_head: Hash,
    /// The chain head after the last record, as signed.
    pub new_head: Hash,
}

/// Where a batch belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Records below `from` are stored already, and the chain proves them equal; the rest is new.
    Append {
        /// The first new number.
        from: u32,
    },
    /// All of it is stored already. Unless proven, hashes must be compared: any difference is a fork.
    Duplicate {
        /// It ends at the cursor, and its signed head is ours.
        proven: bool,
    },
    /// Records before it are missing: nothing of it may be stored.
    Gap {
        /// First missing.
        from: u32,
        /// How many.
        count: u32,
    },
    /// It contradicts what is stored.
    Fork,
    /// Another session stored more in the meantime: check the chain again from the cursor.
    Stale,
    /// It is of another epoch, empty, or its numbers overflow.
    Refused,
}

/// Where does the batch belong?
#[must_use]
pub fn reconcile(cursor: &Cursor, batch: &Batch) -> Verdict {
    let fits = batch.first != 0 && batch.first < batch.end;
    if !fits || batch.epoch != cursor.epoch {
        return Verdict::Refused;
    }
    if batch.first > cursor.next {
        return Verdict::Gap {
            from: cursor.next,
            count: batch.first - cursor.next,
        };
    }
    if batch.end < cursor.next {
        return Verdict::Duplicate { proven: false };
    }
    if batch.end == cursor.next {
        return match batch.new_head == cursor.head {
            true => Verdict::Duplicate { proven: true },
            false if cursor.head == UNKNOWN_HEAD => Verdict::Duplicate { proven: false },
            false => Verdict::Fork,
        };
    }
    if batch.chained_from != cursor.next {
        return Verdict::Stale;
    }
    match batch.prev_head == cursor.head {
        true => Verdict::Append { from: cursor.next },
        false => Verdict::Fork,
    }
}

/// A moment at which the device's uptime and our time are both known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSync {
    /// The boot it belongs to.
    pub boot: u32,
    /// The device's uptime, in seconds.
    pub uptime_s: u32,
    /// Our time.
    pub at: Millis,
}

/// The device's own times of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceTime {
    /// Boot counter.
    pub boot: u32,
    /// Seconds since that boot.
    pub uptime_s: u32,
    /// The wall clock, if the device had it from a signed source in that boot.
    pub wall: Option<Millis>,
}

/// When a record was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// The best estimate.
    pub at: Millis,
    /// It is within this many seconds of the truth.
    pub uncertainty_s: u32,
}

/// Drift of a device's clock that is reckoned with: 50 parts per million.
const DRIFT: i64 = 20_000;
/// Delay between a device reading its uptime and our receiving it.
const DELAY_S: u32 = 5;

/// 2020-01-01: no seal of this protocol is older.
const OLDEST: Millis = Millis(1_577_836_800_000);

/// When was the record made?
///
/// `sync` is from this session's HELLO. A record of the same boot is placed by uptime. One of an earlier boot is
/// placed by its wall clock if that was secure then, else in the middle of what is possible: not before `after` (the
/// record before it), not behind the current boot's beginning.
#[must_use]
pub fn correct(
    time: &DeviceTime,
    sync: &TimeSync,
    after: Option<Millis>,
    received: Millis,
) -> Corrected {
    if time.boot == sync.boot {
        let offset = i64::from(time.uptime_s) - i64::from(sync.uptime_s);
        let at = sync.at.plus(offset * Millis::SECOND).min(received);
        if at >= OLDEST {
            return Corrected {
                at,
                uncertainty_s: DELAY_S.saturating_add(drift(offset.abs())),
            };
        }
    }
    let boot_began = sync.at.plus(-i64::from(sync.uptime_s) * Millis::SECOND);
    let latest = match boot_began >= OLDEST {
        true => boot_began.min(received),
        // An uptime that cannot be says nothing.
        false => received,
    };
    let earliest = after.map(|after| after.min(latest));
    if let Some(wall) = time.wall {
        let slack = i64::from(DELAY_S) * Millis::SECOND;
        let possible = wall <= latest.plus(slack)
            && earliest.is_none_or(|earliest| wall.plus(slack) >= earliest);
        if possible {
            return Corrected {
                at: wall.min(received),
                uncertainty_s: DELAY_S.saturating_add(drift(i64::from(time.uptime_s))),
            };
        }
    }
    let Some(earliest) = earliest else {
        return Corrected {
            at: latest,
            uncertainty_s: u32::MAX,
        };
    };
    let half = latest.since(earliest) / 2;
    Corrected {
        at: earliest.plus(half),
        uncertainty_s: u32::try_from(half / Millis::SECOND + 1).unwrap_or(u32::MAX),
    }
}

fn drift(seconds: i64) -> u32 {
    u32::try_from(seconds / DRIFT + 1).unwrap_or(u32::MAX)
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident = $number:literal;)+) => {
        /// The ten classes of abnormal use (REC-6).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum AbnormalKind { $($(#[$meta])* $name = $number),+ }

        impl AbnormalKind {
            /// Every class.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The rule's number, 1 to 10.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// From the rule's number.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// More stamps than granted.
    OverCount = 1;
    /// Outside the granted time.
    OutsideTime = 2;
    /// Without a grant.
    WithoutGrant = 3;
    /// After a loss lock.
    AfterLock = 4;
    /// Stretched, while shutting down.
    ShuttingDown = 5;
    /// Grant over, stretched, quick press.
    GrantOverQuick = 6;
    /// After binding, before the first grant, stretched, quick press.
    BeforeFirstGrantQuick = 7;
    /// No grant, stretched, QR-code screen showing.
    QrScreen = 8;
    /// No grant, stretched, screen off.
    ScreenOff = 9;
    /// Lock issued while the device was off; pressed right after power-on.
    LockedWhileOff = 10;
}

/// What the device says about a press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PressFacts {
    /// It was the device's grant that allowed it (fact "grant active").
    pub grant_active: bool,
    /// It was made after power-on, before the first answer of the platform.
    pub booting: bool,
    /// The class by the device's truth table, kind 10 left out.
    pub class: Option<AbnormalKind>,
    /// When it was made.
    pub at: Corrected,
    /// Seconds since power-on.
    pub uptime_s: u32,
    /// Its number within the grant.
    pub n: u16,
}

/// What the platform knows of the grant a press names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantKnowledge {
    /// Opens.
    pub not_before: Millis,
    /// Closes.
    pub not_after: Millis,
    /// When the device confirmed its end.
    pub ended_at: Option<Millis>,
    /// It went beyond the count.
    pub over: bool,
}

/// A lock that was issued: when, when the device said it was locked, and when it was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockSpan {
    /// Issued here.
    pub issued_at: Millis,
    /// Applied there.
    pub applied_at: Option<Millis>,
    /// The unlock behind it was issued here.
    pub lifted_at: Option<Millis>,
}

/// What the platform knows when a press arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knowledge {
    /// Does the organization require grants?
    pub mode: UseMode,
    /// The grant the press names, if it is known.
    pub grant: Option<GrantKnowledge>,
    /// The newest lock.
    pub lock: Option<LockSpan>,
}

/// Clock difference that is nobody's fault.
const SKEW_S: u32 = 120;

/// The final class of a press.
///
/// The device's own class stands, except: kind 10 needs our knowledge of the lock and comes before all but 4, for a
/// device that says it is locked knew of it; free use (USE-15) knows no 3 and no 6 to 9; and a press the device took for granted is checked against what we know of the grant.
#[must_use]
pub fn anomaly(press: &PressFacts, known: &Knowledge) -> Option<AbnormalKind> {
    if locked_while_off(press, known.lock) {
        return Some(AbnormalKind::LockedWhileOff);
    }
    if known.mode == UseMode::Free {
        return press.class.filter(|class| {
            !matches!(
                class,
                AbnormalKind::WithoutGrant
                    | AbnormalKind::GrantOverQuick
                    | AbnormalKind::BeforeFirstGrantQuick
                    | AbnormalKind::QrScreen
                    | AbnormalKind::ScreenOff
            )
        });
    }
    if press.class.is_some() {
        return press.class;
    }
    if !press.grant_active {
        return Some(AbnormalKind::WithoutGrant);
    }
    let Some(grant) = known.grant else {
        return Some(AbnormalKind::WithoutGrant);
    };
    if grant.over {
        return Some(AbnormalKind::OverCount);
    }
    let slack = i64::from(press.at.uncertainty_s.saturating_add(SKEW_S)) * Millis::SECOND;
    let earliest = press.at.at.plus(-slack);
    if grant.ended_at.is_some_and(|ended| earliest > ended) {
        return Some(AbnormalKind::WithoutGrant);
    }
    let outside = earliest > grant.not_after || press.at.at.plus(slack) < grant.not_before;
    outside.then_some(AbnormalKind::OutsideTime)
}

fn locked_while_off(press: &PressFacts, lock: Option<LockSpan>) -> bool {
    let unaware = press.booting && press.class != Some(AbnormalKind::AfterLock);
    let Some(lock) = lock.filter(|_| unaware) else {
        return false;
    };
    let before = |end: Option<Millis>| end.is_none_or(|end| press.at.at < end);
    let booted = press
        .at
        .at
        .plus(-i64::from(press.uptime_s) * Millis::SECOND);
    lock.issued_at < booted && before(lock.applied_at) && before(lock.lifted_at)
}

/// Does a press count against its grant? Only one that the grant allowed.
#[must_use]
pub const fn counts(press: &PressFacts) -> bool {
    press.grant_active && press.class.is_none()
}

#[cfg(test)]
#[path = "tests/stamp.rs"]
mod tests;
