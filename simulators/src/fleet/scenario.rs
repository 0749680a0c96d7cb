//! What the people around the seals do.
//!
//! A day is compressed into the run's duration; the gaps between the presses of a burst are not, for the device and
//! the platform tell quick presses from others.

use std::{str::FromStr, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    net::{LinkFault, SealGone, SealHandle},
    seal::{Input, Press},
    tasks,
};

/// A kind of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Everybody comes at nine, stamps in bursts, eats, stamps again and leaves.
    OfficeDay,
    /// Turned on and left alone.
    Idle,
    /// One press a second from everybody.
    Stamps,
    /// An office day with broken links, cut power and messages sent twice.
    Faults,
}

impl Scenario {
    /// All of them, by name.
    pub const NAMES: [&'static str; 4] = ["office-day", "idle", "stamps", "faults"];
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "office-day" => Ok(Self::OfficeDay),
            "idle" => Ok(Self::Idle),
            "stamps" => Ok(Self::Stamps),
            "faults" => Ok(Self::Faults),
            other => Err(format!(
                "no scenario {other:?}; there are {}",
                Self::NAMES.join(", ")
            )),
        }
    }
}

/// Lets every seal live through `scenario` once.
pub async fn play(seals: &[SealHandle], scenario: Scenario, day: Duration, seed: u64) {
    let people: Vec<_> = seals
        .iter()
        .enumerate()
        .map(|(place, seal)| {
            let person = Person {
                seal: seal.clone(),
                rng: StdRng::seed_from_u64(seed.rotate_left(17) ^ place as u64),
                begun: Instant::now(),
                day,
            };
            tasks::spawn("person", person.live(scenario))
        })
        .collect();
    for person in people {
        // A seal that stopped early has nobody to wait for.
        let _ = person.await;
    }
}

struct Person {
    seal: SealHandle,
    rng: StdRng,
    begun: Instant,
    day: Duration,
}

impl Person {
    async fn live(mut self, scenario: Scenario) -> Result<(), SealGone> {
        match scenario {
            Scenario::OfficeDay => self.office(false).await,
            Scenario::Faults => self.office(true).await,
            Scenario::Idle => {
                self.arrive(0.1).await?;
                sleep_until(self.begun + self.day).await;
                Ok(())
            }
            Scenario::Stamps => {
                self.arrive(0.1).await?;
                while self.begun.elapsed() < self.day {
                    self.stamp().await?;
                    sleep(Duration::from_secs(1)).await;
                }
                Ok(())
            }
        }
    }

    async fn until(&self, share: f64) {
        sleep_until(self.begun + self.day.mul_f64(share)).await;
    }

    async fn arrive(&mut self, within: f64) -> Result<(), SealGone> {
        let share = self.rng.random_range(0.0..within);
        self.until(share).await;
        self.seal.power_on().await
    }

    async fn office(&mut self, faulty: bool) -> Result<(), SealGone> {
        self.arrive(0.1).await?;
        let bursts = self.rng.random_range(2..=6);
        let mut moments: Vec<f64> = (0..bursts)
            .map(|_| {
                let share = self.rng.random_range(0.14..0.78);
                if share > 0.44 { share + 0.1 } else { share }
            })
            .collect();
        moments.sort_by(f64::total_cmp);
        for moment in moments {
            self.until(moment).await;
            if faulty {
                self.mishap().await?;
            }
            self.burst().await?;
        }
        let leaving = self.rng.random_range(0.9..0.97);
        self.until(leaving).await;
        self.seal.power_off().await
    }

    async fn burst(&mut self) -> Result<(), SealGone> {
        for _ in 0..self.rng.random_range(1..=6) {
            self.stamp().await?;
            sleep(Duration::from_millis(self.rng.random_range(250..1_600))).await;
        }
        Ok(())
    }

    async fn stamp(&mut self) -> Result<(), SealGone> {
        let press = Press {
            stretched: true,
            ..Press::default()
        };
        self.seal.press(press).await.map(drop)
    }

    async fn mishap(&mut self) -> Result<(), SealGone> {
        match self.rng.random_range(0..6) {
            0 => self.seal.fault(LinkFault::Drop).await,
            1 => {
                self.seal.fault(LinkFault::Cut).await?;
                self.burst().await?;
                self.seal.fault(LinkFault::Restore).await
            }
            2 => {
                self.stamp().await?;
                self.seal.cut_power().await?;
                self.seal.power_on().await
            }
            3 => self.seal.fault(LinkFault::Duplicate(true)).await,
            4 => self.seal.act(Input::Keys(3)).await.map(drop),
            _ => Ok(()),
        }
    }
}
