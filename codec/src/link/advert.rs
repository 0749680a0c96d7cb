//! What a seal says in its advertisements, and the GATT service behind them.
//!
//! Constraints and invariants:
//! - 31 bytes: flags (3) and manufacturer data (4 + [`ADVERT_SIZE`]); the service's UUID (18) stands in the scan response.
//! - The id changes every day and means something only to whoever was given the seal's advertising key, so that nobody
//!   can follow a seal around. A seal without time uses day 0.
//! - It is a hint, unsigned: it decides when a box connects, never what it believes.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{DecodeError, message::Life};

/// UUIDs of the GATT service and its characteristics. None demands encryption or pairing: the link brings its own.
pub mod uuid {
    /// The service.
    pub const SERVICE: u128 = 0x5ea1_0001_7a3c_4c52_9b1e_0c6f_5e8d_2a11;
    /// Box to seal: write, write without response.
    pub const RX: u128 = 0x5ea1_0002_7a3c_4c52_9b1e_0c6f_5e8d_2a11;
    /// Seal to box: notify.
    pub const TX: u128 = 0x5ea1_0003_7a3c_4c52_9b1e_0c6f_5e8d_2a11;
    /// Read: [`super::BleInfo`].
    pub const INFO: u128 = 0x5ea1_0004_7a3c_4c52_9b1e_0c6f_5e8d_2a11;
}

/// Company id of the manufacturer data: the one reserved for use without an assignment.
pub const COMPANY_ID: u16 = 0xffff;
/// Bytes of the manufacturer data behind the company id.
pub const ADVERT_SIZE: usize = 11;
/// First byte of the manufacturer data: tells ours from others under the same company id, and the version.
const MARK: u8 = 0x51;

/// State bits of an advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct AdvertState(pub u8);

impl AdvertState {
    /// Records wait to be carried away.
    pub const RECORDS: u8 = 1;
    /// It has no lease, or its lease is soon over: connect.
    pub const NEEDS_LEASE: u8 = 1 << 1;
    /// It is locked.
    pub const LOCKED: u8 = 1 << 2;
    /// It is not bound.
    pub const UNBOUND: u8 = 1 << 3;
    /// Its battery is low.
    pub const LOW_BATTERY: u8 = 1 << 4;
    /// A link is open; nobody else gets in.
    pub const LINKED: u8 = 1 << 5;

    /// Whether all these bits are set.
    #[must_use]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Whether the seal wants a link by itself.
    #[must_use]
    pub const fn wants_link(self) -> bool {
        self.0 & (Self::RECORDS | Self::NEEDS_LEASE) != 0
    }
}

/// The manufacturer data of an advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advert {
    /// See [`advert_id`].
    pub id: [u8; 6],
    /// State bits.
    pub state: AdvertState,
    /// Records that wait, 65,535 for more.
    pub pending: u16,
    /// Battery in percent.
    pub battery: u8,
}

impl Advert {
    /// The bytes behind the company id: mark 1, id 6, state 1, pending 2 (big-endian), battery 1.
    #[must_use]
    pub fn encode(&self) -> [u8; ADVERT_SIZE] {
        let mut bytes = [MARK; ADVERT_SIZE];
        bytes[1..7].copy_from_slice(&self.id);
        bytes[7] = self.state.0;
        bytes[8..10].copy_from_slice(&self.pending.to_be_bytes());
        bytes[10] = self.battery;
        bytes
    }

    /// Reads the bytes behind the company id; more of them are of a later version.
    ///
    /// # Errors
    /// Too short, another mark, or a battery above 100 %.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: &[u8; ADVERT_SIZE] = bytes.first_chunk().ok_or(DecodeError::Truncated)?;
        let [mark, i0, i1, i2, i3, i4, i5, state, p0, p1, battery] = *bytes;
        if mark != MARK {
            return Err(DecodeError::Malformed("not an advertisement of a seal"));
        }
        if battery > 100 {
            return Err(DecodeError::Range("battery"));
        }
        Ok(Self {
            id: [i0, i1, i2, i3, i4, i5],
            state: AdvertState(state),
            pending: u16::from_be_bytes([p0, p1]),
            battery,
        })
    }

    /// The advertising data as it goes on the air.
    #[must_use]
    pub fn advertising_data(&self) -> [u8; 18] {
        let mut bytes = [0; 18];
        // Flags: general discoverable, no BR/EDR.
        bytes[..3].copy_from_slice(&[2, 0x01, 0x06]);
        bytes[3] = 14;
        bytes[4] = 0xff;
        bytes[5..7].copy_from_slice(&COMPANY_ID.to_le_bytes());
        bytes[7..].copy_from_slice(&self.encode());
        bytes
    }

    /// Whether this seal's key made the id, on that day or a day before or after, or without time.
    #[must_use]
    pub fn is_of(&self, key: &[u8; 32], day: u32) -> bool {
        [day, day.wrapping_sub(1), day.wrapping_add(1), 0]
            .into_iter()
            .any(|day| self.id == advert_id(key, day))
    }
}

/// The id of a day: the first 6 bytes of HMAC-SHA-256(key, day as 4 bytes, big-endian). Days are unix seconds / 86,400.
#[must_use]
pub fn advert_id(key: &[u8; 32], day: u32) -> [u8; 6] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&day.to_be_bytes());
    let tag: [u8; 32] = mac.finalize().into_bytes().into();
    *tag.first_chunk().expect("32 bytes")
}

/// What a read of INFO gives: version 1, life 1, MTU 2, capabilities 4; numbers big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BleInfo {
    /// Minor version of SL/1.
    pub minor: u8,
    /// Where the seal is in its life.
    pub life: Life,
    /// Largest MTU it takes.
    pub mtu: u16,
    /// As in HELLO, see [`crate::message::Caps`].
    pub caps: u32,
}

impl BleInfo {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[0] = self.minor;
        bytes[1] = self.life.number();
        bytes[2..4].copy_from_slice(&self.mtu.to_be_bytes());
        bytes[4..].copy_from_slice(&self.caps.to_be_bytes());
        bytes
    }

    /// Reads the bytes; more of them are of a later version.
    ///
    /// # Errors
    /// Too short, an unknown life, an MTU that BLE does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: &[u8; 8] = bytes.first_chunk().ok_or(DecodeError::Truncated)?;
        let [minor, life, m0, m1, c0, c1, c2, c3] = *bytes;
        let mtu = u16::from_be_bytes([m0, m1]);
        if !(super::fragment::MIN_MTU..=super::fragment::MAX_MTU).contains(&mtu) {
            return Err(DecodeError::Range("MTU"));
        }
        Ok(Self {
            minor,
            life: Life::from_number(life).ok_or(DecodeError::Range("life"))?,
            mtu,
            caps: u32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}
