//! What `keys.json` says: which key id covers what and when.

use serde::{Deserialize, Serialize};

use crate::{DAY, Error, UnixSeconds, device::from_hex};

/// What a signing key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// Grants, their ends and activations.
    Grant,
    /// Lock.
    Lock,
    /// Unlock.
    Unlock,
    /// Settings, fingerprints, bind and unbind.
    Config,
    /// Firmware assignments.
    Firmware,
    /// Link tickets.
    Link,
    /// Leases.
    Lease,
    /// Log receipts.
    Receipt,
}

impl KeyScope {
    /// All of them; each has a key of its own.
    pub const ALL: [Self; 8] = [
        Self::Grant,
        Self::Lock,
        Self::Unlock,
        Self::Config,
        Self::Firmware,
        Self::Link,
        Self::Lease,
        Self::Receipt,
    ];

    /// The bit on the wire.
    #[must_use]
    pub const fn bit(self) -> u16 {
        1 << (self as u16)
    }

    /// The name in files and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Config => "config",
            Self::Firmware => "firmware",
            Self::Link => "link",
            Self::Lease => "lease",
            Self::Receipt => "receipt",
        }
    }
}

impl std::str::FromStr for KeyScope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|scope| scope.as_str()).collect();
                Error::Invalid(format!(
                    "{text:?} is not a scope; scopes are {}",
                    names.join(", ")
                ))
            })
    }
}

/// Key id of the root, in the headers of key sets.
pub const ROOT_KID: u8 = 0;

/// Most keys of a set: every scope can be in rotation at the same time.
pub const MAX_KEYS: usize = 16;

/// One signing key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Key id.
    pub kid: u8,
    /// What it signs.
    pub scope: KeyScope,
    /// Version of the first key set that named it; a seal with an older one does not know it.
    #[serde(default)]
    pub since: u32,
    /// The Ed25519 public key, hex.
    pub public: String,
    /// The signer uses it from then on.
    pub active_from: UnixSeconds,
    /// Seals accept it until then.
    pub not_after: UnixSeconds,
}

impl Entry {
    /// The public key's bytes.
    ///
    /// # Errors
    /// The text is not 32 bytes of hex.
    pub fn public_bytes(&self) -> Result<[u8; 32], Error> {
        from_hex(&self.public)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| {
                Error::Invalid(format!(
                    "the public key of kid {} is not 32 bytes of hex",
                    self.kid
                ))
            })
    }
}

/// The content of `keys.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyTable {
    /// Number of the key set; seals refuse to go back.
    pub version: u32,
    /// The kid of the next key.
    pub next_kid: u8,
    /// Keys in force, oldest first.
    pub entries: Vec<Entry>,
}

impl KeyTable {
    /// The key the signer uses for `scope` at `now`: the newest active one.
    #[must_use]
    pub fn active(&self, scope: KeyScope, now: UnixSeconds) -> Option<&Entry> {
        self.entries
            .iter()
            .filter(|entry| {
                entry.scope == scope && entry.active_from <= now && now < entry.not_after
            })
            .max_by_key(|entry| (entry.active_from, entry.kid))
    }
}

/// How a rotation goes in time.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// The new key is used after this, when seals have had time to fetch the key set.
    pub activate_after: UnixSeconds,
    /// The old key stays valid this much longer than that.
    pub overlap: UnixSeconds,
    /// Life of the new key.
    pub life: UnixSeconds,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            activate_after: 7 * DAY,
            overlap: 30 * DAY,
            life: 730 * DAY,
        }
    }
}
