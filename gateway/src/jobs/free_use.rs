//! Free use (USE-15): connected devices of organizations that require no grants always hold an implicit one that is
//! good for hours. A device that connects gets its own at HELLO; this renews it before it runs out.

use std::time::Duration;

use super::Parts;
use crate::app::AppError;

/// How often it is looked at, far more often than it runs out.
pub(super) const PERIOD: Duration = Duration::from_secs(600);

/// Renews what is due.
pub(super) async fn round(parts: Parts) -> Result<(), AppError> {
    let renewed = parts.app.renew_free_use(&parts.devices.live()).await?;
    if renewed > 0 {
        tracing::debug!(renewed, "implicit grants");
    }
    Ok(())
}
