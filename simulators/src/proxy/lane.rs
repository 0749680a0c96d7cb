//! One direction of a bad network. Time is an argument, counted from any fixed start; it must not go back.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// What a lane does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weather {
    /// Share of packets that vanish, 0 to 1.
    pub loss: f64,
    /// How long every packet is under way, in milliseconds.
    pub delay_ms: u32,
    /// Up to so many milliseconds more, drawn for each packet.
    pub jitter_ms: u32,
    /// Bits a second the lane carries; 0 for no limit.
    pub bits_per_second: u64,
    /// Bytes that may wait for their turn on a lane of limited speed; what comes on top is lost.
    pub backlog: usize,
    /// Whether jitter may change the order.
    pub reorder: bool,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            loss: 0.0,
            delay_ms: 0,
            jitter_ms: 0,
            bits_per_second: 0,
            backlog: 64 * 1024,
            reorder: false,
        }
    }
}

/// What became of an offered packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It comes out at that time.
    Due(Duration),
    /// Lost by chance.
    Lost,
    /// Lost because too much was waiting already.
    Overflow,
    /// Lost in an outage.
    Dark,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    due: Duration,
    serial: u64,
    packet: Bytes,
}

/// One direction.
#[derive(Debug)]
pub struct Lane {
    weather: Weather,
    rng: StdRng,
    flying: BinaryHeap<Reverse<Flying>>,
    serial: u64,
    line_free: Duration,
    last_due: Duration,
    dark_until: Duration,
}

impl Lane {
    /// An empty lane. Everything random comes from the seed.
    #[must_use]
    pub fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            rng: StdRng::seed_from_u64(seed),
            flying: BinaryHeap::new(),
            serial: 0,
            line_free: Duration::ZERO,
            last_due: Duration::ZERO,
            dark_until: Duration::ZERO,
        }
    }

    /// Changes the weather for packets to come.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Everything under way, and everything offered before `until`, is lost. A time that has passed ends an outage.
    pub fn darken(&mut self, until: Duration) {
        self.dark_until = until;
        self.flying.clear();
    }

    /// Takes a packet in.
    pub fn offer(&mut self, now: Duration, packet: Bytes) -> Fate {
        // The draws are made whatever becomes of the packet, so that an outage does not shift the fate of later ones.
        let lost = self.rng.random_bool(self.weather.loss.clamp(0.0, 1.0));
        let jitter = self.rng.random_range(0..=self.weather.jitter_ms);
        if now < self.dark_until {
            return Fate::Dark;
        }
        if lost {
            return Fate::Lost;
        }
        let Some(sent) = self.serialize(now, packet.len()) else {
            return Fate::Overflow;
        };
        let mut due =
            sent + Duration::from_millis(u64::from(self.weather.delay_ms) + u64::from(jitter));
        if !self.weather.reorder {
            due = due.max(self.last_due);
            self.last_due = due;
        }
        self.serial += 1;
        self.flying.push(Reverse(Flying {
            due,
            serial: self.serial,
            packet,
        }));
        Fate::Due(due)
    }

    /// When the last bit of a packet of that length leaves; `None` when the backlog is full.
    fn serialize(&mut self, now: Duration, length: usize) -> Option<Duration> {
        let speed = self.weather.bits_per_second;
        if speed == 0 {
            return Some(now);
        }
        let takes = |bytes: usize| -> Duration {
            let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
            Duration::from_nanos(bits.saturating_mul(1_000_000_000) / speed)
        };
        let free = self.line_free.max(now);
        if free - now > takes(self.weather.backlog) {
            return None;
        }
        self.line_free = free + takes(length);
        Some(self.line_free)
    }

    /// When the next packet comes out.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.flying.peek().map(|Reverse(flying)| flying.due)
    }

    /// The next packet that is due.
    pub fn take(&mut self, now: Duration) -> Option<Bytes> {
        if self.next_due()? > now {
            return None;
        }
        self.flying.pop().map(|Reverse(flying)| flying.packet)
    }
}
