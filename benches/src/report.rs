//! What a run says: a table for people, JSON for everything else.

use std::{collections::BTreeMap, fmt::Write as _};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::timer::to_f64;

/// Latencies in microseconds, three digits.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(3).expect("valid digits"))
    }
}

impl Latencies {
    /// For one of thousands of workers: grows as needed.
    #[must_use]
    pub fn small() -> Self {
        Self(Histogram::new(2).expect("valid digits"))
    }

    /// Adds one.
    pub fn record(&mut self, micros: u64) {
        // A histogram that grows takes every value.
        let _ = self.0.record(micros);
    }

    /// Adds those of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("histograms that grow");
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// A quantile in milliseconds.
    #[must_use]
    pub fn millis(&self, quantile: f64) -> f64 {
        to_f64(self.0.value_at_quantile(quantile)) / 1000.0
    }

    /// The usual ones.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            p50_ms: self.millis(0.50),
            p90_ms: self.millis(0.90),
            p99_ms: self.millis(0.99),
            p999_ms: self.millis(0.999),
            max_ms: to_f64(self.0.max()) / 1000.0,
        }
    }
}

/// The usual quantiles.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Summary {
    /// How many were measured.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1000.
    pub p999_ms: f64,
    /// The worst.
    pub max_ms: f64,
}

/// One measured thing.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// What was aimed at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
}

/// The latencies of one thing.
#[derive(Debug, Clone, Serialize)]
pub struct Distribution {
    /// Of what.
    pub what: String,
    /// Its quantiles.
    #[serde(flatten)]
    pub summary: Summary,
}

/// What one run found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Which run.
    pub run: String,
    /// How it was set up.
    pub settings: BTreeMap<String, String>,
    /// What it measured.
    pub figures: Vec<Figure>,
    /// Latency distributions.
    pub latencies: Vec<Distribution>,
    /// What could not run, with the reason.
    pub skipped: Vec<String>,
}

impl Report {
    /// An empty report of a run.
    #[must_use]
    pub fn of(run: &str) -> Self {
        Self {
            run: run.to_owned(),
            ..Self::default()
        }
    }

    /// Notes a setting.
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.settings.insert(key.to_owned(), value.to_string());
    }

    /// Notes a figure.
    pub fn figure(&mut self, what: &str, value: f64, unit: &'static str, goal: Option<&str>) {
        self.figures.push(Figure {
            what: what.to_owned(),
            value,
            unit,
            goal: goal.map(str::to_owned),
        });
    }

    /// Notes a distribution.
    pub fn latency(&mut self, what: &str, latencies: &Latencies) {
        self.latencies.push(Distribution {
            what: what.to_owned(),
            summary: latencies.summary(),
        });
    }

    /// Puts the distribution with the worst p99 first.
    pub fn slowest_first(&mut self) {
        let p99 = |one: &Distribution| one.summary.p99_ms;
        self.latencies.sort_by(|a, b| p99(b).total_cmp(&p99(a)));
    }

    /// Notes what could not run.
    pub fn skip(&mut self, reason: impl Into<String>) {
        self.skipped.push(reason.into());
    }

    /// For people; valid Markdown, so that it can be pasted into the results page.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = format!("### {}\n\n", self.run);
        let settings: Vec<String> = self
            .settings
            .iter()
            .map(|(key, value)| format!("{key} {value}"))
            .collect();
        let _ = writeln!(out, "{}\n", settings.join(", "));
        if !self.figures.is_empty() {
            out.push_str("| what | value | unit | goal |\n| --- | ---: | --- | --- |\n");
            for figure in &self.figures {
                let goal = figure.goal.as_deref().unwrap_or("");
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {goal} |",
                    figure.what,
                    number(figure.value),
                    figure.unit
                );
            }
            out.push('\n');
        }
        if !self.latencies.is_empty() {
            out.push_str("| latency, ms | count | p50 | p90 | p99 | p99.9 | max |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
            for Distribution { what, summary: s } in &self.latencies {
                let _ = writeln!(
                    out,
                    "| {what} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                    s.count, s.p50_ms, s.p90_ms, s.p99_ms, s.p999_ms, s.max_ms
                );
            }
            out.push('\n');
        }
        for reason in &self.skipped {
            let _ = writeln!(out, "skipped: {reason}\n");
        }
        out
    }
}

fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        let whole = format!("{value:.0}");
        let mut out = String::new();
        for (i, c) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                out.push(',');
            }
            out.push(c);
        }
        out
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(12.345), "12.35");
    }

    #[test]
    fn the_slowest_comes_first() {
        let mut report = Report::of("x");
        for (what, micros) in [("fast", 1_000), ("slow", 9_000), ("middling", 5_000)] {
            let mut one = Latencies::default();
            one.record(micros);
            report.latency(what, &one);
        }
        report.slowest_first();
        let order: Vec<&str> = report.latencies.iter().map(|one| &*one.what).collect();
        assert_eq!(order, ["slow", "middling", "fast"]);
    }

    #[test]
    fn a_distribution_of_two_workers_is_one() {
        let (mut a, mut b) = (Latencies::default(), Latencies::default());
        a.record(1000);
        b.record(3000);
        a.merge(&b);
        assert_eq!(a.count(), 2);
        assert!(a.millis(0.99) >= 2.9);
    }
}
