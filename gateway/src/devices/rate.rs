//! A token bucket. Over the limit a session stops reading, which slows the sender; nothing is dropped.

use std::time::Duration;

/// Messages allowed: so many a second, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Messages a second, at least 1.
    pub per_second: u32,
    /// Messages at once, at least 1.
    pub burst: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            per_second: 50,
            burst: 200,
        }
    }
}

impl Rate {
    /// Nanoseconds one message costs.
    fn cost(self) -> u64 {
        1_000_000_000 / u64::from(self.per_second.max(1))
    }

    fn capacity(self) -> u64 {
        self.cost().saturating_mul(u64::from(self.burst.max(1)))
    }
}

/// The bucket of one session, counted in nanoseconds of credit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    credit: u64,
    filled: Duration,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn full(rate: Rate, now: Duration) -> Self {
        Self {
            credit: rate.capacity(),
            filled: now,
        }
    }

    /// Takes one message's worth, on credit if need be; then says how long reading must pause to pay for it.
    pub(super) fn take(&mut self, rate: Rate, now: Duration) -> Option<Duration> {
        let gained = now.saturating_sub(self.filled).as_nanos();
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        self.credit = self.credit.saturating_add(gained).min(rate.capacity());
        self.filled = self.filled.max(now);
        if let Some(left) = self.credit.checked_sub(rate.cost()) {
            self.credit = left;
            return None;
        }
        let missing = Duration::from_nanos(rate.cost() - self.credit);
        self.credit = 0;
        self.filled += missing;
        Some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_message_waits_for_its_share() {
        let rate = Rate::default();
        let mut bucket = Bucket::full(rate, Duration::ZERO);
        for _ in 0..200 {
            assert_eq!(bucket.take(rate, Duration::ZERO), None);
        }
        let share = Duration::from_millis(20);
        assert_eq!(bucket.take(rate, Duration::ZERO), Some(share));
        assert_eq!(bucket.take(rate, share), Some(share));
    }

    #[test]
    fn over_a_minute_no_more_passes_than_allowed() {
        let rate = Rate::default();
        let mut bucket = Bucket::full(rate, Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut taken = 0;
        while now < Duration::from_secs(60) {
            now += bucket.take(rate, now).unwrap_or_default();
            taken += 1;
        }
        assert_eq!(taken, 200 + 60 * 50);
    }

    #[test]
    fn idleness_saves_no_more_than_a_burst() {
        let rate = Rate {
            per_second: 10,
            burst: 3,
        };
        let mut bucket = Bucket::full(rate, Duration::ZERO);
        let later = Duration::from_secs(3600);
        let passed = (0..10)
            .filter(|_| bucket.take(rate, later).is_none())
            .count();
        assert_eq!(passed, 3);
    }
}
