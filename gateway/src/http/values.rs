//! Values as JSON shows them: times as RFC 3339, places in degrees, ids as text.

use std::{borrow::Cow, str::FromStr};

use jiff::Timestamp;
use sealgate_domain::{
    DeviceId, Millis,
    grant::{Place, Region},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

/// A moment, as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) Millis);

impl Time {
    /// From a row's milliseconds.
    pub(crate) const fn at(millis: i64) -> Self {
        Self(Millis(millis))
    }

    /// From a row's milliseconds.
    pub(crate) fn opt(millis: Option<i64>) -> Option<Self> {
        millis.map(Self::at)
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time: Timestamp = text
            .parse()
            .map_err(|_| "a time as 2026-01-31T08:00:00Z".to_owned())?;
        Ok(Self(Millis(time.as_millisecond())))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Timestamp::from_millisecond(self.0.0) {
            Ok(time) => serializer.collect_str(&time),
            // Beyond the year 9999: only a broken clock of a device gets there.
            Err(_) => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples(["2026-11-30T08:00:00Z"])
            .into()
    }
}

impl ToSchema for Time {}

/// A device id: 13 characters of a-z and 2-7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceRef(pub(crate) DeviceId);

impl Serialize for DeviceRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DeviceRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl PartialSchema for DeviceRef {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[a-z2-7]{13}$"))
            .examples([EXAMPLE_DEVICE])
            .into()
    }
}

impl ToSchema for DeviceRef {}

/// The device of every example.
pub(crate) const EXAMPLE_DEVICE: &str = "aaaqeayeaudao";
/// The UUID of every example.
pub(crate) const EXAMPLE_ID: &str = "0193a1b2-0000-7000-8000-000000000001";

/// A place in WGS-84 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Degrees {
    /// Latitude.
    #[schema(minimum = -90, maximum = 90, example = 31.2304)]
    pub(crate) lat: f64,
    /// Longitude.
    #[schema(minimum = -180, maximum = 180, example = 121.4737)]
    pub(crate) lon: f64,
}

impl From<Place> for Degrees {
    fn from(place: Place) -> Self {
        Self {
            lat: f64::from(place.lat_e7) / 1e7,
            lon: f64::from(place.lon_e7) / 1e7,
        }
    }
}

impl From<Degrees> for Place {
    fn from(degrees: Degrees) -> Self {
        // A cast saturates: what is not on earth stays so, and the rule for regions refuses it.
        Self {
            lat_e7: (degrees.lat * 1e7).round() as i32,
            lon_e7: (degrees.lon * 1e7).round() as i32,
        }
    }
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum RegionView {
    /// Around a place.
    Circle {
        /// The middle.
        center: Degrees,
        /// Radius in metres.
        #[schema(minimum = 50, example = 300)]
        radius_m: u16,
    },
    /// Inside 3 to 8 corners.
    Polygon {
        /// The corners in order.
        #[schema(min_items = 3, max_items = 8)]
        corners: Vec<Degrees>,
    },
}

impl From<RegionView> for Region {
    fn from(view: RegionView) -> Self {
        match view {
            RegionView::Circle { center, radius_m } => Self::Circle {
                center: center.into(),
                radius_m,
            },
            RegionView::Polygon { corners } => {
                Self::Polygon(corners.into_iter().map(Place::from).collect())
            }
        }
    }
}

impl From<Region> for RegionView {
    fn from(region: Region) -> Self {
        match region {
            Region::Circle { center, radius_m } => Self::Circle {
                center: center.into(),
                radius_m,
            },
            Region::Polygon(corners) => Self::Polygon {
                corners: corners.into_iter().map(Degrees::from).collect(),
            },
        }
    }
}

/// A position that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct PositionView {
    /// Latitude, WGS-84.
    #[schema(example = 31.2304)]
    pub(crate) lat: f64,
    /// Longitude, WGS-84.
    #[schema(example = 121.4737)]
    pub(crate) lon: f64,
    /// Metres.
    #[schema(example = 12)]
    pub(crate) accuracy_m: Option<i32>,
}

impl PositionView {
    /// From a row's three columns.
    pub(crate) fn read(
        lat_e7: Option<i32>,
        lon_e7: Option<i32>,
        accuracy: Option<i32>,
    ) -> Option<Self> {
        let degrees = Degrees::from(Place {
            lat_e7: lat_e7?,
            lon_e7: lon_e7?,
        });
        Some(Self {
            lat: degrees.lat,
            lon: degrees.lon,
            accuracy_m: accuracy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_both_ways() {
        let time: Time = serde_json::from_str("\"2026-11-22T20:00:00.5+08:00\"").unwrap();
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            "\"2026-11-22T12:00:00.5Z\""
        );
        assert!(serde_json::from_str::<Time>("\"yesterday\"").is_err());
        assert_eq!(
            serde_json::to_string(&Time(Millis(i64::MAX))).unwrap(),
            "null"
        );
    }

    #[test]
    fn places_keep_seven_digits() {
        let place = Place {
            lat_e7: -312_304_001,
            lon_e7: 1_214_737_009,
        };
        assert_eq!(Place::from(Degrees::from(place)), place);
    }

    #[test]
    fn a_place_off_the_earth_stays_off_the_earth() {
        let far = Degrees {
            lat: 1e300,
            lon: f64::NAN,
        };
        let circle = Region::Circle {
            center: far.into(),
            radius_m: 100,
        };
        assert!(circle.check().is_err());
    }

    #[test]
    fn the_example_device_is_a_device() {
        assert!(EXAMPLE_DEVICE.parse::<DeviceId>().is_ok());
    }
}
