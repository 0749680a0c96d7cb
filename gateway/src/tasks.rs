//! Every task has a name and an owner. A panic ends its own task and is logged and counted, nothing else.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::{Instrument, debug_span, info_span};

/// Spawns `future` under a span of that name.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.instrument(info_span!("task", name)))
}

/// As [`spawn`], for tasks there are thousands of: their span is kept only where debugging is on.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn spawn_many<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.instrument(debug_span!("task", name)))
}

/// Runs what takes milliseconds of computing on a thread of its own. `None`: it panicked.
pub async fn compute<F, T>(name: &'static str, work: F) -> Option<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let span = info_span!("compute", name);
    let running = tokio::task::spawn_blocking(move || span.in_scope(work));
    running.await.ok()
}
