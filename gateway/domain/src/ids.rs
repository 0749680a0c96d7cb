//! Ids are types, all listed here.

use std::{fmt, str::FromStr};

use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;

/// RFC 4648 base32 in lower case without padding.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.encoding().expect("a valid alphabet")
});

/// A seal's id: eight bytes, written as 13 characters of base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub [u8; 8]);

impl DeviceId {
    /// The database key: the bytes as a big-endian number.
    #[must_use]
    pub const fn to_key(self) -> i64 {
        i64::from_be_bytes(self.0)
    }

    /// Back from the database key.
    #[must_use]
    pub const fn from_key(key: i64) -> Self {
        Self(key.to_be_bytes())
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32.encode(&self.0))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a device id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device id is 13 characters of a-z and 2-7")]
pub struct InvalidDeviceId;

impl FromStr for DeviceId {
    type Err = InvalidDeviceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE32.decode(text.as_bytes()).map_err(|_| InvalidDeviceId)?;
        bytes.try_into().map(Self).map_err(|_| InvalidDeviceId)
    }
}
