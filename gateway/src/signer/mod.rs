//! The signer: everything a seal obeys is signed here, and only here.
//!
//! The gateway never holds a signing key: it hands over payloads, the signer decodes each one itself, chooses the
//! key from what the payload says (a ticket's op decides its scope) and refuses what no key covers or what is not
//! canonical. Leases and receipts have keys of their own. Keys never appear in logs, errors or `Debug` output.

mod audit;
mod client;
mod core;
mod in_process;
pub mod keys;
mod process;
mod wire;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use client::Client;
pub use in_process::InProcess;
pub use keys::Keyring;
pub use process::{Process, ProcessError};

/// What a payload is, which decides how the signer decodes it and which key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A command's ticket.
    Ticket = 1,
    /// A lease.
    Lease = 2,
    /// A log receipt.
    Receipt = 3,
}

impl Purpose {
    /// From the number on the socket.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Ticket),
            2 => Some(Self::Lease),
            3 => Some(Self::Receipt),
            _ => None,
        }
    }

    /// The label used in metrics and in the audit file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Lease => "lease",
            Self::Receipt => "receipt",
        }
    }
}

/// One payload to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignRequest {
    /// What the payload is.
    pub purpose: Purpose,
    /// Version of the newest key set the seal is known to hold: it is signed with a key of that.
    pub key_set: u32,
    /// Its canonical bytes.
    pub payload: Vec<u8>,
}

/// A signed payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The COSE_Sign1 bytes as they travel.
    pub cose: Vec<u8>,
}

/// Why one payload was not signed. Trying again does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[repr(u8)]
pub enum Refused {
    /// The payload is not what its purpose says, or not canonical.
    #[error("the payload is malformed or not canonical")]
    Malformed = 1,
    /// No key in force covers the operation.
    #[error("no signing key covers this operation")]
    NoKey = 2,
    /// The payload breaks a rule of the signer (a lease longer than allowed, a ticket in the wrong domain).
    #[error("the signer's rules do not allow this payload")]
    Policy = 3,
}

impl Refused {
    /// From the number on the socket.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Malformed),
            2 => Some(Self::NoKey),
            3 => Some(Self::Policy),
            _ => None,
        }
    }
}

/// Why nothing was signed. Trying again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The signer cannot be reached.
    #[error("the signer cannot be reached: {0}")]
    Unreachable(String),
    /// The signer did not answer in time.
    #[error("the signer did not answer in time")]
    Timeout,
    /// Too much is waiting for the signer.
    #[error("too many requests wait for the signer")]
    Busy,
    /// The signer could not book the signatures in its audit file, so it gave none.
    #[error("the signer could not write its audit file: {0}")]
    Audit(String),
    /// The signer speaks another version or broke the protocol.
    #[error("the signer broke the protocol: {0}")]
    Protocol(String),
}

/// One answer for each payload, in the order asked.
pub type Answers = Vec<Result<Signed, Refused>>;

/// Signs payloads. Shared as [`SharedSigner`].
pub trait Signer: Send + Sync + 'static {
    /// Signs what may be signed; answers stand in the order of the requests.
    fn sign(&self, requests: Vec<SignRequest>) -> BoxFuture<'_, Result<Answers, SignerError>>;

    /// The current key set, signed by the root.
    fn key_set(&self) -> BoxFuture<'_, Result<Vec<u8>, SignerError>>;
}

/// A signer to share.
pub type SharedSigner = Arc<dyn Signer>;
