//! What is ordered of a device, as the row of a command keeps it: plain values, so that it can be signed (again) at any
//! later time by whoever finds the row.

use sealgate_domain::{
    Millis,
    command::Op,
    grant::{Place, Region, Terms},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::grant::Row;

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Loss lock.
    Lock {},
    /// Undo a loss lock.
    Unlock {},
    /// Give a grant.
    Grant(GrantOrder),
    /// End a grant.
    End {
        /// The grant's row.
        grant: Uuid,
        /// Its number on the device.
        no: u32,
    },
    /// Settings.
    Config {
        /// Version of the wanted settings.
        version: u32,
        /// Seconds the screen stays lit.
        backlight_s: u16,
        /// Minutes until automatic power-off.
        auto_off_min: u16,
    },
    /// Bind to the organization the device was delivered to.
    Bind {
        /// The name given at binding.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Unbind.
    Unbind {},
    /// Offline mode on or off.
    Offline {
        /// Wanted state.
        on: bool,
        /// The grant it is for.
        no: u32,
        /// Seconds of uptime it allows without a lease; none means no limit but the grant's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit_s: Option<u32>,
    },
    /// Report the position.
    Locate {},
    /// Restart.
    Reboot {},
    /// New signing keys.
    KeySet {
        /// Version of the key set.
        version: u32,
        /// The set as the root signed it, base64.
        key_set: String,
    },
}

/// A grant as the device needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantOrder {
    /// The grant's row.
    pub grant: Uuid,
    /// Its number on the device.
    pub no: u32,
    /// The member's number; 0 for free use.
    pub user: u32,
    /// Stamps; 0 = unlimited.
    pub max: u16,
    /// Rules that are on.
    pub flags: u16,
    /// Opens, in milliseconds since 1970.
    pub not_before: i64,
    /// Closes, in milliseconds since 1970.
    pub not_after: i64,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<OrderRegion>,
}

/// Where a grant holds; WGS-84 in units of 1e-7 degrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
pub enum OrderRegion {
    /// Around a place.
    Circle {
        /// Latitude.
        lat_e7: i32,
        /// Longitude.
        lon_e7: i32,
        /// Metres.
        radius_m: u16,
    },
    /// Inside 3 to 8 corners: latitude, longitude.
    Polygon {
        /// The corners.
        corners: Vec<(i32, i32)>,
    },
}

impl GrantOrder {
    /// The order of a grant's row on these terms, for the member of this number.
    pub(super) fn of(row: &Row, terms: &Terms, user: u32) -> Self {
        Self {
            grant: row.id,
            no: row.number(),
            user,
            max: terms.max,
            flags: terms.flags.0,
            not_before: terms.not_before.0,
            not_after: terms.not_after.0,
            region: terms.region.as_ref().map(OrderRegion::from),
        }
    }
}

impl From<&Region> for OrderRegion {
    fn from(region: &Region) -> Self {
        match region {
            Region::Circle { center, radius_m } => Self::Circle {
                lat_e7: center.lat_e7,
                lon_e7: center.lon_e7,
                radius_m: *radius_m,
            },
            Region::Polygon(corners) => Self::Polygon {
                corners: corners.iter().map(|p| (p.lat_e7, p.lon_e7)).collect(),
            },
        }
    }
}

impl From<&OrderRegion> for Region {
    fn from(region: &OrderRegion) -> Self {
        match region {
            OrderRegion::Circle {
                lat_e7,
                lon_e7,
                radius_m,
            } => Self::Circle {
                center: Place {
                    lat_e7: *lat_e7,
                    lon_e7: *lon_e7,
                },
                radius_m: *radius_m,
            },
            OrderRegion::Polygon { corners } => {
                let place = |&(lat_e7, lon_e7): &(i32, i32)| Place { lat_e7, lon_e7 };
                Self::Polygon(corners.iter().map(place).collect())
            }
        }
    }
}

impl Order {
    /// The op it is carried by.
    #[must_use]
    pub const fn op(&self) -> Op {
        match self {
            Self::Lock {} => Op::Lock,
            Self::Unlock {} => Op::Unlock,
            Self::Grant(_) => Op::Grant,
            Self::End { .. } => Op::End,
            Self::Config { .. } => Op::Config,
            Self::Bind { .. } => Op::Bind,
            Self::Unbind {} => Op::Unbind,
            Self::Offline { .. } => Op::Offline,
            Self::Locate {} => Op::Locate,
            Self::Reboot {} => Op::Reboot,
            Self::KeySet { .. } => Op::KeySet,
        }
    }

    /// When the device may no longer take it, beyond the op's own life: a grant closes.
    #[must_use]
    pub fn expires_at(&self, now: Millis) -> Option<Millis> {
        match self {
            Self::Grant(grant) => Some(Millis(grant.not_after)),
            other => other.op().expires_at(now),
        }
    }

    /// As the row keeps it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("orders are plain values with text keys")
    }

    /// From the row.
    ///
    /// # Errors
    /// The row was written by a version that knows more orders.
    pub fn from_json(value: serde_json::Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_survives_its_row() {
        let grant = GrantOrder {
            grant: Uuid::from_u128(7),
            no: 3,
            user: 0,
            max: 0,
            flags: 16,
            not_before: 1,
            not_after: 2,
            region: Some(OrderRegion::Polygon {
                corners: vec![(1, 2), (3, 4), (-5, 6)],
            }),
        };
        let orders = [
            Order::Lock {},
            Order::Unlock {},
            Order::Grant(grant),
            Order::End {
                grant: Uuid::from_u128(7),
                no: 3,
            },
            Order::Config {
                version: 2,
                backlight_s: 30,
                auto_off_min: 0,
            },
            Order::Bind { name: None },
            Order::Bind {
                name: Some("财务章".to_owned()),
            },
            Order::Unbind {},
            Order::Offline {
                on: true,
                no: 3,
                limit_s: None,
            },
            Order::Locate {},
            Order::Reboot {},
            Order::KeySet {
                version: 2,
                key_set: "AQI=".to_owned(),
            },
        ];
        for order in orders {
            assert_eq!(Order::from_json(order.to_json()).unwrap(), order);
        }
    }

    #[test]
    fn an_order_of_a_later_version_is_an_error_and_no_guess() {
        let value = serde_json::json!({"order": "fly"});
        assert!(Order::from_json(value).is_err());
    }
}
