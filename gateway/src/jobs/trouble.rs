//! What a job that fails says: once when it begins, then at growing intervals, and once when it works again.
//!
//! A job may fail every second for days; what it has to say is one change of state.

use std::time::Duration;

/// Silence after the first word; doubles each time.
const FIRST: Duration = Duration::from_secs(30);
/// It is never silent longer.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Whether a job is in trouble, and what was said of it.
#[derive(Debug, Default)]
pub(super) struct Trouble(Option<Since>);

#[derive(Debug, Clone, Copy)]
struct Since {
    began: Duration,
    failures: u64,
    /// When something is to be said again.
    due: Duration,
    silence: Duration,
}

/// Something that is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// Failures since it began.
    pub(super) failures: u64,
    /// How long that is ago.
    pub(super) lasted: Duration,
}

impl Trouble {
    /// A round failed at this monotonic time.
    pub(super) fn failed(&mut self, now: Duration) -> Option<Told> {
        let since = self.0.get_or_insert(Since {
            began: now,
            failures: 0,
            due: now,
            silence: FIRST,
        });
        since.failures += 1;
        if now < since.due {
            return None;
        }
        since.due = now + since.silence;
        since.silence = (since.silence * 2).min(LONGEST);
        Some(since.told(now))
    }

    /// A round succeeded; what to say if one had failed before.
    pub(super) fn over(&mut self, now: Duration) -> Option<Told> {
        self.0.take().map(|since| since.told(now))
    }
}

impl Since {
    fn told(&self, now: Duration) -> Told {
        Told {
            failures: self.failures,
            lasted: now.saturating_sub(self.began),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_job_that_fails_every_second_speaks_at_growing_intervals() {
        let mut trouble = Trouble::default();
        let said: Vec<u64> = (0..2_000)
            .filter(|second| trouble.failed(at(*second)).is_some())
            .collect();
        assert_eq!(said, [0, 30, 90, 210, 450, 930, 1_890]);
        let over = trouble.over(at(2_000)).unwrap();
        assert_eq!((over.failures, over.lasted), (2_000, at(2_000)));
    }

    #[test]
    fn a_job_that_works_says_nothing_and_speaks_at_once_when_it_fails_anew() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.over(at(1)), None);
        assert!(trouble.failed(at(2)).is_some());
        assert!(trouble.over(at(3)).is_some());
        assert_eq!(trouble.over(at(4)), None);
        assert!(trouble.failed(at(5)).is_some());
    }

    #[test]
    fn no_silence_is_longer_than_an_hour() {
        let mut trouble = Trouble::default();
        let week = 7 * 24 * 3_600;
        let said: Vec<u64> = (0..week)
            .filter(|second| trouble.failed(at(*second)).is_some())
            .collect();
        let longest = said.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert_eq!(longest, Some(3_600));
    }
}
