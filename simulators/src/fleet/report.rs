//! What a run amounts to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::seal::Truth;

/// Milliseconds between a press and the acknowledgement that freed its record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// Worst.
    pub max: u64,
}

/// Sums over a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Seals.
    pub seals: usize,
    /// Presses that became records.
    pub records: usize,
    /// Presses that only raised a counter.
    pub counted: usize,
    /// Records the platform has not acknowledged.
    pub unacknowledged: usize,
    /// Sessions the platform answered.
    pub sessions: u64,
    /// Records by kind of abnormal use.
    pub abnormal: BTreeMap<String, usize>,
    /// Press to acknowledgement.
    pub latency_ms: Latency,
}

impl Report {
    /// Sums up.
    #[must_use]
    pub fn of(truths: &[Truth]) -> Self {
        let mut report = Self {
            seals: truths.len(),
            ..Self::default()
        };
        let mut waits = Vec::new();
        for truth in truths {
            report.counted += truth.counted();
            report.sessions += u64::from(truth.sessions);
            for press in truth.records() {
                report.records += 1;
                match press.acked_at_ms {
                    Some(at) => waits.push(at.saturating_sub(press.at_ms)),
                    None => report.unacknowledged += 1,
                }
                if let Some(kind) = press.kind {
                    *report.abnormal.entry(kind.to_string()).or_default() += 1;
                }
            }
        }
        waits.sort_unstable();
        report.latency_ms = Latency {
            p50: at_share(&waits, 50),
            p99: at_share(&waits, 99),
            max: waits.last().copied().unwrap_or(0),
        };
        report
    }
}

fn at_share(sorted: &[u64], percent: usize) -> u64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(0)
}
