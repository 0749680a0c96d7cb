//! Waiting for a condition, patiently.

use std::{future::Future, time::Duration};

/// Far beyond what a slow machine needs, short enough to end a broken run.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `condition` gives something.
///
/// # Panics
/// After [`PATIENCE`], with what was waited for.
pub async fn until<T, F, Fut>(what: &str, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let attempt = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, attempt).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}

/// Gives a future [`PATIENCE`] to finish.
///
/// # Panics
/// When it does not.
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}
