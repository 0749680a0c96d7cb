//! What the types cannot say: ranges, addresses, combinations.

use std::net::ToSocketAddrs;

use super::Config;

/// Every number among the settings, and what it may be.
const RANGES: &[(&str, u64, u64)] = &[
    ("node.drain_timeout_ms", 100, 600_000),
    ("store.connections", 1, 512),
    ("store.acquire_timeout_ms", 100, 600_000),
    ("store.timeout_ms", 1_000, 600_000),
    // 0 is no limit; SQLite itself ends at 281 terabytes.
    ("store.max_size_mb", 0, 281_474_976),
    ("front.max_sessions", 1, 1_000_000),
    ("front.max_business_sessions", 1, 10_000),
    ("front.max_business_sessions_per_token", 1, 10_000),
    ("front.handshakes", 1, 100_000),
    ("front.handshake_timeout_ms", 100, 120_000),
    ("front.impatience_ms", 100, 120_000),
    ("front.connect_timeout_ms", 100, 120_000),
    ("front.open_timeout_ms", 100, 120_000),
    ("front.write_timeout_ms", 100, 600_000),
    ("front.ack_timeout_ms", 1_000, 600_000),
    ("front.max_keep_alive_s", 10, 65_535),
    ("front.device_rate", 1, 10_000),
    ("front.device_burst", 1, 100_000),
    ("front.receive_maximum", 1, 1_024),
    ("front.in_flight", 1, 1_024),
    ("front.resumption_cache", 0, 10_000_000),
    // TLS 1.3 allows a week at most.
    ("front.ticket_lifetime_s", 60, 604_800),
    ("http.max_body_bytes", 1_024, 1 << 30),
    ("http.body_timeout_ms", 100, 600_000),
    ("http.token_rate", 1, 1_000_000),
    ("http.token_burst", 1, 1_000_000),
    ("http.max_event_streams", 1, 99_999),
    ("http.max_event_streams_per_token", 1, 99_999),
    ("http.max_connections", 2, 100_000),
    ("http.keep_alive_ms", 1_000, 3_600_000),
    ("lease.ttl_s", 30, 86_400),
    ("devices.uplink_queue", 1, 1_024),
    ("devices.downlink_queue", 1, 1_024),
    ("devices.keep_alive_active_s", 10, 65_535),
    ("devices.keep_alive_idle_s", 10, 65_535),
    ("ingest.queue", 1, 1 << 20),
    ("ingest.batch_records", 1, 8_192),
    ("commands.poll_ms", 10, 60_000),
    ("commands.retry_ms", 100, 600_000),
    ("commands.unresponsive_ms", 1_000, 600_000),
    ("signer.timeout_ms", 50, 60_000),
    ("signer.in_flight", 1, 4_096),
];

/// What the number under a key may be.
pub(super) fn range_of(key: &str) -> Option<(u64, u64)> {
    let found = RANGES.iter().find(|(name, ..)| *name == key);
    found.map(|(_, low, high)| (*low, *high))
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as in the file: `front.listen`.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl Config {
    /// Everything that is wrong, all at once.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Found::default();
        self.check_node(&mut found);
        self.check_front(&mut found);
        self.check_ranges(&mut found);
        self.check_shares(&mut found);
        found.0
    }

    fn check_node(&self, found: &mut Found) {
        let id = &self.node.id;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        found.unless(
            (1..=64).contains(&id.len()) && id.chars().all(plain),
            "node.id",
            || format!("{id:?} must be 1 to 64 letters, digits, '-', '_' or '.'"),
        );
        found.unless(
            !self.node.data_dir.as_os_str().is_empty(),
            "node.data_dir",
            || "must name a folder".to_owned(),
        );
        let url = &self.store.url;
        let known = ["sqlite://", "postgres://", "postgresql://"];
        found.unless(
            url.is_empty() || known.iter().any(|scheme| url.starts_with(scheme)),
            "store.url",
            || "must begin with sqlite:// or postgres://, or be empty for a file in the data directory".to_owned(),
        );
        let tls = &self.store.tls;
        found.unless(
            tls.cert.as_os_str().is_empty() == tls.key.as_os_str().is_empty(),
            "store.tls.key",
            || "store.tls.cert and store.tls.key belong together".to_owned(),
        );
        found.unless(
            crate::telemetry::check_filter(&self.log.level),
            "log.level",
            || {
                format!(
                    "{:?} is not a level (error, warn, info, debug, trace) or a filter",
                    self.log.level
                )
            },
        );
    }

    fn check_front(&self, found: &mut Found) {
        let front = &self.front;
        for (key, address) in [
            ("http.listen", &self.http.listen),
            ("front.listen", &front.listen),
            ("front.business_listen", &front.business_listen),
        ] {
            found.unless(
                address
                    .to_socket_addrs()
                    .is_ok_and(|mut all| all.next().is_some()),
                key,
                || format!("{address:?} is not an address such as \"0.0.0.0:8883\""),
            );
        }
        let fixed = |address: &str| !address.ends_with(":0");
        found.unless(
            front.listen != front.business_listen || !fixed(&front.listen),
            "front.business_listen",
            || "must differ from front.listen".to_owned(),
        );
        found.unless(
            self.http.listen != front.listen || !fixed(&front.listen),
            "http.listen",
            || "must differ from front.listen".to_owned(),
        );
    }

    fn check_ranges(&self, found: &mut Found) {
        let tree = serde_json::to_value(self).expect("settings are plain data");
        for (key, low, high) in RANGES {
            let value = tree.pointer(&format!("/{}", key.replace('.', "/")));
            let value = value.and_then(serde_json::Value::as_u64);
            let value = value.expect("every key of the table is a number: a test checks");
            found.unless((*low..=*high).contains(&value), key, || {
                format!("{value} is out of range; it must be {low} to {high}")
            });
        }
    }

    /// Some of a whole that others need too.
    fn check_shares(&self, found: &mut Found) {
        let (streams, all) = (self.http.max_event_streams, self.http.max_connections);
        found.unless(streams < all, "http.max_event_streams", || {
            format!(
                "{streams} must be below http.max_connections ({all}), so that other requests always find a place"
            )
        });
    }
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn unless(&mut self, holds: bool, key: &'static str, message: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Problem {
                key,
                message: message(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(Config::default().problems(), vec![]);
    }

    #[test]
    fn every_number_among_the_settings_has_its_range() {
        fn look(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
            match value {
                serde_json::Value::Object(fields) => {
                    for (name, value) in fields {
                        look(value, &format!("{path}.{name}"), found);
                    }
                }
                serde_json::Value::Number(_) => found.push(path[1..].to_owned()),
                _ => {}
            }
        }
        let mut found = Vec::new();
        let tree = serde_json::to_value(Config::default()).unwrap();
        look(&tree, "", &mut found);
        found.sort();
        let mut known: Vec<_> = RANGES.iter().map(|(key, ..)| (*key).to_owned()).collect();
        known.sort();
        assert_eq!(found, known);
    }

    #[test]
    fn event_streams_never_take_every_connection() {
        let mut config = Config::default();
        config.http.max_connections = 100;
        config.http.max_event_streams = 100;
        let problems = config.problems();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "http.max_event_streams");
        config.http.max_event_streams = 99;
        assert_eq!(config.problems(), vec![]);
    }

    #[test]
    fn a_number_out_of_range_is_told_with_its_key_and_its_range() {
        let mut config = Config::default();
        config.http.max_connections = 1_000_000;
        config.front.max_business_sessions_per_token = 0;
        let told: Vec<_> = config.problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "front.max_business_sessions_per_token: 0 is out of range; it must be 1 to 10000",
                "http.max_connections: 1000000 is out of range; it must be 2 to 100000",
            ]
        );
    }

    #[test]
    fn limits_that_would_stop_the_front_are_refused() {
        let mut config = Config::default();
        config.front.receive_maximum = 0;
        config.front.in_flight = 0;
        config.front.ticket_lifetime_s = 604_801;
        config.front.impatience_ms = 0;
        config.front.open_timeout_ms = 0;
        config.http.body_timeout_ms = 0;
        let problems = config.problems();
        let keys: Vec<_> = problems.iter().map(|problem| problem.key).collect();
        assert_eq!(
            keys,
            [
                "front.impatience_ms",
                "front.open_timeout_ms",
                "front.receive_maximum",
                "front.in_flight",
                "front.ticket_lifetime_s",
                "http.body_timeout_ms"
            ]
        );
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_key() {
        let mut config = Config::default();
        config.node.id = "a b".to_owned();
        config.front.listen = "nowhere".to_owned();
        config.lease.ttl_s = 1;
        config.store.url = "mysql://x".to_owned();
        config.log.level = "loud".to_owned();
        let keys: Vec<_> = config
            .problems()
            .iter()
            .map(|problem| problem.key)
            .collect();
        assert_eq!(
            keys,
            [
                "node.id",
                "store.url",
                "log.level",
                "front.listen",
                "lease.ttl_s"
            ]
        );
    }
}
