//! When to call the platform again: full jitter over a doubling ceiling.
//!
//! The ceiling starts over only after a session that lived or got something done; an accepted connection alone proves
//! nothing, for a platform in trouble accepts and drops.

use rand::{Rng as _, rngs::StdRng};

const BASE_MS: u64 = 5_000;
const CAP_LOST_MS: u64 = 60_000;
const CAP_REFUSED_MS: u64 = 900_000;

/// How long a session must live to count as a good one.
pub const GOOD_LIFE_MS: u64 = 120_000;

/// Why the last attempt or session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// No answer, or the link broke.
    Lost,
    /// The platform said no.
    Refused,
}

/// Attempts since the last good session.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The session was good.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Milliseconds to wait before the next attempt, at least `hint_ms` when the platform asked for it.
    pub fn next(&mut self, ended: Ended, hint_ms: u64, rng: &mut StdRng) -> u64 {
        let cap = match ended {
            Ended::Lost => CAP_LOST_MS,
            Ended::Refused => CAP_REFUSED_MS,
        };
        let ceiling = BASE_MS
            .saturating_mul(1_u64 << self.attempts.min(20))
            .min(cap);
        self.attempts = self.attempts.saturating_add(1);
        rng.random_range(0..=ceiling).max(hint_ms)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn the_wait_stays_under_its_cap_and_grows() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..40)
            .map(|_| backoff.next(Ended::Lost, 0, &mut rng))
            .collect();
        assert!(waits[0] <= BASE_MS);
        assert!(waits.iter().all(|wait| *wait <= CAP_LOST_MS));
        assert!(waits.iter().any(|wait| *wait > BASE_MS));
    }

    #[test]
    fn a_refusal_may_wait_longer_than_a_lost_link() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff { attempts: 30 };
        let longest = (0..200)
            .map(|_| backoff.next(Ended::Refused, 0, &mut rng))
            .max();
        assert!(longest > Some(CAP_LOST_MS));
    }

    #[test]
    fn the_platforms_hint_is_obeyed() {
        let mut rng = StdRng::seed_from_u64(7);
        let wait = Backoff::default().next(Ended::Refused, 30_000, &mut rng);
        assert!(wait >= 30_000);
    }
}
