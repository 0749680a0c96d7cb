//! Every metric of the gateway: one struct, one registry, every field documented, base units (seconds, bytes).
//!
//! Label values come from closed sets in our code, never from what a client sends, so that nobody outside can grow
//! the number of series.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

/// Buckets for work that should take milliseconds.
const FAST: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];
/// Buckets for work that waits for a network or a person.
const SLOW: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
];
/// Buckets for numbers of rows.
const ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

macro_rules! metrics {
    ($( $(#[doc = $doc:literal])+ $field:ident : $kind:ident = $name:literal $(, [$($label:literal),+])? $(, $buckets:ident)? ; )+) => {
        /// All metrics. Shared as `Arc<Metrics>`.
        #[non_exhaustive]
        pub struct Metrics {
            registry: Registry,
            sources: Mutex<Vec<Source>>,
            $( $(#[doc = $doc])+ pub $field: $kind, )+
        }

        impl Metrics {
            /// A fresh registry with every metric in it.
            ///
            /// # Panics
            /// Two metrics have the same name, which a test would show.
            #[must_use]
            pub fn new() -> Self {
                let registry = Registry::new();
                Self {
                    $( $field: register(
                        &registry,
                        $kind::build($name, concat!($($doc),+), &[$($($label),+)?], &[$($buckets)?]),
                    ), )+
                    registry,
                    sources: Mutex::default(),
                }
            }
        }
    };
}

metrics! {
    /// 1 while the gateway takes traffic, 0 while it starts, drains or cannot reach its database.
    ready: IntGauge = "sealgate_ready";
    /// Always 1; the label is the version.
    build_info: IntGaugeVec = "sealgate_build_info", ["version"];
    /// Panics of the process. A panic ends only its own task.
    task_panics: IntCounter = "sealgate_task_panics_total";

    /// When the certificates in use end, in seconds since 1970, by what they are for (server, device_ca): the soonest.
    certificate_expires: IntGaugeVec = "sealgate_certificate_expires_timestamp_seconds", ["what"];

    /// TCP connections accepted, by listener (front, business).
    connections_accepted: IntCounterVec = "sealgate_connections_accepted_total", ["listener"];
    /// Connections turned away before TLS, by listener and reason (full, accept_failed).
    connections_refused: IntCounterVec = "sealgate_connections_refused_total", ["listener", "reason"];
    /// Live sessions of devices, by kind of link (mqtt, cluster, edge).
    sessions: IntGaugeVec = "sealgate_sessions", ["link"];
    /// Ended sessions of devices, by reason.
    session_ends: IntCounterVec = "sealgate_session_ends_total", ["reason"];
    /// MQTT clients connected, by listener.
    links: IntGaugeVec = "sealgate_links", ["listener"];
    /// MQTT clients gone, by listener and how (disconnected, lost, keep_alive_timeout, ...).
    link_ends: IntCounterVec = "sealgate_link_ends_total", ["listener", "reason"];
    /// Sessions that ended an older session of the same device.
    takeovers: IntCounter = "sealgate_takeovers_total";
    /// TLS handshakes, by listener and result (full, resumed, failed, timeout).
    handshakes: IntCounterVec = "sealgate_handshakes_total", ["listener", "result"];
    /// MQTT CONNECTs, by listener and result (accepted, refused, bad_identity, malformed, timeout).
    connects: IntCounterVec = "sealgate_connects_total", ["listener", "result"];
    /// MQTT messages, by listener and direction (up, down).
    messages: IntCounterVec = "sealgate_messages_total", ["listener", "direction"];
    /// MQTT packets that broke a rule or met a limit, by listener and reason.
    packets_rejected: IntCounterVec = "sealgate_packets_rejected_total", ["listener", "reason"];
    /// Times a session was slowed down by its rate limit, by listener.
    throttled: IntCounterVec = "sealgate_throttled_total", ["listener"];

    /// SL/1 messages received, by type.
    messages_received: IntCounterVec = "sealgate_messages_received_total", ["type"];
    /// SL/1 messages sent, by type.
    messages_sent: IntCounterVec = "sealgate_messages_sent_total", ["type"];
    /// SL/1 messages answered with an error, by code ("0x0203").
    errors_sent: IntCounterVec = "sealgate_errors_sent_total", ["code"];
    /// Errors that devices sent us, by code.
    errors_received: IntCounterVec = "sealgate_errors_received_total", ["code"];
    /// Records whose bytes differ from what is stored under their number.
    log_forks: IntCounter = "sealgate_log_forks_total";
    /// Events (alarms raised before their record arrives), by abnormal kind.
    events_received: IntCounterVec = "sealgate_events_received_total", ["kind"];

    /// Alarms committed, by kind (abnormal, log_fork, counter_rollback, counter_ahead, log_behind, ...). Every node counts all.
    alarms: IntCounterVec = "sealgate_alarms_total", ["kind"];

    /// Stamp records stored.
    stamps_stored: IntCounter = "sealgate_stamps_stored_total";
    /// Stamp records that were stored before and acknowledged again.
    stamps_duplicate: IntCounter = "sealgate_stamps_duplicate_total";
    /// Abnormal stamp records committed, by kind 1 to 10. Every node counts all.
    stamps_abnormal: IntCounterVec = "sealgate_stamps_abnormal_total", ["kind"];
    /// Rows of one ingest transaction.
    ingest_batch_rows: Histogram = "sealgate_ingest_batch_rows", ROWS;
    /// Time of one ingest transaction, commit included.
    ingest_commit_seconds: Histogram = "sealgate_ingest_commit_seconds", FAST;
    /// Batches waiting for ingest.
    ingest_queue_depth: IntGauge = "sealgate_ingest_queue_depth";
    /// Ingest transactions by result (committed, split, failed).
    ingest_batches: IntCounterVec = "sealgate_ingest_batches_total", ["result"];

    /// Command state changes, by op and new state.
    commands: IntCounterVec = "sealgate_commands_total", ["op", "state"];
    /// Time from a command's creation until the device applied it, by op.
    command_seconds: HistogramVec = "sealgate_command_seconds", ["op"], SLOW;
    /// Commands not yet finished.
    commands_open: IntGauge = "sealgate_commands_open";
    /// Leases given to devices.
    leases_issued: IntCounter = "sealgate_leases_issued_total";
    /// Receipts given to devices.
    receipts_issued: IntCounter = "sealgate_receipts_issued_total";
    /// Time of one signing request, the way to the signer and back included, by purpose (ticket, lease, receipt).
    signer_seconds: HistogramVec = "sealgate_signer_seconds", ["purpose"], FAST;
    /// Payloads given to the signer, by purpose and result (signed, refused, failed).
    signer_payloads: IntCounterVec = "sealgate_signer_payloads_total", ["purpose", "result"];
    /// 1 while the signer can be reached.
    signer_up: IntGauge = "sealgate_signer_up";

    /// HTTP requests by route (the pattern, not the path), method and status.
    http_requests: IntCounterVec = "sealgate_http_requests_total", ["route", "method", "status"];
    /// Time until an HTTP response's head, by route.
    http_seconds: HistogramVec = "sealgate_http_seconds", ["route"], FAST;
    /// HTTP requests being worked on.
    http_in_flight: IntGauge = "sealgate_http_in_flight";
    /// Open event streams.
    event_streams: IntGauge = "sealgate_event_streams";

    /// Time a writer waited at the gate, by lane (priority, normal).
    store_wait_seconds: HistogramVec = "sealgate_store_wait_seconds", ["lane"], FAST;
    /// Time of a write transaction, commit included, by lane.
    store_write_seconds: HistogramVec = "sealgate_store_write_seconds", ["lane"], FAST;
    /// Write transactions tried again after a deadlock or serialization failure.
    store_retries: IntCounter = "sealgate_store_retries_total";
    /// Database failures that were not the caller's fault.
    store_errors: IntCounter = "sealgate_store_errors_total";
    /// Outbox rows given a position.
    outbox_sequenced: IntCounter = "sealgate_outbox_sequenced_total";
    /// Time since the bus last returned its canary.
    bus_canary_age_seconds: Gauge = "sealgate_bus_canary_age_seconds";
    /// Times the bus was rebuilt.
    bus_restarts: IntCounter = "sealgate_bus_restarts_total";
    /// Committed events published to the bus, by topic family (stamp, alarm, presence, command).
    bus_published: IntCounterVec = "sealgate_bus_published_total", ["family"];
    /// Events a slow business subscriber did not get; it catches up over HTTP.
    bus_dropped: IntCounter = "sealgate_bus_dropped_total";
    /// Short messages by result (sent, failed).
    sms: IntCounterVec = "sealgate_sms_total", ["result"];
    /// Age of the last finished round of a job, by name.
    job_age_seconds: GaugeVec = "sealgate_job_age_seconds", ["job"];
    /// 1 while the rounds of a job fail, by name.
    job_failing: IntGaugeVec = "sealgate_job_failing", ["job"];
    /// Failed rounds of a job, by name.
    job_failures: IntCounterVec = "sealgate_job_failures_total", ["job"];
}

/// Something that counts for itself and is copied into the metrics when they are read.
type Source = Box<dyn FnMut(&Metrics) + Send>;

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

impl Metrics {
    /// Has `source` run before every reading.
    pub fn read_from(&self, source: impl FnMut(&Self) + Send + 'static) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.push(Box::new(source));
    }

    /// The text exposition format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        for source in sources.iter_mut() {
            source(self);
        }
        drop(sources);
        let mut out = Vec::new();
        // Writing to memory does not fail; a family without a sample is left out.
        if TextEncoder::new()
            .encode(&self.registry.gather(), &mut out)
            .is_err()
        {
            return String::new();
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// How each kind of metric is made from a name, its documentation, labels and buckets.
trait Build: Sized {
    fn build(
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[&[f64]],
    ) -> prometheus::Result<Self>;
}

macro_rules! build_plain {
    ($($kind:ident),+) => { $(
        impl Build for $kind {
            fn build(name: &str, help: &str, _: &[&str], _: &[&[f64]]) -> prometheus::Result<Self> {
                Self::with_opts(Opts::new(name, help.trim()))
            }
        }
    )+ };
}

macro_rules! build_labelled {
    ($($kind:ident),+) => { $(
        impl Build for $kind {
            fn build(name: &str, help: &str, labels: &[&str], _: &[&[f64]]) -> prometheus::Result<Self> {
                Self::new(Opts::new(name, help.trim()), labels)
            }
        }
    )+ };
}

build_plain!(IntCounter, IntGauge, Gauge);
build_labelled!(IntCounterVec, IntGaugeVec, GaugeVec);

fn histogram(name: &str, help: &str, buckets: &[&[f64]]) -> HistogramOpts {
    let buckets = buckets.first().copied().unwrap_or(FAST);
    HistogramOpts::new(name, help.trim()).buckets(buckets.to_vec())
}

impl Build for Histogram {
    fn build(name: &str, help: &str, _: &[&str], buckets: &[&[f64]]) -> prometheus::Result<Self> {
        Self::with_opts(histogram(name, help, buckets))
    }
}

impl Build for HistogramVec {
    fn build(
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[&[f64]],
    ) -> prometheus::Result<Self> {
        Self::new(histogram(name, help, buckets), labels)
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> C {
    let metric = metric.expect("metric names and labels are literals in the right form");
    registry
        .register(Box::new(metric.clone()))
        .expect("every metric has its own name");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_own_name_in_our_name_space_and_a_help_text() {
        let metrics = Metrics::new();
        metrics.ready.set(1);
        metrics
            .commands
            .with_label_values(&["lock", "applied"])
            .inc();
        metrics.ingest_commit_seconds.observe(0.02);
        let text = metrics.encode();
        assert!(text.contains("sealgate_commands_total{op=\"lock\",state=\"applied\"} 1"));
        assert!(text.contains("sealgate_ingest_commit_seconds_bucket{le=\"0.025\"} 1"));
        for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
            let mut words = line.splitn(4, ' ').skip(2);
            assert!(
                words
                    .next()
                    .is_some_and(|name| name.starts_with("sealgate_")),
                "{line}"
            );
            assert!(words.next().is_some_and(|help| help.len() > 10), "{line}");
        }
    }

    #[test]
    fn what_counts_for_itself_is_copied_at_every_reading() {
        let metrics = Metrics::new();
        let mut readings = 0;
        metrics.read_from(move |metrics| {
            readings += 1;
            metrics.commands_open.set(readings);
        });
        assert!(metrics.encode().contains("sealgate_commands_open 1"));
        assert!(metrics.encode().contains("sealgate_commands_open 2"));
    }

    #[test]
    fn two_gateways_in_one_process_do_not_share_counts() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.stamps_stored.inc();
        assert_eq!(other.stamps_stored.get(), 0);
    }
}
