//! The load generator's clock: measuring is its purpose, so it may read one.

use std::time::{Duration, Instant};

/// Now.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "measuring is what this package is for"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// A duration as whole microseconds, the unit of the histograms.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Operations a second.
#[must_use]
pub fn rate(count: u64, taken: Duration) -> f64 {
    if taken.is_zero() {
        return 0.0;
    }
    to_f64(count) / taken.as_secs_f64()
}

/// A count as a number to divide.
#[must_use]
pub fn to_f64(count: u64) -> f64 {
    // Counts here stay far below 2^52.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    let number = count as f64;
    number
}
