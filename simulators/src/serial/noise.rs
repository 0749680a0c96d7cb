//! What a bad line does to bytes; the same seed does the same to the same bytes.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// How bad the line is. Each share is a chance a byte, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// One bit of the byte is turned over.
    pub flip: f64,
    /// The byte is lost.
    pub lose: f64,
    /// A random byte comes before it.
    pub insert: f64,
}

/// Draws the noise.
#[derive(Debug)]
pub struct NoisySource {
    noise: Noise,
    rng: StdRng,
}

impl NoisySource {
    /// From a seed.
    #[must_use]
    pub fn new(noise: Noise, seed: u64) -> Self {
        Self {
            noise,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Another line from here on.
    pub fn set(&mut self, noise: Noise) {
        self.noise = noise;
    }

    /// What arrives of these bytes.
    pub fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.noise == Noise::default() {
            return bytes.to_vec();
        }
        let mut out = Vec::with_capacity(bytes.len() + 4);
        for byte in bytes {
            if self.chance(self.noise.insert) {
                out.push(self.rng.random());
            }
            if self.chance(self.noise.lose) {
                continue;
            }
            let flipped = if self.chance(self.noise.flip) {
                byte ^ (1 << self.rng.random_range(0..8))
            } else {
                *byte
            };
            out.push(flipped);
        }
        out
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share.clamp(0.0, 1.0))
    }
}
