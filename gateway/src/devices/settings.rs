//! What sessions need of the settings, in their own units.

use std::time::Duration;

use super::{flight::Patience, rate::Rate};
use crate::config::Config;

/// Settings of sessions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of this node.
    pub node: String,
    /// Live sessions at most.
    pub max_sessions: usize,
    /// Messages of one device.
    pub rate: Rate,
    /// Payloads a session may have waiting from its link.
    pub uplink_queue: usize,
    /// Payloads a session may have waiting to its link.
    pub downlink_queue: usize,
    /// Keep-alive of a device that holds a grant, in seconds.
    pub keep_alive_active_s: u16,
    /// Keep-alive of an idle device, in seconds.
    pub keep_alive_idle_s: u16,
    /// Life of a lease, in seconds.
    pub lease_ttl_s: u32,
    /// Parts that may wait for the group commit.
    pub ingest_queue: usize,
    /// Most rows of one transaction.
    pub ingest_rows: usize,
    pub(super) patience: Patience,
}

impl Settings {
    /// From the settings of the process.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let millis = Duration::from_millis;
        Self {
            node: config.node.id.clone(),
            max_sessions: config.front.max_sessions,
            rate: Rate {
                per_second: config.front.device_rate,
                burst: config.front.device_burst,
            },
            uplink_queue: config.devices.uplink_queue.max(1),
            downlink_queue: config.devices.downlink_queue.max(4),
            keep_alive_active_s: config.devices.keep_alive_active_s,
            keep_alive_idle_s: config.devices.keep_alive_idle_s,
            lease_ttl_s: config.lease.ttl_s,
            ingest_queue: config.ingest.queue,
            ingest_rows: config.ingest.batch_records.max(1),
            patience: Patience {
                retry: millis(config.commands.retry_ms),
                unresponsive: millis(config.commands.unresponsive_ms),
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(&Config::default())
    }
}
