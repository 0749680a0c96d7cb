//! How long writers wait and write. Silent until the process attaches its metrics.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::Lane;
use crate::{clock::SharedClock, telemetry::Metrics};

#[derive(Debug, Default)]
pub(super) struct Meter {
    attached: OnceLock<(Arc<Metrics>, SharedClock)>,
}

impl Meter {
    pub(super) fn attach(&self, metrics: Arc<Metrics>, clock: SharedClock) {
        // A second gateway on the same handle would be a mistake; the first keeps counting.
        let _ = self.attached.set((metrics, clock));
    }

    pub(super) fn now(&self) -> Option<Duration> {
        self.attached.get().map(|(_, clock)| clock.monotonic())
    }

    /// The turn came; `began` is when waiting for it did.
    pub(super) fn waited(&self, lane: Lane, began: Option<Duration>) {
        if let (Some((metrics, clock)), Some(began)) = (self.attached.get(), began) {
            let took = clock.monotonic().saturating_sub(began).as_secs_f64();
            let seconds = &metrics.store_wait_seconds;
            seconds.with_label_values(&[label(lane)]).observe(took);
        }
    }

    /// The transaction is over.
    pub(super) fn written(&self, lane: Lane, began: Option<Duration>) {
        if let (Some((metrics, clock)), Some(began)) = (self.attached.get(), began) {
            let took = clock.monotonic().saturating_sub(began).as_secs_f64();
            let seconds = &metrics.store_write_seconds;
            seconds.with_label_values(&[label(lane)]).observe(took);
        }
    }

    /// It is run again.
    pub(super) fn retried(&self) {
        if let Some((metrics, _)) = self.attached.get() {
            metrics.store_retries.inc();
        }
    }

    /// The database failed.
    pub(super) fn failed(&self) {
        if let Some((metrics, _)) = self.attached.get() {
            metrics.store_errors.inc();
        }
    }
}

const fn label(lane: Lane) -> &'static str {
    match lane {
        Lane::Priority => "priority",
        Lane::Normal => "normal",
    }
}
