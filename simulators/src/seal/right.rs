//! Whether the seal may stamp now: the grant, the clock, the place, the finger and the lease, in that order.

use super::{
    Seal,
    flash::{Area, HeldGrant},
    truth::Right,
};

impl Seal {
    /// The right to stamp at this instant.
    #[must_use]
    pub fn right(&self) -> Right {
        let Some(grant) = &self.flash.grant else {
            return Right::NeverGranted;
        };
        if grant.ended {
            return Right::Ended;
        }
        if grant.max > 0 && grant.used >= grant.max {
            return Right::UsedUp;
        }
        if let Some(closed) = self.window_closed(grant) {
            return closed;
        }
        if grant.electronic || grant.awaits_activation {
            return Right::Withheld;
        }
        if !self.flash.offline_mode && !self.is_leased() {
            return Right::Withheld;
        }
        if !self.in_region(grant) {
            return Right::OutOfRegion;
        }
        let matched = self.ram.as_ref().is_some_and(|ram| ram.finger_matched);
        if grant.needs_finger && !matched {
            return Right::NoFinger;
        }
        Right::Granted
    }

    /// A lease of this power cycle is in force.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        let Some(ram) = &self.ram else { return false };
        match (ram.lease_until_ms, ram.time.secure_ms(self.now)) {
            (Some(until), Some(secure)) => secure < until,
            _ => false,
        }
    }

    pub(super) fn awaits_activation(&self) -> bool {
        self.flash
            .grant
            .as_ref()
            .is_some_and(|grant| grant.awaits_activation && !grant.ended)
    }

    /// Why the grant's window is not open, if it is not. Without a signed time in this power cycle only offline mode
    /// may use a grant: for the uptime the grant allows, or by the best estimate when it names none.
    fn window_closed(&self, grant: &HeldGrant) -> Option<Right> {
        let ram = self.ram.as_ref()?;
        let secure = ram.time.secure_s(self.now);
        if secure.is_none() && !self.flash.offline_mode {
            // Nothing is lost by not deciding: without a signed time there is no lease either.
            return None;
        }
        let uptime = ram.time.uptime_s(self.now);
        if let (None, Some(limit)) = (secure, grant.offline_s) {
            return (uptime > limit).then_some(Right::OutOfTime);
        }
        let now = secure.unwrap_or(self.flash.high_water_s.saturating_add(uptime));
        if grant.not_after.is_some_and(|end| now > end) {
            return Some(Right::OutOfTime);
        }
        let early = grant.not_before.is_some_and(|start| now < start);
        early.then_some(Right::NotBegun)
    }

    fn in_region(&self, grant: &HeldGrant) -> bool {
        match (&grant.area, self.position) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(area), Some(position)) => area.contains(position.lat_e7, position.lon_e7),
        }
    }
}

impl Area {
    /// The firmware's geometry: a flat earth around the place, good to some metres within a city.
    pub(super) fn contains(&self, lat_e7: i32, lon_e7: i32) -> bool {
        match self {
            Self::Circle {
                lat_e7: lat,
                lon_e7: lon,
                radius_m,
            } => {
                let (north, east) = metres(*lat, *lon, lat_e7, lon_e7);
                north.hypot(east) <= f64::from(*radius_m)
            }
            Self::Polygon(corners) => inside(corners, lat_e7, lon_e7),
        }
    }
}

fn metres(from_lat: i32, from_lon: i32, lat: i32, lon: i32) -> (f64, f64) {
    const METRES_PER_UNIT: f64 = 0.011_132;
    let north = (f64::from(lat) - f64::from(from_lat)) * METRES_PER_UNIT;
    let shrink = (f64::from(from_lat) / 1e7).to_radians().cos();
    let east = (f64::from(lon) - f64::from(from_lon)) * METRES_PER_UNIT * shrink;
    (north, east)
}

/// Ray casting: inside when a ray to the east crosses an odd number of edges.
fn inside(corners: &[(i32, i32)], lat: i32, lon: i32) -> bool {
    let (lat, lon) = (f64::from(lat), f64::from(lon));
    let mut inside = false;
    for (index, (lat_a, lon_a)) in corners.iter().enumerate() {
        let (lat_b, lon_b) = corners[(index + 1) % corners.len()];
        let (lat_a, lon_a) = (f64::from(*lat_a), f64::from(*lon_a));
        let (lat_b, lon_b) = (f64::from(lat_b), f64::from(lon_b));
        let crosses = (lat_a > lat) != (lat_b > lat)
            && lon < (lon_b - lon_a) * (lat - lat_a) / (lat_b - lat_a) + lon_a;
        inside ^= crosses;
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_holds_what_is_near() {
        let area = Area::Circle {
            lat_e7: 312_000_000,
            lon_e7: 1_214_000_000,
            radius_m: 200,
        };
        assert!(area.contains(312_010_000, 1_214_000_000));
        assert!(!area.contains(312_030_000, 1_214_000_000));
    }

    #[test]
    fn a_polygon_holds_what_is_between_its_corners() {
        let area = Area::Polygon(vec![(0, 0), (0, 100), (100, 100), (100, 0)]);
        assert!(area.contains(50, 50));
        assert!(!area.contains(150, 50));
    }
}
