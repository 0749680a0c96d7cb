//! A signer that is away: the metrics say so until it is back, and what was ordered meanwhile goes out then.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::BoxFuture;

use super::world::World;
use crate::{
    app::order::Order,
    signer::{Answers, SharedSigner, SignRequest, Signer, SignerError},
};

/// A signer behind a door.
struct Door {
    open: AtomicBool,
    signer: SharedSigner,
}

impl Door {
    fn check(&self) -> Result<(), SignerError> {
        match self.open.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(SignerError::Unreachable("the door is shut".to_owned())),
        }
    }
}

impl Signer for Door {
    fn sign(&self, requests: Vec<SignRequest>) -> BoxFuture<'_, Result<Answers, SignerError>> {
        Box::pin(async move {
            self.check()?;
            self.signer.sign(requests).await
        })
    }

    fn key_set(&self) -> BoxFuture<'_, Result<Vec<u8>, SignerError>> {
        Box::pin(async move {
            self.check()?;
            self.signer.key_set().await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_say_that_the_signer_is_away_and_when_it_is_back() {
    let door = Arc::new(Door {
        open: AtomicBool::new(false),
        signer: World::one_key(),
    });
    let world = World::signed_by(door.clone(), |_| {}).await;
    let seal = world.bound_seal(1).await;
    let order = world.order(&seal, Order::Lock {}).await;
    let failing = |job: &str| world.metrics.job_failing.with_label_values(&[job]).get();
    let jobs = ["signer", "commands", "key_set"];
    let all = |value: i64| jobs.iter().all(|job| failing(job) == value);
    world.eventually("the jobs fail", || async { all(1) }).await;
    assert_eq!(world.metrics.signer_up.get(), 0);
    assert!(world.command(&order).await.ticket.is_none());
    door.open.store(true, Ordering::SeqCst);
    world
        .eventually("the jobs work again", || async { all(0) })
        .await;
    assert_eq!(world.metrics.signer_up.get(), 1);
    let signed = || async { world.command(&order).await.ticket.is_some() };
    world.eventually("the lock is signed", signed).await;
}
