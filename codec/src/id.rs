//! The name of a seal: 8 bytes on the wire, 13 characters of lower-case base32 (RFC 4648, no padding) in text.

use core::{fmt, str::FromStr};

/// A device's identity. It comes from its certificate; in payloads it only repeats what the certificate says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId([u8; 8]);

/// Not 13 characters of lower-case base32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device id is 13 characters of lower-case base32")]
pub struct ParseDeviceIdError;

/// Characters of an id in text.
pub(crate) const TEXT_LEN: usize = 13;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl DeviceId {
    /// The id with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes as on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// The bytes as on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }

    /// The id as a database keeps it: the bytes as a big-endian signed integer.
    #[must_use]
    pub const fn to_i64(self) -> i64 {
        i64::from_be_bytes(self.0)
    }

    /// The reverse of [`DeviceId::to_i64`].
    #[must_use]
    pub const fn from_i64(number: i64) -> Self {
        Self(number.to_be_bytes())
    }

    fn text(self) -> [u8; TEXT_LEN] {
        let mut bits = u128::from(u64::from_be_bytes(self.0)) << 1;
        let mut text = [0; TEXT_LEN];
        for place in text.iter_mut().rev() {
            *place = ALPHABET[usize::try_from(bits & 31).expect("five bits")];
            bits >>= 5;
        }
        text
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.pad(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

impl FromStr for DeviceId {
    type Err = ParseDeviceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != TEXT_LEN {
            return Err(ParseDeviceIdError);
        }
        let mut bits: u128 = 0;
        for character in text.bytes() {
            let value = match character {
                b'a'..=b'z' => character - b'a',
                b'2'..=b'7' => character - b'2' + 26,
                _ => return Err(ParseDeviceIdError),
            };
            bits = bits << 5 | u128::from(value);
        }
        // 13 characters are 65 bits; the spare one must be zero, or one id would have two names.
        if bits & 1 != 0 {
            return Err(ParseDeviceIdError);
        }
        let number = u64::try_from(bits >> 1).map_err(|_| ParseDeviceIdError)?;
        Ok(Self(number.to_be_bytes()))
    }
}
