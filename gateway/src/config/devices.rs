//! Sessions of devices, ingest, commands and leases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Sessions of devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevicesConfig {
    /// Payloads a session may have waiting from its link.
    pub uplink_queue: usize,
    /// Payloads a session may have waiting to its link.
    pub downlink_queue: usize,
    /// Keep-alive suggested to a device that holds a grant.
    pub keep_alive_active_s: u16,
    /// Keep-alive suggested to an idle device.
    pub keep_alive_idle_s: u16,
}

impl Default for DevicesConfig {
    fn default() -> Self {
        Self {
            uplink_queue: 8,
            downlink_queue: 8,
            keep_alive_active_s: 60,
            keep_alive_idle_s: 240,
        }
    }
}

/// Group commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    /// Batches that may wait; when full, links stop reading.
    pub queue: usize,
    /// Most records of one transaction.
    pub batch_records: usize,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            queue: 4_096,
            batch_records: 512,
        }
    }
}

/// Commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommandsConfig {
    /// How often the reconciler looks without being woken.
    pub poll_ms: u64,
    /// First wait for a device's answer before sending again; doubles twice.
    pub retry_ms: u64,
    /// A lock that is not answered within this time closes the session: it is half open.
    pub unresponsive_ms: u64,
}

impl Default for CommandsConfig {
    fn default() -> Self {
        Self {
            poll_ms: 1_000,
            retry_ms: 15_000,
            unresponsive_ms: 20_000,
        }
    }
}

impl CommandsConfig {
    /// How often the reconciler looks without being woken.
    #[must_use]
    pub const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
}

/// Leases: the signed permission to keep stamping without hearing from the platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseConfig {
    /// Life of a lease; it is renewed after a third of it.
    pub ttl_s: u32,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { ttl_s: 900 }
    }
}
