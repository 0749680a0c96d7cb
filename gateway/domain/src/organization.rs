//! Organizations: names, quotas, and whether their devices need grants (USE-15).

use crate::{RuleError, settings};

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
