//! Seeds of random tests: printed always, replayed with `SEALGATE_SEED`.

use std::env;

use rand::{SeedableRng as _, rngs::StdRng};

/// The seed of this run of the named test.
#[must_use]
pub fn seed(test: &str) -> u64 {
    let seed = env::var("SEALGATE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("{test}: SEALGATE_SEED={seed}");
    seed
}

/// A generator from a seed.
#[must_use]
pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Whether the long mode was asked for.
#[must_use]
pub fn long() -> bool {
    env::var("SEALGATE_LONG").is_ok_and(|value| value == "1")
}
