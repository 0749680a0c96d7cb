//! Deletes what has served its purpose: told events, kept answers, used codes. Records, grants, commands and the audit
//! stay.

use std::time::Duration;

use super::Parts;
use crate::app::AppError;

/// How often.
pub(super) const PERIOD: Duration = Duration::from_secs(3_600);

/// Deletes in small bites until nothing is due.
pub(super) async fn round(parts: Parts) -> Result<(), AppError> {
    while parts.app.delete_aged().await? {
        tokio::task::yield_now().await;
    }
    Ok(())
}
