//! Panics of this process: logged with their place and counted. They end their own task and nothing else.

use std::{
    any::Any,
    panic,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Metrics;

/// Panics since the process began. A hook belongs to the process, so its count does too.
static PANICS: AtomicU64 = AtomicU64::new(0);
static INSTALLED: Once = Once::new();

/// Logs and counts panics from now on, and shows the count in `metrics`. May be called for several gateways.
pub fn count(metrics: &Metrics) {
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, message = message(info.payload()), "a task panicked");
            before(info);
        }));
    });
    let mut shown = PANICS.load(Ordering::Relaxed);
    metrics.read_from(move |metrics| {
        let now = PANICS.load(Ordering::Relaxed);
        metrics.task_panics.inc_by(now - shown);
        shown = now;
    });
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_task_and_is_counted() {
        let metrics = Metrics::new();
        count(&metrics);
        drop(metrics.encode());
        let before = metrics.task_panics.get();
        let task = crate::tasks::spawn("doomed", async { panic!("on purpose") });
        assert!(task.await.unwrap_err().is_panic());
        drop(metrics.encode());
        assert!(metrics.task_panics.get() > before);
    }
}
