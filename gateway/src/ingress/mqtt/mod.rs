//! MQTT 3.1.1 and 5 as our listeners speak it.
//!
//! Invariants: a packet is framed and size-checked before it is decoded; a decoder never sees more or less than
//! one packet; every fault is final for its connection; nothing here does IO except [`conn`].

pub(crate) mod conn;
pub(crate) mod connect;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod topic;

use super::stats::Count;

/// Largest packet either way, fixed header included.
pub(crate) const MAX_PACKET: usize = 4_352;

/// Protocol level of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.1.1
    V4,
    /// 5
    V5,
}

/// Why a peer's bytes end its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("not MQTT")]
    Malformed,
    #[error("a packet out of place")]
    Protocol,
    #[error("a topic that is not the client's")]
    ForeignTopic,
    #[error("an unknown topic alias")]
    Alias,
    #[error("more unacknowledged messages than allowed")]
    ReceiveMaximum,
    #[error("a packet beyond the size limit")]
    TooLarge,
    #[error("a retained message")]
    Retained,
    #[error("QoS 2")]
    Qos,
}

impl Fault {
    /// What a version 5 peer is told.
    pub(crate) const fn reason(self) -> u8 {
        match self {
            Self::Malformed => 0x81,
            Self::Protocol => 0x82,
            Self::ForeignTopic => 0x87,
            Self::ReceiveMaximum => 0x93,
            Self::Alias => 0x94,
            Self::TooLarge => 0x95,
            Self::Retained => 0x9A,
            Self::Qos => 0x9B,
        }
    }

    /// How it is counted.
    pub(crate) const fn count(self) -> Count {
        match self {
            Self::Malformed => Count::Malformed,
            Self::ForeignTopic => Count::ForeignTopic,
            Self::TooLarge => Count::PacketTooLarge,
            Self::Protocol | Self::Alias | Self::ReceiveMaximum | Self::Retained | Self::Qos => {
                Count::ProtocolError
            }
        }
    }
}

/// Reasons a version 5 peer is told when we end a connection.
pub(crate) mod reason {
    pub(crate) const NO_SUBSCRIPTION: u8 = 0x11;
    pub(crate) const PROTOCOL_ERROR: u8 = 0x82;
    pub(crate) const IMPLEMENTATION: u8 = 0x83;
    pub(crate) const NOT_AUTHORIZED: u8 = 0x87;
    pub(crate) const SHUTTING_DOWN: u8 = 0x8B;
    pub(crate) const KEEP_ALIVE: u8 = 0x8D;
    pub(crate) const TAKEN_OVER: u8 = 0x8E;
    pub(crate) const FILTER_INVALID: u8 = 0x8F;
    pub(crate) const QUOTA: u8 = 0x97;
    pub(crate) const ADMINISTRATIVE: u8 = 0x98;
}
