//! Organizations: names, quotas, and whether their devices need grants (USE-15).

use crate::{Millis, RuleError, settings};

/// Members an organization may have (ORG-2).
pub const MEMBER_QUOTA: u32 = 100;
/// Organizations a person may belong to (ORG-2).
pub const ORGANIZATIONS_OF_A_PERSON: u32 = 10;

/// An organization's name, trimmed.
///
/// # Errors
/// Empty or longer than 80 characters.
pub fn name(text: &str) -> Result<String, RuleError> {
    settings::text(text, 1, 80).ok_or(RuleError::OrganizationNameInvalid)
}

/// May it be deleted (ORG-7)?
///
/// # Errors
/// It still has bound devices.
pub fn check_delete(bound_devices: u32) -> Result<(), RuleError> {
    match bound_devices {
        0 => Ok(()),
        _ => Err(RuleError::OrganizationHasDevices),
    }
}

/// How an organization's devices are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UseMode {
    /// Nothing configured: whoever connects uses the device without limit (USE-15).
    Free,
    /// Every stamp needs a grant.
    GrantsRequired,
}

impl UseMode {
    /// From the organization's switch.
    #[must_use]
    pub const fn from_switch(grants_required: bool) -> Self {
        if grants_required {
            Self::GrantsRequired
        } else {
            Self::Free
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Free => Self::GrantsRequired,
            Self::GrantsRequired => Self::Free,
        }
    }

    /// May somebody grant?
    ///
    /// # Errors
    /// The organization's devices are free to use (USE-15).
    pub fn check_grants(self) -> Result<(), RuleError> {
        match self {
            Self::GrantsRequired => Ok(()),
            Self::Free => Err(RuleError::GrantsNotRequired),
        }
    }
}

/// How an organization's devices were used over time: a press made before a switch and uploaded after it is judged by
/// what was right when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseModes {
    /// Now.
    pub now: UseMode,
    /// When it was switched; each switch was to the other mode.
    pub switched_at: Vec<Millis>,
}

impl UseModes {
    /// Switches remembered; a press before all of them counts as made right before the oldest.
    pub const KEPT: usize = 32;

    /// It was never switched.
    #[must_use]
    pub const fn always(now: UseMode) -> Self {
        Self {
            now,
            switched_at: Vec::new(),
        }
    }

    /// How they were used at that time.
    #[must_use]
    pub fn at(&self, at: Millis) -> UseMode {
        let later = self.switched_at.iter().filter(|switch| **switch > at);
        match later.count() % 2 {
            0 => self.now,
            _ => self.now.other(),
        }
    }

    /// Notes that the mode is `mode` from `at` on.
    pub fn switch(&mut self, mode: UseMode, at: Millis) {
        if mode == self.now {
            return;
        }
        self.now = mode;
        self.switched_at.push(at);
        let excess = self.switched_at.len().saturating_sub(Self::KEPT);
        self.switched_at.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_that_of_the_time_whatever_was_switched_since() {
        let mut modes = UseModes::always(UseMode::Free);
        modes.switch(UseMode::Free, Millis(5));
        modes.switch(UseMode::GrantsRequired, Millis(10));
        modes.switch(UseMode::Free, Millis(20));
        let at = |time| modes.at(Millis(time));
        assert_eq!(modes.switched_at.len(), 2);
        assert_eq!((at(9), at(10)), (UseMode::Free, UseMode::GrantsRequired));
        assert_eq!((at(19), at(20)), (UseMode::GrantsRequired, UseMode::Free));
    }

    #[test]
    fn many_switches_are_forgotten_in_the_end() {
        let mut modes = UseModes::always(UseMode::Free);
        for n in 1..1_000 {
            modes.switch(modes.now.other(), Millis(n));
        }
        assert_eq!(modes.switched_at.len(), UseModes::KEPT);
    }
}
