//! One link of the chain.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::DeviceId;

/// A chain head: SHA-256 over everything before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head(pub [u8; 32]);

impl Head {
    /// The head of an empty log: SHA-256 over `SL1`, the 8 bytes of the device, the epoch as 4 bytes, big-endian.
    #[must_use]
    pub fn genesis(device: DeviceId, epoch: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"SL1");
        hash.update(device.as_bytes());
        hash.update(epoch.to_be_bytes());
        Self(hash.finalize().into())
    }

    /// The head after one more record.
    #[must_use]
    pub fn extend(self, record: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(record);
        Self(hash.finalize().into())
    }

    /// The first 16 bytes: a hint, never a proof.
    #[must_use]
    pub fn prefix(&self) -> [u8; 16] {
        let mut prefix = [0; 16];
        prefix.copy_from_slice(&self.0[..16]);
        prefix
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
