//! Commands: what can be ordered of a seal, in which counter domain, how urgent, and the states of an order.
//!
//! States only move forward. A *desired state* (lock, settings, grants) is superseded by a newer one of the same key
//! and waits for the device as long as it takes; a *one-shot* needs a live session, expires, and is never repeated
//! after that.

use crate::{Millis, RuleError};

text_enum! {
    /// What is ordered.
    pub enum Op {
        /// Give a grant.
        Grant = "grant",
        /// End a grant.
        End = "end",
        /// Loss lock.
        Lock = "lock",
        /// Undo a loss lock.
        Unlock = "unlock",
        /// Settings.
        Config = "config",
        /// Unbind.
        Unbind = "unbind",
        /// Bind.
        Bind = "bind",
        /// Restart.
        Reboot = "reboot",
        /// Take and report a position.
        Locate = "locate",
        /// Offline mode on or off.
        Offline = "offline",
        /// New signing keys.
        KeySet = "key_set",
        /// Close the log's epoch.
        LogSeal = "log_seal",
        /// Enrol a finger.
        FingerprintEnrol = "fingerprint_enrol",
        /// Delete a finger.
        FingerprintDelete = "fingerprint_delete",
        /// Activate a pre-authorized grant.
        Activate = "activate",
        /// Install firmware.
        Firmware = "firmware",
    }
}

text_enum! {
    /// A counter of the device: strictly increasing within itself, so that a lock never waits behind a grant.
    pub enum Domain {
        /// Lock and unlock.
        Lock = "lock",
        /// Grants.
        Grant = "grant",
        /// Settings, fingerprints, binding.
        Config = "config",
        /// Firmware.
        Firmware = "firmware",
    }
}

impl Domain {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Lock),
            1 => Some(Self::Grant),
            2 => Some(Self::Config),
            3 => Some(Self::Firmware),
            _ => None,
        }
    }
}

/// How long a one-shot command is good.
pub const ONE_SHOT_LIFETIME: i64 = Millis::MINUTE;
/// How long a fingerprint enrolment is.
pub const ENROL_LIFETIME: i64 = 2 * Millis::MINUTE;

impl Op {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Grant => 1,
            Self::End => 2,
            Self::Activate => 3,
            Self::Lock => 4,
            Self::Unlock => 5,
            Self::Config => 6,
            Self::FingerprintEnrol => 7,
            Self::FingerprintDelete => 8,
            Self::Unbind => 9,
            Self::Bind => 10,
            Self::Firmware => 11,
            Self::Reboot => 12,
            Self::LogSeal => 13,
            Self::KeySet => 14,
            Self::Locate => 15,
            Self::Offline => 16,
        }
    }

    /// From the number on the wire.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.number() == number)
    }

    /// The counter it takes.
    #[must_use]
    pub const fn domain(self) -> Domain {
        match self {
            Self::Lock | Self::Unlock => Domain::Lock,
            Self::Grant | Self::End | Self::Activate | Self::Offline => Domain::Grant,
            Self::Firmware => Domain::Firmware,
            _ => Domain::Config,
        }
    }

    /// Urgency, 0 first.
    #[must_use]
    pub const fn priority(self) -> u8 {
        match self {
            Self::Lock => 0,
            Self::End => 1,
            Self::Unlock => 2,
            Self::Activate => 3,
            Self::Grant | Self::Offline => 4,
            Self::Bind | Self::Unbind => 5,
            Self::FingerprintEnrol | Self::FingerprintDelete | Self::Locate => 6,
            Self::Config | Self::Reboot | Self::LogSeal | Self::KeySet => 7,
            Self::Firmware => 8,
        }
    }

    /// A one-shot needs a live session and expires; the rest is desired state.
    #[must_use]
    pub const fn one_shot(self) -> bool {
        matches!(
            self,
            Self::Bind
                | Self::Unbind
                | Self::Offline
                | Self::FingerprintEnrol
                | Self::Locate
                | Self::Reboot
        )
    }

    /// When a command issued now expires; `None` = never.
    #[must_use]
    pub const fn expires_at(self, now: Millis) -> Option<Millis> {
        match self {
            Self::FingerprintEnrol => Some(now.plus(ENROL_LIFETIME)),
            _ if self.one_shot() => Some(now.plus(ONE_SHOT_LIFETIME)),
            _ => None,
        }
    }

    /// Which older commands it makes pointless: those of the same key that are not over. `None` = none.
    ///
    /// A newer grant and an end both supersede the grant before them, and lock and unlock each other. `subject` tells
    /// fingerprint slots apart.
    #[must_use]
    pub fn supersede_key(self, subject: u32) -> Option<String> {
        match self {
            Self::Lock | Self::Unlock => Some("lock".to_owned()),
            Self::Grant | Self::End | Self::Activate => Some("grant".to_owned()),
            Self::Config => Some("config".to_owned()),
            Self::Firmware => Some("firmware".to_owned()),
            Self::KeySet => Some("key_set".to_owned()),
            Self::FingerprintDelete => Some(format!("fingerprint/{subject}")),
            _ => None,
        }
    }

    /// Must a device that is suspended or unbound get it all the same?
    #[must_use]
    pub const fn allowed_unbound(self) -> bool {
        matches!(
            self,
            Self::Bind | Self::Firmware | Self::KeySet | Self::Reboot
        )
    }
}

text_enum! {
    /// How far an order has come.
    pub enum State {
        /// Written down; not on its way.
        Pending = "pending",
        /// Handed to a live session.
        Sent = "sent",
        /// The device has it; the result follows.
        Acknowledged = "acknowledged",
        /// The device did it.
        Applied = "applied",
        /// The device refused it.
        Rejected = "rejected",
        /// Its time ran out.
        Expired = "expired",
        /// A newer order took its place.
        Superseded = "superseded",
    }
}

/// What happens to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was handed to a session (again).
    Sent,
    /// The device has it.
    Acknowledged,
    /// The device did it.
    Applied,
    /// The device refused it.
    Rejected,
    /// Its time ran out.
    Expired,
    /// A newer order took its place.
    Superseded,
}

impl State {
    /// Nothing more will happen to it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Applied | Self::Rejected | Self::Expired | Self::Superseded
        )
    }

    /// The state behind an event. The device's word is truth: it may have answered what we had given up (its answer
    /// was late), so *applied* and *rejected* also follow *expired* and *superseded*. Repeats change nothing.
    ///
    /// # Errors
    /// The order is over, or the event belongs before its state.
    pub fn next(self, event: Event) -> Result<Self, RuleError> {
        let next = match event {
            Event::Sent => Self::Sent,
            Event::Acknowledged => Self::Acknowledged,
            Event::Applied => Self::Applied,
            Event::Rejected => Self::Rejected,
            Event::Expired => Self::Expired,
            Event::Superseded => Self::Superseded,
        };
        if next == self {
            return Ok(self);
        }
        match (self, next) {
            (Self::Expired | Self::Superseded, Self::Applied | Self::Rejected) => Ok(next),
            _ if self.is_final() => Err(RuleError::CommandOver),
            (Self::Acknowledged, Self::Sent) => Err(RuleError::CommandStateBackwards),
            _ => Ok(next),
        }
    }

    /// Rank for "forward only": every allowed move keeps or raises it.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Sent => 1,
            Self::Acknowledged => 2,
            Self::Expired | Self::Superseded => 3,
            Self::Applied | Self::Rejected => 4,
        }
    }
}

#[cfg(test)]
#[path = "tests/command.rs"]
mod tests;
