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

    /// Takes one message's worth, or says how long to wait before reading on.
    pub(super) fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let gained = now.saturating_sub(self.filled).as_nanos();
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        self.credit = self.credit.saturating_add(gained).min(rate.capacity());
        self.filled = self.filled.max(now);
        match self.credit.checked_sub(rate.cost()) {
            Some(left) => {
                self.credit = left;
                Ok(())
            }
            None => Err(Duration::from_nanos(rate.cost() - self.credit)),
        }
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
            assert_eq!(bucket.take(rate, Duration::ZERO), Ok(()));
        }
        let wait = bucket.take(rate, Duration::ZERO).unwrap_err();
        assert_eq!(wait, Duration::from_millis(20));
        assert_eq!(bucket.take(rate, wait), Ok(()));
        assert!(bucket.take(rate, wait).is_err());
    }

    #[test]
    fn idleness_saves_no_more_than_a_burst() {
        let rate = Rate {
            per_second: 10,
            burst: 3,
        };
        let mut bucket = Bucket::full(rate, Duration::ZERO);
        let later = Duration::from_secs(3600);
        let passed = (0..10).filter(|_| bucket.take(rate, later).is_ok()).count();
        assert_eq!(passed, 3);
    }
}
