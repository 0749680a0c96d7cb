//! A rate limit that slows down and never refuses.

use std::time::Duration;

/// So many messages a second, with a burst, as one number: the time at which the bucket would be full again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    full_at: Duration,
    cost: Duration,
    burst: Duration,
}

impl Rate {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let cost = Duration::from_secs(1) / per_second.max(1);
        Self {
            full_at: Duration::ZERO,
            cost,
            burst: cost * burst.max(1),
        }
    }

    /// Takes one message's worth, or says how long to wait for it.
    pub(crate) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + self.cost;
        let ahead = full_at.saturating_sub(now);
        if ahead > self.burst {
            return Err(ahead - self.burst);
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut rate = Rate::new(50, 200);
        let mut now = Duration::from_secs(5);
        for _ in 0..200 {
            assert_eq!(rate.take(now), Ok(()));
        }
        let wait = rate.take(now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(20));
        now += wait;
        assert_eq!(rate.take(now), Ok(()));
        assert!(rate.take(now).is_err());
        now += Duration::from_secs(60);
        for _ in 0..200 {
            assert_eq!(rate.take(now), Ok(()));
        }
        assert!(rate.take(now).is_err());
    }
}
