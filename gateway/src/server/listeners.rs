//! What the listeners count for themselves, copied into the metrics when those are read.

use std::{collections::HashMap, sync::Arc};

use prometheus::IntCounter;

use crate::{
    ingress::stats::{Count, Stats},
    telemetry::Metrics,
};

/// Shows `stats` as the listener `name`.
pub(super) fn show(metrics: &Metrics, name: &'static str, stats: Arc<Stats>) {
    let mut shown: HashMap<&'static str, u64> = HashMap::new();
    metrics.read_from(move |metrics| {
        metrics
            .links
            .with_label_values(&[name])
            .set(stats.sessions());
        for count in Count::ALL {
            let now = stats.get(*count);
            let before = shown.insert(count.label(), now).unwrap_or(0);
            counter(metrics, name, *count).inc_by(now.saturating_sub(before));
        }
    });
}

/// Where a count goes.
fn counter(metrics: &Metrics, listener: &str, count: Count) -> IntCounter {
    let (family, label) = match count {
        Count::Accepted => return metrics.connections_accepted.with_label_values(&[listener]),
        Count::Throttled => return metrics.throttled.with_label_values(&[listener]),
        Count::AcceptFailed => (&metrics.connections_refused, "accept_failed"),
        Count::RefusedFull => (&metrics.connections_refused, "full"),
        Count::HandshakeTimeout => (&metrics.handshakes, "timeout"),
        Count::HandshakeFailed => (&metrics.handshakes, "failed"),
        Count::HandshakeFull => (&metrics.handshakes, "full"),
        Count::HandshakeResumed => (&metrics.handshakes, "resumed"),
        Count::BadIdentity => (&metrics.connects, "bad_identity"),
        Count::ConnectTimeout => (&metrics.connects, "timeout"),
        Count::ConnectMalformed => (&metrics.connects, "malformed"),
        Count::ConnectRefused => (&metrics.connects, "refused"),
        Count::Opened => (&metrics.connects, "accepted"),
        Count::MessagesUp => (&metrics.messages, "up"),
        Count::MessagesDown => (&metrics.messages, "down"),
        Count::TooLargeForClient
        | Count::Malformed
        | Count::PacketTooLarge
        | Count::ForeignTopic
        | Count::ProtocolError
        | Count::SubscribeRefused => (&metrics.packets_rejected, count.label()),
        Count::KeepAliveTimeout
        | Count::WriteTimeout
        | Count::AckTimeout
        | Count::ClosedByHost
        | Count::Lost
        | Count::Disconnected
        | Count::Drained
        | Count::Lagged => (&metrics.link_ends, count.label()),
    };
    family.with_label_values(&[listener, label])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_of_a_listener_is_a_metric_and_moves_once() {
        let metrics = Metrics::new();
        let stats = Arc::new(Stats::default());
        show(&metrics, "front", Arc::clone(&stats));
        for count in Count::ALL {
            stats.bump(*count);
        }
        drop(metrics.encode());
        let text = metrics.encode();
        let samples = text
            .lines()
            .filter(|line| line.contains("listener=\"front\"") && line.ends_with(" 1"));
        assert_eq!(samples.count(), Count::ALL.len(), "{text}");
    }
}
