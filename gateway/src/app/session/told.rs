//! What a session tells of its device, and what it is told.

use sealgate_domain::{
    DeviceId, Millis, OrganizationId,
    stamp::{Cursor, Hash},
};

use super::{
    super::command::{DeviceAnswer, Ready},
    Standing,
};

/// What HELLO says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloReport {
    /// The device, by its certificate.
    pub device: DeviceId,
    /// The session's term.
    pub term: u64,
    /// Firmware version.
    pub firmware: u32,
    /// Hardware version.
    pub hardware: u16,
    /// Boot counter.
    pub boot: u32,
    /// Seconds since that boot.
    pub uptime_s: u32,
    /// Percent.
    pub battery: u8,
    /// dBm.
    pub rssi: Option<i8>,
    /// First record the device keeps.
    pub log_first: u32,
    /// The record it will make next.
    pub log_next: u32,
    /// Records it has room for.
    pub log_capacity: u16,
    /// Newest counter taken in each domain.
    pub counters: [u32; 4],
    /// It is locked.
    pub locked: bool,
    /// Version of its settings.
    pub config_version: u32,
    /// Beginning of its chain head.
    pub head: [u8; 16],
    /// Epoch of its log.
    pub epoch: u32,
    /// Its binding generation.
    pub generation: u32,
    /// Presses that became no record, by class.
    pub counted: [u16; 11],
    /// The chain's head before the first record of that epoch.
    pub genesis: Hash,
    /// What it answered before HELLO.
    pub early: Vec<DeviceAnswer>,
}

/// What HELLO is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloAnswer {
    /// What the device may do.
    pub standing: Standing,
    /// How far its log is stored.
    pub cursor: Cursor,
    /// Commands that wait for it.
    pub pending: u8,
    /// Those to send now.
    pub commands: Vec<Ready>,
}

/// Where a device says it is; WGS-84 in units of 1e-7 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedPosition {
    /// Latitude.
    pub lat_e7: i32,
    /// Longitude.
    pub lon_e7: i32,
    /// Metres.
    pub accuracy_m: u16,
}

/// Telemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// Seconds since boot.
    pub uptime_s: u32,
    /// Percent.
    pub battery: u8,
    /// dBm.
    pub rssi: Option<i8>,
    /// Where it is, if it knows.
    pub position: Option<(ReportedPosition, Millis)>,
    /// Presses that became no record, by class.
    pub counted: Option<[u16; 11]>,
}

/// What is to be written about a device's session; the newest counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceNote {
    /// The device.
    pub device: DeviceId,
    /// Whose events show it.
    pub organization: Option<OrganizationId>,
    /// The session's term.
    pub term: u64,
    /// It began or ended, with what carries it.
    pub connected: Option<(bool, &'static str)>,
    /// When the device was last heard.
    pub at: Millis,
    /// Telemetry.
    pub status: Option<StatusReport>,
}

impl PresenceNote {
    /// Adds what was learned later.
    pub fn merge(&mut self, newer: Self) {
        if newer.term >= self.term {
            self.term = newer.term;
            self.organization = newer.organization;
            self.connected = newer.connected.or(self.connected);
        }
        self.at = self.at.max(newer.at);
        if let Some(mut status) = newer.status {
            let older = self.status.take();
            let (position, counted) =
                older.map_or((None, None), |older| (older.position, older.counted));
            status.position = status.position.or(position);
            status.counted = status.counted.or(counted);
            self.status = Some(status);
        }
    }
}
