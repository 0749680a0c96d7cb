//! Bluetooth device addresses, as people write them and as object paths spell them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Six bytes, the most significant first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 6]);

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Bluetooth address such as C0:00:00:00:00:01")]
pub struct NotAnAddress(String);

impl Address {
    /// The n-th of a row of static random addresses.
    #[must_use]
    pub fn numbered(n: u32) -> Self {
        let [a, b, c, d] = n.to_be_bytes();
        Self([0xc0, 0x5e, a, b, c, d])
    }

    /// As the last part of a device's object path.
    #[must_use]
    pub fn path_part(self) -> String {
        format!("dev_{}", self.to_string().replace(':', "_"))
    }

    /// From the last part of a device's object path.
    #[must_use]
    pub fn from_path_part(part: &str) -> Option<Self> {
        part.strip_prefix("dev_")?.replace('_', ":").parse().ok()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let error = || NotAnAddress(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or_else(error)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() {
            return Err(error());
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        let address: Address = "C0:5E:00:00:01:02".parse().unwrap();
        assert_eq!(address, Address::numbered(0x102));
        assert_eq!(Address::from_path_part(&address.path_part()), Some(address));
        for wrong in [
            "",
            "C0:5E:00:00:01",
            "C0:5E:00:00:01:02:03",
            "C0:5E:0:00:01:02",
            "+0:5E:00:00:01:0G",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
