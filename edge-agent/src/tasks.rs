//! Every task has a name. A panic ends its own task and nothing else.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::{Instrument as _, info_span};

/// Spawns `future` under a span of that name.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.instrument(info_span!("task", name)))
}
