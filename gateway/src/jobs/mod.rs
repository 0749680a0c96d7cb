//! Reconcilers: compare wanted with actual, take no input, may run twice.
//!
//! A poke only makes a round come sooner; the database says what there is to do. A round that fails is counted and
//! tried again; a round that panics ends itself and nothing else. Whatever is done outward (a signature asked for, a
//! message sent) is done before the row that says so, so a crash repeats it and never drops it.

mod commands;
mod fleet;
mod free_use;
mod key_set;
mod notices;
mod outbox;
mod reconcile;
mod retention;
mod signer;
#[cfg(test)]
mod tests;
mod ticket;
mod trouble;
mod wal;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{App, AppError},
    bus::Bus,
    config::CommandsConfig,
    devices::Devices,
    signer::SharedSigner,
    tasks,
    telemetry::Metrics,
};

use trouble::Trouble;

/// Wait after a failed round.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What background work works with.
#[derive(Clone)]
pub struct Parts {
    /// Use cases.
    pub app: App,
    /// Live sessions of this node.
    pub devices: Devices,
    /// Signs tickets.
    pub signer: SharedSigner,
    /// Committed events go there; none when the bus is off.
    pub bus: Option<Bus>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Name of this node.
    pub node: String,
    /// Periods.
    pub commands: CommandsConfig,
}

/// The running jobs.
#[derive(Debug)]
pub struct Jobs {
    stop: CancellationToken,
    running: TaskTracker,
}

impl Jobs {
    /// Starts all of them.
    #[must_use]
    pub fn start(parts: &Parts) -> Self {
        let jobs = Self {
            stop: CancellationToken::new(),
            running: TaskTracker::new(),
        };
        let wake = &parts.app.wake;
        let poll = parts.commands.poll();
        let woken = |name, wake: &Arc<Notify>, period| Beat {
            name,
            wake: Some(Arc::clone(wake)),
            period,
        };
        let timed = |name, period| Beat {
            name,
            wake: None,
            period,
        };
        jobs.run(
            parts,
            woken("commands", &wake.commands, poll),
            commands::round,
        );
        jobs.run(parts, timed("claims", poll), commands::claim);
        jobs.run(parts, woken("outbox", &wake.outbox, poll), outbox::sequence);
        jobs.run(
            parts,
            woken("free_use", &wake.grants, free_use::PERIOD),
            free_use::round,
        );
        jobs.run(
            parts,
            timed("key_set", poll * key_set::POLLS),
            key_set::round,
        );
        jobs.run(
            parts,
            timed("reconcile", reconcile::PERIOD),
            reconcile::round,
        );
        jobs.run(
            parts,
            timed("retention", retention::PERIOD),
            retention::round,
        );
        jobs.run(parts, timed("signer", signer::PERIOD), signer::round);
        jobs.run(parts, timed("wal", wal::PERIOD), wal::round);
        jobs.follow(parts, "bus", outbox::publish);
        jobs.follow(parts, "notices", notices::send);
        jobs.follow(parts, "fleet", fleet::watch);
        jobs
    }

    /// A job that runs in rounds.
    fn run<F, Fut>(&self, parts: &Parts, beat: Beat, round: F)
    where
        F: Fn(Parts) -> Fut + Send + Sync + Copy + 'static,
        Fut: Future<Output = Result<(), AppError>> + Send + 'static,
    {
        let (parts, stop, name) = (parts.clone(), self.stop.clone(), beat.name);
        let job = async move {
            let mut trouble = Trouble::default();
            while !stop.is_cancelled() {
                let done = one(&parts, name, &mut trouble, round(parts.clone())).await;
                let pause = if done { beat.period } else { AFTER_FAILURE };
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = beat.woken(), if done => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        };
        tasks::spawn(name, self.running.track_future(job));
    }

    /// A job that follows something until told to stop; started anew when it fails.
    fn follow<F, Fut>(&self, parts: &Parts, name: &'static str, job: F)
    where
        F: Fn(Parts) -> Fut + Send + Sync + Copy + 'static,
        Fut: Future<Output = Result<(), AppError>> + Send + 'static,
    {
        let (parts, stop) = (parts.clone(), self.stop.clone());
        let kept = async move {
            let mut trouble = Trouble::default();
            while !stop.is_cancelled() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = one(&parts, name, &mut trouble, job(parts.clone())) => tokio::time::sleep(AFTER_FAILURE).await,
                }
            }
        };
        tasks::spawn(name, self.running.track_future(kept));
    }

    /// Lets running rounds end and waits for them.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}

/// When a job runs.
struct Beat {
    name: &'static str,
    wake: Option<Arc<Notify>>,
    period: Duration,
}

impl Beat {
    async fn woken(&self) {
        match &self.wake {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// One round in a task of its own, so that a panic ends nothing else. False when it failed. A job says that it fails when
/// it begins to, then at growing intervals, and when it works again; the metrics say it all the time.
async fn one<Fut>(parts: &Parts, name: &'static str, trouble: &mut Trouble, round: Fut) -> bool
where
    Fut: Future<Output = Result<(), AppError>> + Send + 'static,
{
    let task = tokio_util::task::AbortOnDropHandle::new(tasks::spawn(name, round));
    let ended = task.await;
    let (metrics, now) = (&parts.metrics, parts.app.clock.monotonic());
    let error = match ended {
        Ok(Ok(())) => {
            metrics.job_age_seconds.with_label_values(&[name]).set(0.0);
            metrics.job_failing.with_label_values(&[name]).set(0);
            if let Some(told) = trouble.over(now) {
                let (failures, seconds) = (told.failures, told.lasted.as_secs());
                tracing::info!(job = name, failures, seconds, "works again");
            }
            return true;
        }
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic.to_string(),
    };
    if let Some(told) = trouble.failed(now) {
        let (failures, seconds) = (told.failures, told.lasted.as_secs());
        tracing::warn!(
            job = name,
            error,
            failures,
            seconds,
            "a round failed and is tried again; it is told again at growing intervals"
        );
    }
    metrics.job_failing.with_label_values(&[name]).set(1);
    metrics.job_failures.with_label_values(&[name]).inc();
    false
}
