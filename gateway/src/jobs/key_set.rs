//! Key sets: after a rotation every connected seal is sent the signer's newest set, until it says it holds it.

use sealgate_codec::{cose, statement::KeySet};

use super::Parts;
use crate::app::{AppError, key_set::FIRST};

/// It is looked at once in so many polls: a rotated key waits for days before it is used.
pub(super) const POLLS: u32 = 10;

/// Orders the newest set where it is missing.
pub(super) async fn round(parts: Parts) -> Result<(), AppError> {
    let signed = parts.signer.key_set().await.map_err(|error| {
        tracing::debug!(%error, "the signer did not give its key set");
        AppError::conflict("签名服务没有应答", "the signer did not answer")
    })?;
    let Some(version) = version(&signed) else {
        return Err(AppError::conflict(
            "签名服务没有给出密钥集",
            "the signer gave no key set",
        ));
    };
    if version <= FIRST {
        return Ok(());
    }
    let node = &parts.node;
    let ordered = parts.app.order_key_set(node, version, &signed).await?;
    if ordered > 0 {
        tracing::info!(ordered, version, "key sets");
    }
    Ok(())
}

/// Seals check the root's signature; here it is only read.
fn version(signed: &[u8]) -> Option<u32> {
    let set = KeySet::decode(cose::parse(signed).ok()?.payload).ok()?;
    Some(set.version)
}
