//! How the box is, for people and for scrapers.

use serde::{Deserialize, Serialize};

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the program.
    pub version: String,
    /// Seconds since it started.
    pub up_s: u64,
    /// The connection to the gateway.
    pub gateway: GatewayView,
    /// The queue.
    pub queue: QueueView,
    /// Ways to seals.
    pub ports: Vec<PortView>,
    /// Version of the assignment.
    pub assignment: u32,
    /// The box's seals.
    pub seals: Vec<SealView>,
    /// Links that seals refused since the start.
    pub refused: u32,
    /// Seals of earlier assignments whose messages wait for the gateway.
    pub leaving: Vec<String>,
}

/// The connection to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayView {
    /// Where it is.
    pub address: String,
    /// Whether the box is connected.
    pub connected: bool,
    /// Seconds since it is so.
    pub since_s: u64,
    /// Why not.
    pub trouble: Option<String>,
}

/// The queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// Messages that wait.
    pub messages: u32,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Bytes it may use.
    pub limit: u64,
    /// Age of the oldest in seconds.
    pub oldest_s: u32,
    /// Messages refused since the start, because it was full.
    pub refused: u32,
    /// Commits that failed since the start.
    pub failures: u64,
}

/// A way to seals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortView {
    /// Its name.
    pub name: String,
    /// Whether it works.
    pub up: bool,
    /// Why not.
    pub trouble: Option<String>,
}

/// One seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealView {
    /// Its name.
    pub seal: String,
    /// gone, heard, linked or refused.
    pub presence: String,
    /// BLE or UART.
    pub way: String,
    /// Where.
    pub address: Option<String>,
    /// Signal strength in dBm.
    pub rssi: Option<i8>,
    /// State bits of its last advertisement.
    pub state: u8,
    /// Records that wait in it.
    pub pending: u16,
    /// Its battery in percent.
    pub battery: Option<u8>,
    /// Seconds since it was heard.
    pub age_s: u32,
}

/// A seal in the air, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearbyView {
    /// Its address.
    pub address: String,
    /// Its id of the day.
    pub id: String,
    /// Its name, if it is the box's.
    pub seal: Option<String>,
    /// Signal strength in dBm.
    pub rssi: Option<i8>,
    /// Records that wait in it.
    pub pending: u16,
    /// Its battery in percent.
    pub battery: u8,
    /// State bits.
    pub state: u8,
}
