//! How use cases wake background work without knowing who does it.
//!
//! A poke carries nothing: the woken side reads the database, and also looks there on its own period, so a lost
//! poke costs time and never work.

use std::sync::Arc;

use sealgate_domain::DeviceId;
use tokio::sync::{Notify, broadcast, watch};

/// What can be poked.
#[derive(Debug, Clone)]
pub struct Wake {
    /// New or changed commands.
    pub commands: Arc<Notify>,
    /// New outbox rows, not yet numbered.
    pub outbox: Arc<Notify>,
    /// Grants to give, end or expire.
    pub grants: Arc<Notify>,
    position: watch::Sender<i64>,
    devices: broadcast::Sender<DeviceId>,
}

/// Changed devices a slow listener may lag behind; then it looks at all.
const CHANGED_DEVICES: usize = 1_024;

impl Default for Wake {
    fn default() -> Self {
        Self {
            commands: Arc::default(),
            outbox: Arc::default(),
            grants: Arc::default(),
            position: watch::Sender::new(0),
            devices: broadcast::Sender::new(CHANGED_DEVICES),
        }
    }
}

impl Wake {
    /// Something was committed: commands and outbox rows may wait.
    pub fn poke(&self) {
        self.commands.notify_one();
        self.outbox.notify_one();
    }

    /// A device's right to a session may have changed (suspended, retired, revoked).
    pub fn device_changed(&self, device: DeviceId) {
        // Nobody listens: nobody holds a session.
        let _ = self.devices.send(device);
    }

    /// Follows devices whose right to a session may have changed; who lags looks at all its sessions.
    #[must_use]
    pub fn changed_devices(&self) -> broadcast::Receiver<DeviceId> {
        self.devices.subscribe()
    }

    /// The sequencer has numbered outbox rows up to `position`.
    pub fn numbered(&self, position: i64) {
        self.position.send_if_modified(|known| {
            let moved = position > *known;
            if moved {
                *known = position;
            }
            moved
        });
    }

    /// Follows the newest position.
    #[must_use]
    pub fn positions(&self) -> watch::Receiver<i64> {
        self.position.subscribe()
    }
}
