//! People with ordinary work: a grant, a few documents at a time, lunch, some more, and home.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep, sleep_until};

use crate::cast::{Allowance, Cast};

/// One ordinary day at one seal, compressed into `day`.
pub(crate) async fn work(cast: Cast, day: Duration, seed: u64) -> anyhow::Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let begun = Instant::now();
    let count = if rng.random_bool(0.5) {
        0
    } else {
        rng.random_range(6..30)
    };
    let grant = cast.grant(Allowance::of(count)).await?;
    for part in [0.1, 0.3, 0.6, 0.85] {
        let share = part + rng.random_range(0.0..0.1);
        sleep_until(begun + day.mul_f64(share)).await;
        for _ in 0..rng.random_range(1..=6) {
            cast.press().await?;
            sleep(Duration::from_millis(rng.random_range(200..1_500))).await;
        }
    }
    sleep_until(begun + day).await;
    cast.until("online at the end of the day", |view| view.online)
        .await?;
    cast.end(&grant).await
}
