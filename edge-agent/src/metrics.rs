//! Counters and gauges, in a registry of our own.
//!
//! Invariant: names and labels are fixed; no metric grows with the number of seals.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use sealgate_codec::link::CloseReason;

use crate::{report::Report, seal::Notice};

/// All of them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connected: IntGauge,
    connects: IntCounter,
    messages: IntGauge,
    bytes: IntGauge,
    limit: IntGauge,
    oldest: IntGauge,
    refused: IntGauge,
    failures: IntGauge,
    seals: IntGauge,
    linked: IntGauge,
    opened: IntCounter,
    closed: IntCounterVec,
    dials_failed: IntCounter,
    ports_down: IntGauge,
}

impl Metrics {
    /// Zeros.
    ///
    /// # Panics
    /// Never: the names are valid and differ.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help).expect("a valid name");
            registry
                .register(Box::new(gauge.clone()))
                .expect("a name of its own");
            gauge
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("a valid name");
            registry
                .register(Box::new(counter.clone()))
                .expect("a name of its own");
            counter
        };
        let closed = Opts::new(
            "sealgate_edge_links_closed_total",
            "Links that ended, by reason",
        );
        let closed = IntCounterVec::new(closed, &["reason"]).expect("a valid name");
        registry
            .register(Box::new(closed.clone()))
            .expect("a name of its own");
        Self {
            connected: gauge(
                "sealgate_edge_connected",
                "1 while connected to the gateway",
            ),
            connects: counter("sealgate_edge_connects_total", "Connections to the gateway"),
            messages: gauge(
                "sealgate_edge_queue_messages",
                "Messages waiting in the queue",
            ),
            bytes: gauge("sealgate_edge_queue_bytes", "Their bytes on disk"),
            limit: gauge("sealgate_edge_queue_limit_bytes", "Bytes the queue may use"),
            oldest: gauge(
                "sealgate_edge_queue_oldest_seconds",
                "Age of the oldest message",
            ),
            refused: gauge(
                "sealgate_edge_queue_refused",
                "Messages refused since the start",
            ),
            failures: gauge(
                "sealgate_edge_queue_failures",
                "Commits that failed since the start",
            ),
            seals: gauge("sealgate_edge_seals", "Seals assigned to this box"),
            linked: gauge("sealgate_edge_seals_linked", "Seals with an open link"),
            opened: counter("sealgate_edge_links_opened_total", "Links that opened"),
            dials_failed: counter("sealgate_edge_dials_failed_total", "Connections not made"),
            ports_down: gauge("sealgate_edge_ports_down", "Ports that do not work"),
            closed,
            registry,
        }
    }

    pub(crate) fn connected(&self) {
        self.connects.inc();
    }

    pub(crate) fn dial_failed(&self) {
        self.dials_failed.inc();
    }

    pub(crate) fn notice(&self, notice: Notice) {
        match notice {
            Notice::Opened { .. } => self.opened.inc(),
            Notice::Closed(reason) => {
                let reason = match reason {
                    CloseReason::Local(_) => "here",
                    CloseReason::Peer(_) => "seal",
                    CloseReason::Refused(_) | CloseReason::Stranger(_) => "refused",
                    CloseReason::Timeout => "timeout",
                    CloseReason::Silent => "silent",
                    CloseReason::Lost => "lost",
                };
                self.closed.with_label_values(&[reason]).inc();
            }
            _ => {}
        }
    }

    /// The text that scrapers read.
    #[must_use]
    pub fn text(&self, report: &Report) -> String {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.connected.set(i64::from(report.gateway.connected));
        self.messages.set(i64::from(report.queue.messages));
        self.bytes.set(bytes(report.queue.bytes));
        self.limit.set(bytes(report.queue.limit));
        self.oldest.set(i64::from(report.queue.oldest_s));
        self.refused.set(i64::from(report.queue.refused));
        self.failures.set(bytes(report.queue.failures));
        self.seals.set(number(report.seals.len()));
        let linked = report.seals.iter().filter(|s| s.presence == "linked");
        self.linked.set(number(linked.count()));
        let down = report.ports.iter().filter(|port| !port.up);
        self.ports_down.set(number(down.count()));
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
