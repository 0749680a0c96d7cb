//! Writing deterministic CBOR. Writing cannot fail; callers keep map keys in ascending order.

use alloc::vec::Vec;

/// Appends items to a byte string.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn uint(&mut self, value: impl Into<u64>) -> &mut Self {
        self.head(0, value.into());
        self
    }

    pub(crate) fn int(&mut self, value: impl Into<i64>) -> &mut Self {
        let value = value.into();
        if value < 0 {
            self.head(1, value.unsigned_abs() - 1);
        } else {
            self.head(0, value.unsigned_abs());
        }
        self
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(2, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.head(3, value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
        self
    }

    pub(crate) fn array(&mut self, length: usize) -> &mut Self {
        self.head(4, length as u64);
        self
    }

    /// Opens a map: `required` entries and one more for each `true` in `present`.
    pub(crate) fn map(&mut self, required: usize, present: &[bool]) -> &mut Self {
        let optional = present.iter().filter(|present| **present).count();
        self.head(5, (required + optional) as u64);
        self
    }

    /// A key; the value follows.
    pub(crate) fn key(&mut self, key: u8) -> &mut Self {
        self.uint(key)
    }

    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        self.bytes.push(if value { 0xf5 } else { 0xf4 });
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.bytes.push(0xf6);
        self
    }

    /// An optional unsigned entry of a map.
    pub(crate) fn optional(&mut self, key: u8, value: Option<impl Into<u64>>) -> &mut Self {
        if let Some(value) = value {
            self.key(key).uint(value);
        }
        self
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        let (low, width) = match value {
            0..24 => (bytes[7], 0),
            24..0x100 => (24, 1),
            0x100..0x1_0000 => (25, 2),
            0x1_0000..0x1_0000_0000 => (26, 4),
            _ => (27, 8),
        };
        self.bytes.push(major | low);
        self.bytes.extend_from_slice(&bytes[8 - width..]);
    }
}
