//! What the filled platform looks like, as pure functions of the number of records: who belongs to whom, and what
//! everybody's state is in the end. Nothing here is random; a number's hash scatters it.
//!
//! - One organization has a quarter of the devices, the others fifty each. One device makes one stamp of a hundred.
//! - Every five stamps of a device are a grant; the last one may be open in any of the states there are.

use sealgate_domain::{DeviceId, Millis};

/// How long everything took: less than events are kept.
pub(super) const SPAN: i64 = 28 * 24 * Millis::HOUR;
/// Stamps of a grant.
pub(super) const PER_GRANT: u32 = 5;
/// Devices of an ordinary organization.
const DEVICES: u32 = 50;
/// Members of the great organization, and of an ordinary one.
const MEMBERS: (u32, u32) = (100, 10);

/// A device's last grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Stamps are left and its time is not over.
    InUse,
    /// Used up, and nobody ended it.
    Expired,
    /// Its end waits for the device.
    Ending,
    /// Used up and ended; the next one waits for the device.
    Waiting,
    /// Used up and ended; the device has the next one, which has not begun.
    NotBegun,
}

/// The platform.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Stamps.
    pub(super) records: u64,
    /// Stamps of each device in use.
    pub(super) stamps: Vec<u32>,
    /// When the first stamp was made.
    pub(super) began: i64,
    great: u32,
}

impl Plan {
    /// Of so many stamps, the newest of which was made just now.
    pub(super) fn of(records: u64, now: Millis) -> Self {
        let devices = u32::try_from(records / 500).unwrap_or(u32::MAX).max(100);
        let mut plan = Self {
            records,
            stamps: vec![0; devices as usize],
            began: now.0 - SPAN,
            great: devices / 4,
        };
        for number in 0..records {
            let device = plan.device_of(number);
            plan.stamps[device as usize] += 1;
        }
        plan
    }

    /// Devices in use.
    pub(super) fn devices(&self) -> u32 {
        u32::try_from(self.stamps.len()).expect("made from a u32")
    }

    /// Devices in stock, besides.
    pub(super) fn in_stock(&self) -> u32 {
        self.devices() / 20
    }

    /// Who made a stamp. Device 0 is the busy one.
    pub(super) fn device_of(&self, number: u64) -> u32 {
        if number.is_multiple_of(100) {
            return 0;
        }
        let others = u64::from(self.devices() - 1);
        1 + u32::try_from(hash(number) % others).expect("below a u32")
    }

    /// When a stamp was made.
    pub(super) fn at(&self, number: u64) -> i64 {
        let part = i128::from(number) * i128::from(SPAN) / i128::from(self.records.max(1));
        self.began + i64::try_from(part).expect("within the span")
    }

    /// Organizations.
    pub(super) fn organizations(&self) -> u32 {
        1 + (self.devices() - self.great).div_ceil(DEVICES)
    }

    /// Whose a device is. Organization 0 is the great one.
    pub(super) const fn organization_of(&self, device: u32) -> u32 {
        match device < self.great {
            true => 0,
            false => 1 + (device - self.great) / DEVICES,
        }
    }

    /// Members of an organization.
    pub(super) const fn members(&self, organization: u32) -> u32 {
        match organization {
            0 => MEMBERS.0,
            _ => MEMBERS.1,
        }
    }

    /// Whose a grant is.
    pub(super) fn member_of(&self, device: u32, grant: u32) -> u32 {
        let members = self.members(self.organization_of(device));
        let scattered = hash(u64::from(device) << 32 | u64::from(grant)) % u64::from(members);
        u32::try_from(scattered).expect("below a u32")
    }

    /// Grants a device stamped under.
    pub(super) fn used_grants(&self, device: u32) -> u32 {
        self.stamps[device as usize].div_ceil(PER_GRANT)
    }

    /// What a device's last grant is.
    pub(super) fn last(&self, device: u32) -> Last {
        let full = self.stamps[device as usize].is_multiple_of(PER_GRANT);
        match (full, device % 30) {
            (false, 3 | 13 | 23) => Last::Ending,
            (false, _) => Last::InUse,
            (true, 0..6) => Last::Waiting,
            (true, 6) => Last::NotBegun,
            (true, _) => Last::Expired,
        }
    }

    /// Grants a device ever had.
    pub(super) fn grants(&self, device: u32) -> u32 {
        let next = matches!(self.last(device), Last::Waiting | Last::NotBegun);
        self.used_grants(device) + u32::from(next)
    }

    /// Orders a device ever had: each grant, and the end of each but one that nobody ended.
    pub(super) fn orders(&self, device: u32) -> u32 {
        let ending = self.last(device) == Last::Ending;
        2 * self.grants(device) - 1 + u32::from(ending)
    }
}

/// Scatters a number (the finalizer of splitmix64).
pub(super) const fn hash(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A device's id.
pub(super) const fn device_id(device: u32) -> DeviceId {
    DeviceId(hash(0x1000_0000_0000 | device as u64).to_be_bytes())
}

/// A version 7 id made at that time; `what` and `number` stand for its random part.
pub(super) fn uuid(at: i64, what: u8, number: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at.to_be_bytes()[2..]);
    id[6] = 0x70;
    id[7] = what;
    id[8..].copy_from_slice(&hash(number).to_be_bytes());
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// An id as text.
pub(super) fn text(id: [u8; 16]) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// An organization's id.
pub(super) fn organization_id(plan: &Plan, organization: u32) -> [u8; 16] {
    uuid(plan.began, 1, organization.into())
}

/// A member's id.
pub(super) fn member_id(plan: &Plan, organization: u32, member: u32) -> [u8; 16] {
    uuid(
        plan.began,
        2,
        u64::from(organization) << 32 | u64::from(member),
    )
}

/// A grant's id; it was given at that time.
pub(super) fn grant_id(at: i64, device: u32, grant: u32) -> [u8; 16] {
    uuid(at, 3, u64::from(device) << 32 | u64::from(grant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stamp_has_its_device_and_every_device_its_organization() {
        let plan = Plan::of(100_000, Millis(SPAN));
        let stamps: u64 = plan.stamps.iter().map(|count| u64::from(*count)).sum();
        assert_eq!((stamps, plan.stamps[0]), (100_000, 1_000));
        for device in 0..plan.devices() {
            assert!(plan.organization_of(device) < plan.organizations());
        }
        assert!(plan.at(99_999) < SPAN);
    }

    #[test]
    fn orders_number_grants_and_their_ends() {
        let plan = Plan::of(100_000, Millis(SPAN));
        for device in 0..plan.devices() {
            let (grants, last) = (plan.grants(device), plan.last(device));
            let open = last != Last::Ending;
            assert_eq!(plan.orders(device), 2 * grants - u32::from(open));
        }
    }

    #[test]
    fn an_id_is_of_version_seven_and_keeps_its_time() {
        let id = text(uuid(0x0123_4567_89ab, 3, 9));
        assert!(id.starts_with("01234567-89ab-7"), "{id}");
        assert!(matches!(id.as_bytes()[19], b'8'..=b'b'), "{id}");
    }
}
