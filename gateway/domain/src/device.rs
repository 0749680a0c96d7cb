//! The life of a seal: manufactured, in stock (not delivered), unbound, bound; suspended and back; retired for ever.
//!
//! Binding and unbinding happen at the device: a request is checked here ([`Device::check_bind`],
//! [`Device::check_unbind`]), and the state moves ([`Device::bound`], [`Device::unbound`]) once the device has applied
//! the command. The binding generation counts applied unbindings, so an old ticket never fits a new binding.

use crate::{OrganizationId, RuleError, settings};

/// Devices an organization may bind (BIND-4); a quota may be raised.
pub const DEVICE_QUOTA: u32 = 50;

text_enum! {
    /// Where in its life a seal is.
    pub enum Life {
        /// Made and registered, not yet in stock.
        Manufactured = "manufactured",
        /// In stock, not handed to a customer (未交付).
        NotDelivered = "not_delivered",
        /// Handed to an organization (未绑定).
        Unbound = "unbound",
        /// In an organization's use.
        Bound = "bound",
        /// Taken out of use by staff or by a suspicion; comes back to where it was.
        Suspended = "suspended",
        /// Never to be used again.
        Retired = "retired",
    }
}

impl Life {
    /// The number on the wire.
    #[must_use]
    pub const fn wire(self) -> u8 {
        match self {
            Self::Manufactured | Self::NotDelivered => 0,
            Self::Unbound => 1,
            Self::Bound => 2,
            Self::Suspended => 3,
            Self::Retired => 4,
        }
    }
}

/// The state of a seal that its life cycle decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Where in its life it is.
    pub life: Life,
    /// Where a suspended seal comes back to; set exactly while suspended.
    pub suspended_from: Option<Life>,
    /// Whose it is; set from delivery on.
    pub organization: Option<OrganizationId>,
    /// Binding generation: applied unbindings.
    pub generation: u32,
}

/// What binding looks at besides the device's own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindFacts {
    /// A session is live.
    pub connected: bool,
    /// Devices the organization has bound.
    pub bound_devices: u32,
    /// How many it may.
    pub quota: u32,
}

/// What unbinding looks at besides the device's own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnbindFacts {
    /// A session is live.
    pub connected: bool,
    /// Some grant of the device is not ended.
    pub grant_open: bool,
    /// The device is locked, or is to be.
    pub locked: bool,
    /// The device holds records that are not stored here.
    pub records_pending: bool,
}

impl Device {
    /// A seal as it leaves the line.
    #[must_use]
    pub const fn manufactured() -> Self {
        Self {
            life: Life::Manufactured,
            suspended_from: None,
            organization: None,
            generation: 0,
        }
    }

    /// Takes the seal into stock (PLAT-1).
    ///
    /// # Errors
    /// It is past manufacturing.
    pub fn take_into_stock(self) -> Result<Self, RuleError> {
        match self.life {
            Life::Manufactured => Ok(self.to(Life::NotDelivered)),
            _ => Err(RuleError::DeviceNotInStock),
        }
    }

    /// Delivers the seal to an organization (PLAT-1); straight from the line is fine.
    ///
    /// # Errors
    /// It is not in stock.
    pub fn deliver(self, organization: OrganizationId) -> Result<Self, RuleError> {
        self.check_usable()?;
        match self.life {
            Life::Manufactured | Life::NotDelivered => Ok(Self {
                organization: Some(organization),
                ..self.to(Life::Unbound)
            }),
            _ => Err(RuleError::DeviceNotInStock),
        }
    }

    /// May a bind command be issued (BIND-1, BIND-2, BIND-4)?
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn check_bind(&self, facts: &BindFacts) -> Result<(), RuleError> {
        self.check_usable()?;
        match self.life {
            Life::Unbound => {}
            Life::Bound => return Err(RuleError::DeviceAlreadyBound),
            _ => return Err(RuleError::DeviceNotDelivered),
        }
        if facts.bound_devices >= facts.quota {
            return Err(RuleError::DeviceQuotaReached);
        }
        if !facts.connected {
            return Err(RuleError::DeviceOffline);
        }
        Ok(())
    }

    /// The device applied a bind command. A repeat changes nothing.
    ///
    /// # Errors
    /// The seal is in no state to be bound.
    pub fn bound(self) -> Result<Self, RuleError> {
        self.check_usable()?;
        match self.life {
            Life::Unbound | Life::Bound => Ok(self.to(Life::Bound)),
            _ => Err(RuleError::DeviceNotDelivered),
        }
    }

    /// May an unbind command be issued (BIND-3)?
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn check_unbind(&self, facts: &UnbindFacts) -> Result<(), RuleError> {
        self.check_bound()?;
        if facts.locked {
            return Err(RuleError::DeviceLocked);
        }
        if facts.grant_open {
            return Err(RuleError::DeviceGrantNotEnded);
        }
        if facts.records_pending {
            return Err(RuleError::DeviceRecordsPending);
        }
        if !facts.connected {
            return Err(RuleError::DeviceOffline);
        }
        Ok(())
    }

    /// The device applied an unbind command: it is the organization's still, under a new generation.
    ///
    /// # Errors
    /// It was not bound.
    pub fn unbound(self) -> Result<Self, RuleError> {
        self.check_bound()?;
        Ok(Self {
            generation: self.generation.saturating_add(1),
            ..self.to(Life::Unbound)
        })
    }

    /// Takes the seal out of use (PLAT-1; a log fork or a rolled-back counter does so too).
    ///
    /// # Errors
    /// It is suspended or retired already.
    pub fn suspend(self) -> Result<Self, RuleError> {
        self.check_usable()?;
        Ok(Self {
            suspended_from: Some(self.life),
            ..self.to(Life::Suspended)
        })
    }

    /// Brings a suspended seal back to where it was.
    ///
    /// # Errors
    /// It is not suspended.
    pub fn resume(self) -> Result<Self, RuleError> {
        match (self.life, self.suspended_from) {
            (Life::Suspended, Some(from)) => Ok(self.to(from)),
            (Life::Retired, _) => Err(RuleError::DeviceRetired),
            _ => Err(RuleError::DeviceNotSuspended),
        }
    }

    /// Retires the seal for ever. A bound one must be unbound first, unless it was suspended (lost, broken).
    ///
    /// # Errors
    /// It is bound, or retired already.
    pub fn retire(self) -> Result<Self, RuleError> {
        match self.life {
            Life::Retired => Err(RuleError::DeviceRetired),
            Life::Bound => Err(RuleError::DeviceStillBound),
            _ => Ok(self.to(Life::Retired)),
        }
    }

    /// Is it bound and in use?
    ///
    /// # Errors
    /// Why not.
    pub fn check_bound(&self) -> Result<(), RuleError> {
        self.check_usable()?;
        match self.life {
            Life::Bound => Ok(()),
            Life::Unbound => Err(RuleError::DeviceNotBound),
            _ => Err(RuleError::DeviceNotDelivered),
        }
    }

    fn check_usable(&self) -> Result<(), RuleError> {
        match self.life {
            Life::Suspended => Err(RuleError::DeviceSuspended),
            Life::Retired => Err(RuleError::DeviceRetired),
            _ => Ok(()),
        }
    }

    const fn to(self, life: Life) -> Self {
        Self {
            life,
            suspended_from: None,
            ..self
        }
    }
}

/// A device's name, trimmed (MGMT-1).
///
/// # Errors
/// Empty or longer than 40 characters.
pub fn name(text: &str) -> Result<String, RuleError> {
    settings::text(text, 1, 40).ok_or(RuleError::DeviceNameInvalid)
}

/// A device's note, trimmed (MGMT-1).
///
/// # Errors
/// Longer than 200 characters.
pub fn note(text: &str) -> Result<String, RuleError> {
    settings::text(text, 0, 200).ok_or(RuleError::DeviceNoteInvalid)
}

#[cfg(test)]
#[path = "tests/device.rs"]
mod tests;
