//! How a session ends: what the host and the client are told of it, and what is counted.

use crate::{
    devices::link::{CloseReason, LinkEnd},
    ingress::{
        mqtt::{Fault, reason},
        stats::Count,
    },
};

/// How a session ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// What the host is told; nothing when it ended the session itself.
    pub(super) end: Option<LinkEnd>,
    /// What the client is told; nothing when it is gone.
    pub(super) reason: Option<u8>,
    pub(super) count: Count,
}

impl Ending {
    pub(super) const fn new(end: LinkEnd, reason: Option<u8>, count: Count) -> Self {
        Self {
            end: Some(end),
            reason,
            count,
        }
    }
}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        Self::new(LinkEnd::Violation, Some(fault.reason()), fault.count())
    }
}

impl From<CloseReason> for Ending {
    fn from(why: CloseReason) -> Self {
        let told = match why {
            CloseReason::TakenOver => reason::TAKEN_OVER,
            CloseReason::NotAuthorized => reason::NOT_AUTHORIZED,
            CloseReason::Unresponsive | CloseReason::LogReopened => reason::ADMINISTRATIVE,
            CloseReason::Violation => reason::PROTOCOL_ERROR,
            CloseReason::StoreFailed => reason::IMPLEMENTATION,
            CloseReason::Draining => reason::SHUTTING_DOWN,
        };
        Self {
            end: None,
            reason: Some(told),
            count: Count::ClosedByHost,
        }
    }
}
