//! HELLO-ACK, BYE, LEASE, LEASE-REQ: a session's beginning, end and permission to stamp.

use alloc::vec::Vec;

use super::read_cose;
use crate::{
    DecodeError,
    cbor::{Reader, Writer},
};

wire_enum! { @open
    /// Why a seal leaves.
    ByeReason: u8 {
        /// The power key.
        PowerKey = 0 => "power key",
        /// Switched off by itself when idle.
        AutoPowerOff = 1 => "auto power-off",
        /// The battery is empty.
        Battery = 2 => "battery",
        /// It changes to another link.
        LinkChange = 3 => "link change",
        /// It restarts.
        Restart = 4 => "restart",
        /// Nobody said goodbye: published as the session's will.
        Will = 255 => "will",
    }
}

wire_enum! { @closed
    /// Where a device is in its life.
    Life: u8 {
        /// In stock, not handed to a customer.
        NotDelivered = 0 => "not delivered",
        /// With a customer, not bound.
        Unbound = 1 => "unbound",
        /// Bound.
        Bound = 2 => "bound",
        /// Suspended: a log fork or a rollback was seen.
        Suspended = 3 => "suspended",
        /// Retired.
        Retired = 4 => "retired",
    }
}

/// Type 2, down, answers HELLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloAck {
    /// Minor version of the session: the lower of both.
    pub minor: u8,
    /// Unix seconds, for display only: nobody signed it.
    pub now: u32,
    /// Send records from this number on.
    pub ackto: u32,
    /// Keep-alive in seconds.
    pub keepalive: u16,
    /// Where the device is in its life.
    pub life: Life,
    /// Commands that wait for it, 255 for more.
    pub pending: u8,
    /// Wait this many seconds before sending records.
    pub retry: Option<u16>,
    /// A lease: COSE_Sign1, see [`crate::statement::Lease`].
    pub lease: Option<Vec<u8>>,
}

impl HelloAck {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(6, &[self.retry.is_some(), self.lease.is_some()]);
        w.key(0).uint(self.minor);
        w.key(1).uint(self.now);
        w.key(2).uint(self.ackto);
        w.key(3).uint(self.keepalive);
        w.key(4).uint(self.life.number());
        w.key(5).uint(self.pending);
        w.optional(6, self.retry);
        if let Some(lease) = &self.lease {
            w.key(7).bytes(lease);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            minor: map.required(0, Reader::u8)?,
            now: map.required(1, Reader::u32)?,
            ackto: map.required(2, Reader::u32)?,
            keepalive: map.required(3, Reader::u16)?,
            life: map.required(4, |r| {
                Life::from_number(r.u8()?).ok_or(DecodeError::Range("life"))
            })?,
            pending: map.required(5, Reader::u8)?,
            retry: map.optional(6, Reader::u16)?,
            lease: map.optional(7, read_cose)?,
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 3, up. A seal leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bye {
    /// Why.
    pub reason: ByeReason,
    /// Number of its newest record.
    pub last: Option<u32>,
}

impl Bye {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(1, &[self.last.is_some()]);
        w.key(0).uint(self.reason.number());
        w.optional(1, self.last);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            reason: ByeReason::from_number(map.required(0, Reader::u8)?),
            last: map.optional(1, Reader::u32)?,
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 4, down: a fresh lease. Answers LEASE-REQ when `re` is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseDown {
    /// COSE_Sign1, see [`crate::statement::Lease`].
    pub lease: Vec<u8>,
}

impl LeaseDown {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(1, &[]);
        w.key(0).bytes(&self.lease);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            lease: map.required(0, read_cose)?,
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 5, up: the seal asks for a lease and from now on takes only one with this nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseReq {
    /// Fresh: the lease must repeat it.
    pub nonce: [u8; 8],
}

impl LeaseReq {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(1, &[]);
        w.key(0).bytes(&self.nonce);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            nonce: map.required(0, Reader::fixed)?,
        };
        map.finish()?;
        Ok(body)
    }
}
