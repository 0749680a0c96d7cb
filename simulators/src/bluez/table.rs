//! GATT tables: the seal's own, and those that are not what a client hopes for.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The numbers of the seal's service, and of others that stand in tables here.
pub mod uuids {
    use sealgate_codec::link::uuid as seal;
    use uuid::Uuid;

    /// The seal's service.
    pub const SERVICE: Uuid = Uuid::from_u128(seal::SERVICE);
    /// Where a central writes.
    pub const RX: Uuid = Uuid::from_u128(seal::RX);
    /// Where the seal notifies.
    pub const TX: Uuid = Uuid::from_u128(seal::TX);
    /// What the seal says of itself.
    pub const INFO: Uuid = Uuid::from_u128(seal::INFO);
    /// Battery service, which the seal has too.
    pub const BATTERY: Uuid = short(0x180f);
    /// Its level.
    pub const BATTERY_LEVEL: Uuid = short(0x2a19);
    /// Heart rate service: somebody else's device.
    pub const HEART_RATE: Uuid = short(0x180d);
    /// Its measurement.
    pub const HEART_RATE_MEASUREMENT: Uuid = short(0x2a37);

    const fn short(n: u128) -> Uuid {
        Uuid::from_u128(0x0000_0000_0000_1000_8000_0080_5f9b_34fb | (n << 96))
    }
}

/// Which table a station shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// The seal's.
    #[default]
    Seal,
    /// Of another kind of device: no seal service.
    Foreign,
    /// The seal's service without characteristics.
    Bare,
    /// The characteristics' flags are the wrong way round: RX notifies, TX is written.
    Swapped,
    /// The daemon remembers a table that is no longer true: subscribing writes the two subscription bytes to the seal's
    /// RX, is reported as done, and nothing is ever notified.
    Stale,
}

/// What a value is to the peripheral behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    ToSeal,
    FromSeal,
    Information,
    Other,
}

#[derive(Debug, Clone)]
pub(super) struct CharacteristicRow {
    pub handle: u16,
    pub uuid: Uuid,
    pub flags: &'static [&'static str],
    pub role: Role,
}

#[derive(Debug, Clone)]
pub(super) struct ServiceRow {
    pub handle: u16,
    pub uuid: Uuid,
    pub characteristics: Vec<CharacteristicRow>,
}

const WRITE: &[&str] = &["write-without-response", "write"];
const NOTIFY: &[&str] = &["notify"];
const READ: &[&str] = &["read"];

impl Table {
    /// The services a client will find, in the order of their handles. Without the seal's service when it was dropped.
    pub(super) fn rows(self, seal_service: bool) -> Vec<ServiceRow> {
        let row = |handle, uuid, flags, role| CharacteristicRow {
            handle,
            uuid,
            flags,
            role,
        };
        let battery = ServiceRow {
            handle: 0x0001,
            uuid: uuids::BATTERY,
            characteristics: vec![row(0x0002, uuids::BATTERY_LEVEL, READ, Role::Other)],
        };
        let characteristics = match self {
            Self::Seal | Self::Stale => vec![
                row(0x0011, uuids::RX, WRITE, Role::ToSeal),
                row(0x0013, uuids::TX, NOTIFY, Role::FromSeal),
                row(0x0016, uuids::INFO, READ, Role::Information),
            ],
            Self::Swapped => vec![
                row(0x0011, uuids::RX, NOTIFY, Role::FromSeal),
                row(0x0014, uuids::TX, WRITE, Role::ToSeal),
                row(0x0016, uuids::INFO, READ, Role::Information),
            ],
            Self::Bare => Vec::new(),
            Self::Foreign => {
                let measurement = row(0x0011, uuids::HEART_RATE_MEASUREMENT, NOTIFY, Role::Other);
                let heart = ServiceRow {
                    handle: 0x0010,
                    uuid: uuids::HEART_RATE,
                    characteristics: vec![measurement],
                };
                return vec![battery, heart];
            }
        };
        if !seal_service {
            return vec![battery];
        }
        let seal = ServiceRow {
            handle: 0x0010,
            uuid: uuids::SERVICE,
            characteristics,
        };
        vec![battery, seal]
    }
}

#[test]
fn the_numbers_are_those_of_the_protocol() {
    assert_eq!(
        uuids::SERVICE.to_string(),
        "5ea10001-7a3c-4c52-9b1e-0c6f5e8d2a11"
    );
    assert_eq!(
        uuids::TX.to_string(),
        "5ea10003-7a3c-4c52-9b1e-0c6f5e8d2a11"
    );
    assert_eq!(
        uuids::BATTERY.to_string(),
        "0000180f-0000-1000-8000-00805f9b34fb"
    );
}
