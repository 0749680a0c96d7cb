//! Grants: who may stamp how often, when and where (USE-6, USE-7, USE-9), and free use (USE-15).
//!
//! A grant's state is a pure function of its stored times and counts and of now: nothing has to run for a grant to
//! begin or expire. `max` 0 means unlimited and is only ever compared, never computed with.

use crate::{Millis, RuleError, settings};

/// The greatest count; 0 means unlimited.
pub const MAX_COUNT: u16 = 500;
/// How long an implicit grant of free use lasts at most.
pub const FREE_USE_LIFETIME: i64 = 24 * Millis::HOUR;
/// An implicit grant with less time left than this is renewed.
pub const FREE_USE_RENEW: i64 = 8 * Millis::HOUR;

text_enum! {
    /// What a grant is at a moment (USE-9).
    pub enum GrantState {
        /// 待下发: the device has not confirmed it yet.
        ToBeDelivered = "to_be_delivered",
        /// 未开始: its window has not opened.
        NotBegun = "not_begun",
        /// 用印中.
        InUse = "in_use",
        /// 已过期: time over or count used up, but nobody ended it.
        Expired = "expired",
        /// 结束中: ended here, the device does not know yet.
        Ending = "ending",
        /// 用印结束.
        Ended = "ended",
    }
}

text_enum! {
    /// How a grant came to be.
    pub enum Method {
        /// 直接授权.
        Direct = "direct",
        /// Issued by the platform for free use (USE-15).
        Implicit = "implicit",
    }
}

text_enum! {
    /// Why a grant ended.
    pub enum EndReason {
        /// A manager ended it.
        Manager = "manager",
        /// The device was unbound or retired.
        Unbound = "unbound",
        /// A newer grant took its place (an implicit grant's renewal).
        Replaced = "replaced",
        /// The organization began to require grants.
        GrantsRequired = "grants_required",
    }
}

/// Rules of a grant that are on or off; bits as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// A picture at each stamp.
    pub const PHOTO: Self = Self(1);
    /// A finger before stamping.
    pub const FINGERPRINT: Self = Self(2);
    /// A region is given.
    pub const REGION: Self = Self(16);
    /// Offline mode may be switched on under it.
    pub const OFFLINE: Self = Self(32);

    /// Are all of `other` set?
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With `other` set or cleared.
    #[must_use]
    pub const fn with(self, other: Self, on: bool) -> Self {
        if on {
            Self(self.0 | other.0)
        } else {
            Self(self.0 & !other.0)
        }
    }
}

/// A place in WGS-84, in units of 1e-7 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Latitude.
    pub lat_e7: i32,
    /// Longitude.
    pub lon_e7: i32,
}

impl Place {
    fn is_on_earth(self) -> bool {
        self.lat_e7.abs() <= 900_000_000 && self.lon_e7.abs() <= 1_800_000_000
    }
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Region {
    /// Around a place.
    Circle {
        /// The middle.
        center: Place,
        /// Metres, at least 50.
        radius_m: u16,
    },
    /// Inside 3 to 8 corners.
    Polygon(Vec<Place>),
}

impl Region {
    /// Checks that it is on the map and has an inside.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), RuleError> {
        let fine = match self {
            Self::Circle { center, radius_m } => center.is_on_earth() && *radius_m >= 50,
            Self::Polygon(corners) => {
                (3..=8).contains(&corners.len())
                    && corners.iter().all(|corner| corner.is_on_earth())
                    && twice_area(corners) != 0
            }
        };
        fine.then_some(()).ok_or(RuleError::GrantRegionInvalid)
    }
}

fn twice_area(corners: &[Place]) -> i128 {
    corners
        .iter()
        .zip(corners.iter().cycle().skip(1))
        .map(|(a, b)| {
            i128::from(a.lon_e7) * i128::from(b.lat_e7)
                - i128::from(b.lon_e7) * i128::from(a.lat_e7)
        })
        .sum()
}

/// What a grant allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Opens.
    pub not_before: Millis,
    /// Closes.
    pub not_after: Millis,
    /// Stamps; 0 = unlimited.
    pub max: u16,
    /// Rules that are on.
    pub flags: Flags,
    /// Where.
    pub region: Option<Region>,
}

impl Terms {
    /// Checks what somebody asks for, and sets the region flag from the region (USE-6).
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn check(mut self, has_fingerprint: bool, now: Millis) -> Result<Self, RuleError> {
        if self.not_before >= self.not_after {
            return Err(RuleError::GrantWindowInvalid);
        }
        if self.not_after <= now {
            return Err(RuleError::GrantEndInPast);
        }
        if self.max > MAX_COUNT {
            return Err(RuleError::GrantCountOutOfRange);
        }
        if self.flags.has(Flags::FINGERPRINT) && !has_fingerprint {
            return Err(RuleError::GrantFingerprintUnavailable);
        }
        if let Some(region) = &self.region {
            region.check()?;
        }
        self.flags = self.flags.with(Flags::REGION, self.region.is_some());
        Ok(self)
    }

    /// The terms of an implicit grant: unlimited, a day at most, offline mode not allowed (USE-15).
    #[must_use]
    pub fn free_use(now: Millis) -> Self {
        Self {
            not_before: now,
            not_after: now.plus(FREE_USE_LIFETIME),
            max: 0,
            flags: Flags::default(),
            region: None,
        }
    }
}

/// A remark, trimmed.
///
/// # Errors
/// Longer than 120 characters.
pub fn remark(text: &str) -> Result<String, RuleError> {
    settings::text(text, 0, 120).ok_or(RuleError::GrantRemarkTooLong)
}

/// What a grant's state follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Opens.
    pub not_before: Millis,
    /// Closes.
    pub not_after: Millis,
    /// Stamps; 0 = unlimited.
    pub max: u16,
    /// Stamps counted.
    pub used: u32,
    /// When the device confirmed it.
    pub delivered_at: Option<Millis>,
    /// When its end was asked for.
    pub end_requested_at: Option<Millis>,
    /// When the device confirmed the end (or never had to).
    pub ended_at: Option<Millis>,
}

impl Grant {
    /// Is the count used up?
    #[must_use]
    pub const fn exhausted(&self) -> bool {
        self.max != 0 && self.used >= self.max as u32
    }

    /// Stamps left; `None` = unlimited.
    #[must_use]
    pub fn remaining(&self) -> Option<u32> {
        (self.max != 0).then(|| u32::from(self.max).saturating_sub(self.used))
    }

    /// What it is now.
    #[must_use]
    pub fn state(&self, now: Millis) -> GrantState {
        if self.ended_at.is_some() {
            GrantState::Ended
        } else if self.end_requested_at.is_some() {
            GrantState::Ending
        } else if self.exhausted() || now >= self.not_after {
            GrantState::Expired
        } else if self.delivered_at.is_none() {
            GrantState::ToBeDelivered
        } else if now < self.not_before {
            GrantState::NotBegun
        } else {
            GrantState::InUse
        }
    }

    /// Somebody ends it (USE-9). Asking again while the device has yet to learn of it changes nothing.
    ///
    /// # Errors
    /// It has ended.
    pub fn request_end(self, now: Millis) -> Result<Self, RuleError> {
        if self.ended_at.is_some() {
            return Err(RuleError::GrantAlreadyEnded);
        }
        Ok(Self {
            end_requested_at: self.end_requested_at.or(Some(now)),
            ..self
        })
    }

    /// The device confirmed the end, or holds a newer grant.
    #[must_use]
    pub fn ended(self, now: Millis) -> Self {
        Self {
            end_requested_at: self.end_requested_at.or(Some(now)),
            ended_at: self.ended_at.or(Some(now)),
            ..self
        }
    }

    /// A stamp was made under it, the device's `n`-th. The device counts what we may never see (lost records), we
    /// count what it may forget (a rolled-back flash): the greater of the two stands.
    #[must_use]
    pub fn consume(self, n: u16) -> (Self, Consumed) {
        let used = self.used.saturating_add(1).max(u32::from(n));
        let next = Self { used, ..self };
        let consumed = Consumed {
            exhausted: next.exhausted() && !self.exhausted(),
            over: self.max != 0 && used > u32::from(self.max),
        };
        (next, consumed)
    }
}

/// What a stamp did to its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consumed {
    /// It used up the count just now.
    pub exhausted: bool,
    /// It went beyond the count.
    pub over: bool,
}

/// May a direct grant be given, with these grants on the device (USE-7)? One that is ending may have a next one
/// queued behind it.
///
/// # Errors
/// A grant has not been ended.
pub fn may_grant(previous: impl IntoIterator<Item = GrantState>) -> Result<(), RuleError> {
    let open = |state| !matches!(state, GrantState::Ended | GrantState::Ending);
    if previous.into_iter().any(open) {
        return Err(RuleError::PreviousGrantOpen);
    }
    Ok(())
}

/// Must free use issue a new implicit grant, given the newest one of the device?
#[must_use]
pub fn free_use_due(newest: Option<&Grant>, now: Millis) -> bool {
    newest.is_none_or(|grant| {
        grant.end_requested_at.is_some()
            || grant.ended_at.is_some()
            || grant.max != 0
            || grant.not_after.since(now) < FREE_USE_RENEW
    })
}

/// May offline mode be switched on or off (OFF-1)? The owner's code is checked by the caller.
///
/// # Errors
/// No grant in use, or one that does not allow it; the device is not connected.
pub fn check_offline_mode(
    state: Option<GrantState>,
    flags: Flags,
    connected: bool,
) -> Result<(), RuleError> {
    match state {
        Some(GrantState::InUse | GrantState::NotBegun) => {}
        _ => return Err(RuleError::OfflineModeNeedsGrant),
    }
    if !flags.has(Flags::OFFLINE) {
        return Err(RuleError::OfflineModeNotAllowed);
    }
    if !connected {
        return Err(RuleError::OfflineModeDeviceOffline);
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/grant.rs"]
mod tests;
