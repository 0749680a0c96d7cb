//! Devices that are not as they are wanted although nothing is on its way to them.

use std::time::Duration;

use super::Parts;
use crate::app::AppError;

/// How often it is looked at; an order is repeated less often than that.
pub(super) const PERIOD: Duration = Duration::from_secs(15);

/// Ends offline modes whose grant is over, and orders again what came to nothing.
pub(super) async fn round(parts: Parts) -> Result<(), AppError> {
    let ended = parts.app.end_offline_modes().await?;
    let ordered = parts.app.reconcile(&parts.node).await?;
    if ended + ordered > 0 {
        tracing::info!(ended, ordered, "devices were not as they are wanted");
    }
    Ok(())
}
