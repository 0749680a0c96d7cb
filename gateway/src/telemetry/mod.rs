//! Tracing and metrics.
//!
//! Logs are lines for people on a terminal and JSON objects otherwise. Secrets never reach a log: keys have redacted
//! `Debug`, phone numbers pass through [`Phone`], and no room logs request bodies or wire payloads.

pub mod metrics;
pub mod panics;
mod redact;
mod trace;

pub use metrics::Metrics;
pub use redact::{Phone, mask_url};
pub use trace::{InvalidFilter, init};

/// Whether `log.level` can be understood.
#[must_use]
pub fn check_filter(level: &str) -> bool {
    trace::filter(level).is_ok()
}
