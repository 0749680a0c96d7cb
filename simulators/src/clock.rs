//! The simulators' only reading of the machine's clocks. World time is unix milliseconds that never go back:
//! the wall clock at the start plus monotonic time since, so that an adjusted machine clock moves no seal.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// World time, as the simulated seals and the drivers see it.
#[derive(Debug, Clone, Copy)]
pub struct WorldClock {
    started: Instant,
    origin_ms: u64,
}

impl WorldClock {
    /// Reads the machine's clocks once.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the simulators' runtime edge")]
    pub fn new() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            origin_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.origin_ms.saturating_add(elapsed)
    }

    /// Time since this clock was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Default for WorldClock {
    fn default() -> Self {
        Self::new()
    }
}
