//! How long to wait before the next try: full jitter, so that boxes that lost the same gateway do not come back together.
//!
//! Constraints and invariants: a session that lived two minutes, or in which the gateway stored something, begins anew with
//! the shortest wait. What broke is tried again within a minute; what was refused, within a quarter of an hour.

use sealgate_codec::link::Millis;

const BASE: Millis = 1_000;
const LOST_CAP: Millis = 60_000;
const REFUSED_CAP: Millis = 900_000;
const LIVED: Millis = 120_000;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// No connection, or it broke.
    Lost,
    /// The gateway does not want this box now; with what it said about when to come again, in seconds.
    Refused(Option<u16>),
    /// The gateway asked to come again, maybe elsewhere.
    Drained,
}

/// Counts what failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after a session that lived so long. `random` is from 0 to 1.
    pub fn after(&mut self, end: End, lived: Millis, progress: bool, random: f64) -> Millis {
        if lived >= LIVED || progress {
            self.failures = 0;
        }
        let cap = match end {
            End::Lost | End::Drained => LOST_CAP,
            End::Refused(_) => REFUSED_CAP,
        };
        let doubled = BASE.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let jitter = share(doubled.min(cap), random);
        match end {
            // The gateway knows better, and others were told the same.
            End::Refused(Some(retry)) => {
                let told = (Millis::from(retry) * 1000).min(REFUSED_CAP);
                told + share(told / 4 + BASE, random)
            }
            // A refusal does not go away in milliseconds.
            End::Refused(None) => jitter.max(BASE),
            End::Lost | End::Drained => jitter,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "below a million milliseconds, times a number from 0 to 1"
)]
fn share(of: Millis, random: f64) -> Millis {
    (of as f64 * random.clamp(0.0, 1.0)) as Millis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_caps_and_begin_anew_after_a_good_session() {
        let mut backoff = Backoff::default();
        let lost: Vec<Millis> = (0..9)
            .map(|_| backoff.after(End::Lost, 0, false, 1.0))
            .collect();
        assert_eq!(
            lost,
            [
                1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000
            ]
        );
        let refused = End::Refused(None);
        assert_eq!(backoff.after(refused, 0, false, 1.0), 512_000);
        assert_eq!(backoff.after(refused, 0, false, 1.0), 900_000);
        assert_eq!(backoff.after(refused, 0, false, 0.0), 1_000);
        assert_eq!(backoff.after(End::Lost, 120_000, false, 1.0), 1_000);
        backoff.after(End::Lost, 0, false, 1.0);
        assert_eq!(backoff.after(End::Lost, 5, true, 1.0), 1_000);
    }

    #[test]
    fn the_gateway_s_wish_is_kept_and_spread() {
        let mut backoff = Backoff::default();
        let told = End::Refused(Some(60));
        assert_eq!(backoff.after(told, 0, false, 0.0), 60_000);
        assert_eq!(backoff.after(told, 0, false, 1.0), 76_000);
        let absurd = End::Refused(Some(u16::MAX));
        assert!(backoff.after(absurd, 0, false, 1.0) <= 1_200_000);
    }

    #[test]
    fn jitter_is_full() {
        let mut backoff = Backoff { failures: 6 };
        assert_eq!(backoff.after(End::Lost, 0, false, 0.5), 30_000);
        assert_eq!(backoff.after(End::Lost, 0, false, 0.0), 0);
    }
}
