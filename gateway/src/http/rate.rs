//! Rate limit per token: a bucket that fills steadily. Buckets that are full again are forgotten.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::config::HttpConfig;

/// Above this many buckets the full ones are dropped.
const SWEEP_ABOVE: usize = 1_024;

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

/// The buckets.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Limiter {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self {
            per_second: f64::from(config.token_rate.max(1)),
            burst: f64::from(config.token_burst.max(1)),
            buckets: Mutex::default(),
        }
    }

    fn refilled(&self, bucket: &Bucket, now: Duration) -> f64 {
        let gained = now.saturating_sub(bucket.at).as_secs_f64() * self.per_second;
        (bucket.left + gained).min(self.burst)
    }

    /// Takes one request of `who`, or says how long until the next is allowed.
    pub(crate) fn take(&self, who: &str, now: Duration) -> Result<(), Duration> {
        let full = self.burst;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > SWEEP_ABOVE {
            buckets.retain(|_, bucket| self.refilled(bucket, now) < full);
        }
        let fresh = Bucket {
            left: full,
            at: now,
        };
        let bucket = buckets.entry(who.to_owned()).or_insert(fresh);
        bucket.left = self.refilled(bucket, now);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (1.0 - bucket.left) / self.per_second,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_a_steady_rate() {
        let limiter = Limiter::new(&HttpConfig {
            token_rate: 2,
            token_burst: 3,
            ..HttpConfig::default()
        });
        let at = Duration::from_millis;
        for _ in 0..3 {
            assert!(limiter.take("a", at(0)).is_ok());
        }
        assert_eq!(limiter.take("a", at(0)), Err(at(500)));
        assert!(limiter.take("b", at(0)).is_ok(), "others are not touched");
        assert!(limiter.take("a", at(500)).is_ok());
        assert!(limiter.take("a", at(500)).is_err());
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let limiter = Limiter::new(&HttpConfig::default());
        for n in 0..SWEEP_ABOVE + 2 {
            limiter.take(&n.to_string(), Duration::ZERO).unwrap();
        }
        limiter.take("last", Duration::from_secs(60)).unwrap();
        assert_eq!(limiter.buckets.lock().unwrap().len(), 1);
    }
}
