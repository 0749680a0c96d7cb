//! The only place that reads clocks. Sans-IO cores are given times as numbers.
//!
//! Invariants: [`Clock::monotonic`] never goes back. Wall time is a hint (days of advertisements, ages, logs): a box may
//! have no battery-backed clock, so what the gateway says corrects it; seals believe signed time only.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use sealgate_codec::link::Millis;
use tokio::time::Instant;

/// Reads both clocks. Cheap to clone; clones share the correction.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The runtime's clock, so that tests may pause it.
    started: Instant,
    /// Unix milliseconds at `started`, corrected by the gateway.
    origin: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    pub fn system() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self::starting_at(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Wall time begins at these unix milliseconds.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that may")]
    pub fn starting_at(unix_ms: i64) -> Self {
        Self {
            started: Instant::now(),
            origin: Arc::new(AtomicI64::new(unix_ms)),
        }
    }

    /// Milliseconds since this clock was made.
    #[must_use]
    pub fn monotonic(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// When this monotonic time comes, for timers.
    #[must_use]
    pub fn instant(&self, at: Millis) -> Instant {
        // A timer for later than tomorrow is set anew until then; so no sum can overflow.
        let tomorrow = self.monotonic().saturating_add(86_400_000);
        self.started + std::time::Duration::from_millis(at.min(tomorrow))
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        let since = i64::try_from(self.monotonic()).unwrap_or(i64::MAX);
        let now = self.origin.load(Ordering::Relaxed).saturating_add(since);
        u64::try_from(now).unwrap_or(0)
    }

    /// Unix seconds.
    #[must_use]
    pub fn unix(&self) -> u32 {
        u32::try_from(self.unix_ms() / 1000).unwrap_or(u32::MAX)
    }

    /// The gateway says what time it is. Less than two seconds of difference are left alone.
    pub fn correct(&self, unix: u32) {
        let off = i64::from(unix) * 1000 - i64::try_from(self.unix_ms()).unwrap_or(i64::MAX);
        if off.abs() > 2000 {
            self.origin.fetch_add(off, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn timers_are_right_after_a_hundred_days_too() {
        let clock = Clock::starting_at(0);
        tokio::time::advance(std::time::Duration::from_secs(100 * 86_400)).await;
        let now = clock.monotonic();
        let due = clock.instant(now + 5_000);
        assert_eq!(due - clock.instant(now), std::time::Duration::from_secs(5));
        assert!(clock.instant(Millis::MAX) > due);
    }

    #[tokio::test(start_paused = true)]
    async fn the_gateway_s_time_corrects_the_wall_clock_and_nothing_else() {
        let clock = Clock::starting_at(0);
        tokio::time::advance(std::time::Duration::from_secs(5)).await;
        assert_eq!(clock.unix(), 5);
        clock.correct(1_795_000_000);
        assert_eq!(clock.clone().unix(), 1_795_000_000);
        clock.correct(1_795_000_001);
        assert_eq!(clock.unix(), 1_795_000_000, "a second is not worth a jump");
        assert_eq!(clock.monotonic(), 5_000);
    }
}
