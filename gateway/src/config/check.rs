//! What the types cannot say: ranges, addresses, combinations.

use std::net::ToSocketAddrs;

use super::Config;

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
        self.check_rest(&mut found);
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
        found.range(
            "store.connections",
            u64::from(self.store.connections),
            1,
            512,
        );
        found.range(
            "node.drain_timeout_ms",
            self.node.drain_timeout_ms,
            100,
            600_000,
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
        self.check_limits(found);
    }

    fn check_limits(&self, found: &mut Found) {
        let front = &self.front;
        let sessions = front.max_sessions as u64;
        let readers = front.max_business_sessions as u64;
        let handshakes = front.handshakes as u64;
        let handshake_ms = front.handshake_timeout_ms;
        let connect_ms = front.connect_timeout_ms;
        let cache = front.resumption_cache as u64;
        let lifetime = front.ticket_lifetime_s.into();
        let keep_alive = front.max_keep_alive_s.into();
        for (key, value, low, high) in [
            ("front.max_sessions", sessions, 1, 1_000_000),
            ("front.max_business_sessions", readers, 1, 10_000),
            ("front.handshakes", handshakes, 1, 100_000),
            ("front.handshake_timeout_ms", handshake_ms, 100, 120_000),
            ("front.impatience_ms", front.impatience_ms, 100, 120_000),
            ("front.connect_timeout_ms", connect_ms, 100, 120_000),
            ("front.open_timeout_ms", front.open_timeout_ms, 100, 120_000),
            (
                "front.write_timeout_ms",
                front.write_timeout_ms,
                100,
                600_000,
            ),
            ("front.ack_timeout_ms", front.ack_timeout_ms, 1_000, 600_000),
            ("front.max_keep_alive_s", keep_alive, 10, 65_535),
            ("front.device_rate", front.device_rate.into(), 1, 10_000),
            ("front.device_burst", front.device_burst.into(), 1, 100_000),
            (
                "front.receive_maximum",
                front.receive_maximum.into(),
                1,
                1_024,
            ),
            ("front.in_flight", front.in_flight.into(), 1, 1_024),
            ("front.resumption_cache", cache, 0, 10_000_000),
            // TLS 1.3 allows a week at most.
            ("front.ticket_lifetime_s", lifetime, 60, 604_800),
        ] {
            found.range(key, value, low, high);
        }
    }

    fn check_rest(&self, found: &mut Found) {
        found.range(
            "http.max_body_bytes",
            self.http.max_body_bytes as u64,
            1_024,
            1 << 30,
        );
        found.range(
            "http.body_timeout_ms",
            self.http.body_timeout_ms,
            100,
            600_000,
        );
        found.range(
            "http.token_rate",
            u64::from(self.http.token_rate),
            1,
            1_000_000,
        );
        found.range(
            "http.token_burst",
            u64::from(self.http.token_burst),
            1,
            1_000_000,
        );
        found.range("lease.ttl_s", u64::from(self.lease.ttl_s), 30, 86_400);
        found.range(
            "devices.uplink_queue",
            self.devices.uplink_queue as u64,
            1,
            1_024,
        );
        found.range(
            "devices.downlink_queue",
            self.devices.downlink_queue as u64,
            1,
            1_024,
        );
        found.range("ingest.queue", self.ingest.queue as u64, 1, 1 << 20);
        found.range(
            "ingest.batch_records",
            self.ingest.batch_records as u64,
            1,
            8_192,
        );
        found.range("commands.poll_ms", self.commands.poll_ms, 10, 60_000);
        found.range("commands.retry_ms", self.commands.retry_ms, 100, 600_000);
        found.range("signer.timeout_ms", self.signer.timeout_ms, 50, 60_000);
        found.range("signer.in_flight", self.signer.in_flight as u64, 1, 4_096);
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

    fn range(&mut self, key: &'static str, value: u64, low: u64, high: u64) {
        self.unless((low..=high).contains(&value), key, || {
            format!("{value} is out of range; it must be {low} to {high}")
        });
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
