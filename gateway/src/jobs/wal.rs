//! The write-ahead log of SQLite goes into the file beside the writer.

use std::time::Duration;

use super::Parts;
use crate::app::AppError;

/// How often: long enough that a page written often is moved once.
pub(super) const PERIOD: Duration = Duration::from_millis(500);

/// Moves what was committed since.
pub(super) async fn round(parts: Parts) -> Result<(), AppError> {
    parts.app.checkpoint_wal().await
}
