//! Devices whose right to a session changed on this node: their sessions hear of it without waiting for the outbox.

use tokio::sync::broadcast::error::RecvError;

use super::Parts;
use crate::app::AppError;

/// Passes changes on, for ever.
pub(super) async fn watch(parts: Parts) -> Result<(), AppError> {
    let mut changes = parts.app.wake.changed_devices();
    loop {
        match changes.recv().await {
            Ok(device) => parts.devices.changed(device),
            Err(RecvError::Lagged(_)) => {
                for device in parts.devices.live() {
                    parts.devices.changed(device);
                }
            }
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}
