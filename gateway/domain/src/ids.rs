//! Ids are types, all listed here.

use std::{fmt, str::FromStr, sync::LazyLock};

use data_encoding::{Encoding, Specification};
use uuid::Uuid;

use crate::Millis;

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
        let bytes = BASE32
            .decode(text.as_bytes())
            .map_err(|_| InvalidDeviceId)?;
        bytes.try_into().map(Self).map_err(|_| InvalidDeviceId)
    }
}

macro_rules! uuid_ids {
    ($($(#[$meta:meta])* $name:ident;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A version 7 id: time ordered, so that indexes grow at one end. Randomness is the caller's.
            #[must_use]
            pub fn new(now: Millis, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.0).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )+ };
}

uuid_ids! {
    /// A customer: a company or one of its branches.
    OrganizationId;
    /// A person in one organization.
    MemberId;
    /// A permission to stamp.
    GrantId;
    /// An order to a device.
    CommandId;
    /// An API token.
    TokenId;
    /// A verification code sent by SMS.
    CodeId;
    /// A row of the audit.
    AuditId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_survives_text_and_key() {
        for bytes in [[0; 8], [0xff; 8], [1, 2, 3, 4, 5, 6, 7, 8]] {
            let id = DeviceId(bytes);
            let text = id.to_string();
            assert_eq!(text.len(), 13);
            assert_eq!(text.parse::<DeviceId>(), Ok(id));
            assert_eq!(DeviceId::from_key(id.to_key()), id);
        }
    }

    #[test]
    fn text_that_is_no_device_id_is_refused() {
        for text in [
            "",
            "a",
            "AAAAAAAAAAAAA",
            "aaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaa1",
        ] {
            assert_eq!(text.parse::<DeviceId>(), Err(InvalidDeviceId), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_behind_earlier_ones() {
        let early = GrantId::new(Millis(1_000), [0xff; 10]);
        let late = GrantId::new(Millis(1_001), [0; 10]);
        assert!(early < late);
    }
}
