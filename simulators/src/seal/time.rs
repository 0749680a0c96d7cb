//! What time a seal believes it is.
//!
//! Its crystal drifts; its real-time clock may say anything; only a signed time (lease, receipt) counts for rights. The
//! high-water mark in flash keeps an estimate from ever going back, and is never above the newest signed time or
//! what ticks have added to it.

use sealgate_codec::record::ClockQuality;

/// Ticks and times of one power cycle.
#[derive(Debug, Clone, Copy)]
pub(super) struct SealTime {
    started_at: u64,
    drift_ppm: i32,
    signed: Option<Signed>,
}

#[derive(Debug, Clone, Copy)]
struct Signed {
    time_ms: u64,
    at_tick: u64,
}

impl SealTime {
    pub(super) fn start(now: u64, drift_ppm: i32) -> Self {
        Self {
            started_at: now,
            drift_ppm,
            signed: None,
        }
    }

    /// Milliseconds since power-on by the seal's own crystal.
    pub(super) fn ticks(&self, now: u64) -> u64 {
        let elapsed = i128::from(now.saturating_sub(self.started_at));
        let drifted = elapsed + elapsed * i128::from(self.drift_ppm) / 1_000_000;
        u64::try_from(drifted).unwrap_or(0)
    }

    pub(super) fn uptime_s(&self, now: u64) -> u32 {
        u32::try_from(self.ticks(now) / 1_000).unwrap_or(u32::MAX)
    }

    /// A signed time arrived. A later one wins: an older one can only be a delayed message.
    pub(super) fn learn(&mut self, signed_s: u32, now: u64) {
        let time_ms = u64::from(signed_s) * 1_000;
        if self.secure_ms(now).is_none_or(|known| time_ms > known) {
            self.signed = Some(Signed {
                time_ms,
                at_tick: self.ticks(now),
            });
        }
    }

    /// Secure unix milliseconds, if a signed time arrived in this power cycle.
    pub(super) fn secure_ms(&self, now: u64) -> Option<u64> {
        let signed = self.signed?;
        let since = self.ticks(now).saturating_sub(signed.at_tick);
        Some(signed.time_ms.saturating_add(since))
    }

    pub(super) fn secure_s(&self, now: u64) -> Option<u32> {
        self.secure_ms(now).map(to_seconds)
    }

    /// The best the seal can write on a record: its wall clock and how much that is worth.
    pub(super) fn wall(&self, now: u64, rtc_ms: u64) -> (u32, ClockQuality) {
        match self.secure_ms(now) {
            Some(secure) => (to_seconds(secure), ClockQuality::Secure),
            None => (to_seconds(rtc_ms), ClockQuality::Kept),
        }
    }
}

pub(super) fn to_seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drifting_crystal_counts_too_fast() {
        let time = SealTime::start(1_000, 100);
        assert_eq!(time.ticks(1_000 + 10_000_000), 10_001_000);
    }

    #[test]
    fn an_older_signed_time_moves_nothing() {
        let mut time = SealTime::start(0, 0);
        time.learn(1_000, 500);
        time.learn(900, 600);
        assert_eq!(time.secure_s(1_500), Some(1_001));
    }

    #[test]
    fn without_a_signed_time_there_is_no_secure_time() {
        let time = SealTime::start(0, 0);
        assert_eq!(time.secure_ms(9_999), None);
        assert_eq!(time.wall(9_999, 7_000).0, 7);
    }
}
