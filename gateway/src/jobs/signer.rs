//! Is the signer there? Asked from the start and while nothing is to be signed, so that an idle gateway knows it too.

use std::time::Duration;

use super::Parts;
use crate::{app::AppError, signer::SignerError};

/// What its absence means.
const ABSENT: AppError = AppError::conflict(
    "签名服务没有应答：恢复之前不发送指令，也不续租约",
    "no signer: no command goes out and no lease is renewed until it answers",
);
/// How often it is asked.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Asks for something that changes nothing, and shows the answer in the metrics and in `/readyz`.
pub(super) async fn round(parts: Parts) -> Result<(), AppError> {
    let readiness = parts.app.readiness();
    let up = match parts.signer.key_set().await {
        Ok(_) => {
            if !readiness.report().signer {
                tracing::info!("the signer answers");
            }
            true
        }
        // Too much to do is not absence.
        Err(SignerError::Busy) => return Ok(()),
        Err(error) => {
            tracing::debug!(%error, "the signer does not answer");
            false
        }
    };
    parts.metrics.signer_up.set(i64::from(up));
    readiness.set_signer(up);
    if up { Ok(()) } else { Err(ABSENT) }
}
