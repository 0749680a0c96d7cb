//! What survives a power cut: the log, the counters, the lock, the grant, the settings.
//!
//! One write changes all of it or nothing. It can be copied, rolled back and kept in a file; everything else about a
//! seal is either identity or gone when the power is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Identity, Params, log::LogFlash};

/// The grant a seal holds: at most one, the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldGrant {
    /// Number the platform gave it.
    pub no: u32,
    /// Stamps allowed; 0 for no limit.
    pub max: u16,
    /// Stamps made.
    pub used: u16,
    /// Number of the person.
    pub user: u32,
    /// Unix seconds from which it holds.
    pub not_before: Option<u32>,
    /// Unix seconds up to which it holds.
    pub not_after: Option<u32>,
    /// Where it holds.
    pub area: Option<Area>,
    /// Slots of the fingers that unlock.
    pub fingers: Vec<u8>,
    /// A finger must match.
    pub needs_finger: bool,
    /// A picture is taken at each stamp.
    pub photo: bool,
    /// Not to be used before it is activated.
    pub awaits_activation: bool,
    /// For electronic stamping only: never unlocks the head.
    pub electronic: bool,
    /// Offline mode may be switched on under it.
    pub offline_allowed: bool,
    /// Seconds of uptime it may be used in offline mode without a signed time.
    pub offline_s: Option<u32>,
    /// Ended by a manager.
    pub ended: bool,
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Around a place.
    Circle {
        /// Latitude in 1e-7 degrees.
        lat_e7: i32,
        /// Longitude in 1e-7 degrees.
        lon_e7: i32,
        /// Radius in metres.
        radius_m: u16,
    },
    /// Between corners, each latitude and longitude in 1e-7 degrees.
    Polygon(Vec<(i32, i32)>),
}

/// Settings (MGMT-1) and how the session is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Version the platform gave them.
    pub version: u32,
    /// Seconds until the screen goes dark, 0 for never.
    pub backlight_s: u8,
    /// Idle minutes until the seal turns itself off, 0 for never.
    pub auto_off_min: u8,
    /// Keep-alive, 0 for the seal's own choice.
    pub keep_alive_s: u16,
    /// Seconds between STATUS messages, 0 for the seal's own choice.
    pub heartbeat_s: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: 0,
            backlight_s: 30,
            auto_off_min: 0,
            keep_alive_s: 0,
            heartbeat_s: 0,
        }
    }
}

/// How the last ticket of a domain ended, so that a repeated one gets the same answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its counter.
    pub ctr: u32,
    /// Status as in CMD-ACK.
    pub status: u8,
    /// Error as in CMD-ACK.
    pub error: Option<u16>,
}

/// The persistent memory of one seal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flash {
    /// Power cycles so far.
    pub boot: u32,
    /// Newest secure time known.
    pub high_water_s: u32,
    /// Binding generation.
    pub generation: u32,
    /// Bound.
    pub bound: bool,
    /// Loss lock.
    pub locked: bool,
    /// Offline mode.
    pub offline_mode: bool,
    /// The newest grant, also when it is over.
    pub grant: Option<HeldGrant>,
    /// Settings.
    pub settings: Settings,
    /// Fingers: slot to person.
    pub fingers: BTreeMap<u8, u32>,
    /// Last ticket taken, by domain.
    pub taken: [Taken; 4],
    /// Signed key set in force.
    pub key_set: Vec<u8>,
    /// The log of presses.
    pub log: LogFlash,
}

impl Flash {
    /// As the factory leaves it.
    #[must_use]
    pub fn factory(identity: &Identity, params: &Params) -> Self {
        Self {
            boot: 0,
            high_water_s: 0,
            generation: 0,
            bound: false,
            locked: false,
            offline_mode: false,
            grant: None,
            settings: Settings::default(),
            fingers: BTreeMap::new(),
            taken: [Taken::default(); 4],
            key_set: identity.anchors.key_set.clone(),
            log: LogFlash::empty(identity.device, params.log_capacity),
        }
    }
}
