//! Seals that stamp without pause while a test breaks something; afterwards everything must be on record, once.
//!
//! What happened is taken from the seals' own memory, what is on record from the API.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng};
use sealgate_simulators::{
    fleet::Fleet,
    net::{LinkFault, SealHandle},
    seal::{Input, Press},
};
use tokio::task::JoinHandle;

use crate::{
    seed,
    world::{World, see},
};

/// Seals at work.
#[derive(Debug)]
pub struct Storm {
    fleet: Fleet,
    stop: Arc<AtomicBool>,
    stampers: Vec<JoinHandle<()>>,
}

impl Storm {
    /// Binds the seals at these places, grants each an unlimited use, and lets them stamp. Some send everything twice.
    ///
    /// # Panics
    /// A seal is not ready in time.
    pub async fn begin(world: &World, places: &[usize], seed: u64) -> Self {
        let mut rng = seed::rng(seed);
        let fleet = world.fleet(places, seed);
        for seal in fleet.seals() {
            world.ready(seal, 0, false).await;
            let twice = LinkFault::Duplicate(rng.random());
            seal.fault(twice).await.expect("a seal");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stampers = fleet
            .seals()
            .iter()
            .map(|seal| {
                let stamping = stamp(seal.clone(), Arc::clone(&stop), seed::rng(rng.random()));
                sealgate::tasks::spawn("stamper", stamping)
            })
            .collect();
        Self {
            fleet,
            stop,
            stampers,
        }
    }

    /// The seals.
    #[must_use]
    pub fn seals(&self) -> &[SealHandle] {
        self.fleet.seals()
    }

    /// About half of the seals start afresh and call at once; the others come back after their backoff.
    ///
    /// # Panics
    /// A seal is gone.
    pub async fn shake(&self, rng: &mut StdRng) {
        for seal in self.seals() {
            if rng.random() {
                afresh(seal).await;
            }
        }
    }

    /// Waits until the gateway has stored more than it had.
    pub async fn passes(&self, world: &World) {
        let stored = || world.api.metric("sealgate_stamps_stored_total");
        let before = stored().await;
        crate::wait::until("stamps are stored", || async {
            (stored().await > before).then_some(())
        })
        .await;
    }

    /// Lets everything come in and compares; says how often was pressed.
    ///
    /// # Panics
    /// Something is lost, doubled or misclassified.
    pub async fn ends_well(self, world: &World) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for stamper in self.stampers {
            stamper.await.expect("no panic");
        }
        let mut presses = 0;
        for seal in self.fleet.seals() {
            settle(world, seal).await;
            let truth = seal.truth().await.expect("a seal");
            presses += truth.presses.len();
            world.agrees_with(&truth).await;
        }
        presses
    }
}

async fn stamp(seal: SealHandle, stop: Arc<AtomicBool>, mut rng: StdRng) {
    while !stop.load(Ordering::Relaxed) {
        let _ = seal.press(Press::proper()).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..120))).await;
    }
}

/// A fresh start calls at once instead of after the backoff.
///
/// # Panics
/// The seal is gone.
pub async fn afresh(seal: &SealHandle) {
    seal.act(Input::Reset).await.expect("a seal");
    seal.power_on().await.expect("a seal");
}

/// Everything the seal has is acknowledged.
///
/// # Panics
/// The seal is gone, or it does not get through.
pub async fn settle(world: &World, seal: &SealHandle) {
    let once = LinkFault::Duplicate(false);
    seal.fault(once).await.expect("a seal");
    afresh(seal).await;
    see(seal, "online", |view| view.online).await;
    world.drained(seal).await;
}
