//! Devices and grants while a fill is under way, and what they leave behind: records and orders.

use sealgate::app::order::{GrantOrder, Order};
use sealgate_codec::{
    chain::Head,
    record::{ClockQuality, Facts, GrantState, LinkKind, Position, Record, kind},
};
use sealgate_domain::{DeviceId, Millis};

use super::plan::PER_GRANT;

/// A grant of a device, while it is stamped under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    pub(super) id: [u8; 16],
    pub(super) no: u32,
    pub(super) member: u32,
    pub(super) given: i64,
    pub(super) used: u32,
    pub(super) exhausted: Option<i64>,
}

/// A device, while it works.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) number: u32,
    pub(super) id: DeviceId,
    pub(super) organization: u32,
    pub(super) next: u32,
    pub(super) head: Head,
    pub(super) last: i64,
    pub(super) grant: Option<Grant>,
}

pub(super) fn given(grant: &Grant) -> Order {
    Order::Grant(GrantOrder {
        grant: uuid::Uuid::from_bytes(grant.id),
        no: grant.no,
        user: grant.member + 1,
        max: u16::try_from(PER_GRANT).expect("few"),
        flags: 0,
        not_before: grant.given,
        not_after: grant.given + 24 * Millis::HOUR,
        region: None,
    })
}

pub(super) fn ended(grant: &Grant) -> Order {
    Order::End {
        grant: uuid::Uuid::from_bytes(grant.id),
        no: grant.no,
    }
}

/// One stamp of a hundred is abnormal; the tenth class is one of a hundred thousand.
pub(super) const fn class(scatter: u64) -> Option<u8> {
    match (scatter % 100, scatter % 100_000) {
        (_, 0) => Some(10),
        (0, within) => Some(1 + (within / 100 % 9) as u8),
        _ => None,
    }
}

pub(super) fn record(device: &Device, grant: &Grant, at: i64, scatter: u64) -> Record {
    let wall = Millis(at).seconds();
    let spread = |bits: u32| i32::try_from((scatter >> bits) & 0xf_ffff).expect("twenty bits");
    Record {
        seq: device.next,
        boot: 1 + device.next / 20,
        up: 10 + 60 * (device.next % 20),
        wall,
        clkq: ClockQuality::Secure,
        kind: kind::STAMP,
        auth: grant.no,
        n: u16::try_from(grant.used).expect("few"),
        at: Some(Position {
            lat_e7: 312_304_000 + spread(8),
            lon_e7: 1_214_737_000 + spread(28),
            accuracy: 20,
        }),
        facts: Facts::new()
            .with_grant_state(GrantState::Active)
            .with_stretched(true)
            .with_link(LinkKind::Gprs),
    }
}
