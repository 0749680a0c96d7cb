//! Group commit: what many sessions hand in shares one transaction, and nobody hears an answer before its commit.
//!
//! Two stages, each at work while the other is: what arrived together is proven together (signatures), what is proven
//! together is committed together. Neither waits for company: it takes what came while it was busy. That one bad part
//! harms no other is the transaction's business; a fault of the store answers all with [`Fault::Store`], after which
//! nothing may be acknowledged.

use std::{collections::VecDeque, future::Future, sync::Arc};

use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use crate::{clock::SharedClock, tasks, telemetry::Metrics};

/// Why a part was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The database failed: nothing is known to be stored, the sender must send again.
    Store,
    /// This very content cannot be stored: sending again does not help.
    Data,
    /// It is not signed by the device. Nothing of it was looked at.
    Forged,
}

/// What runs the transaction.
pub(super) trait Commit: Send + Sync + 'static {
    /// What one session hands in.
    type Part: Send + 'static;
    /// What it hears back.
    type Outcome: Send + 'static;

    /// Rows in a part, for the size of a transaction.
    fn rows(part: &Self::Part) -> usize;

    /// Which parts are signed by their devices, in their order.
    fn proven(parts: &[&Self::Part]) -> Vec<bool>;

    /// One transaction over all parts; outcomes in their order.
    fn commit(
        &self,
        parts: Vec<Self::Part>,
    ) -> impl Future<Output = Result<Vec<Self::Outcome>, Fault>> + Send;
}

struct Waiting<C: Commit> {
    part: C::Part,
    reply: oneshot::Sender<Result<C::Outcome, Fault>>,
}

/// The way into the group commit.
pub(super) struct Ingest<C: Commit> {
    sender: mpsc::Sender<Waiting<C>>,
}

impl<C: Commit> Clone for Ingest<C> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

/// How an answer will arrive. An error of the receiver means the committer is gone: treat it as [`Fault::Store`].
pub(super) type Answer<C> = oneshot::Receiver<Result<<C as Commit>::Outcome, Fault>>;

impl<C: Commit> Ingest<C> {
    /// Starts the committer.
    pub(super) fn start(
        commit: C,
        limits: Limits,
        clock: SharedClock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (sender, arrived) = mpsc::channel(limits.queue.max(1));
        let (proven, receiver) = mpsc::channel(limits.rows.max(1));
        let committer = Committer {
            commit,
            limits,
            clock,
            metrics,
            receiver,
            carried: VecDeque::new(),
        };
        // They end when the last session and the host are gone.
        tasks::spawn("prove", prove(arrived, proven, limits.rows));
        tasks::spawn("ingest", committer.run());
        Self { sender }
    }

    /// Hands in a part. The order of one caller is kept. Gives it back while there is no room; `None` when the
    /// committer is gone.
    pub(super) fn try_submit(&self, part: C::Part) -> Result<Answer<C>, Option<C::Part>> {
        match self.sender.try_reserve() {
            Ok(room) => {
                let (reply, answer) = oneshot::channel();
                room.send(Waiting { part, reply });
                Ok(answer)
            }
            Err(TrySendError::Full(())) => Err(Some(part)),
            Err(TrySendError::Closed(())) => Err(None),
        }
    }

    /// Waits until there was room; another may take it first.
    pub(super) async fn room(&self) {
        // A committer that is gone is noticed by the next `try_submit`.
        let _ = self.sender.reserve().await;
    }
}

/// Sizes of the group commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Parts that may wait.
    pub(super) queue: usize,
    /// Most rows of one transaction.
    pub(super) rows: usize,
}

/// The first stage: what is not signed by its device goes no further.
async fn prove<C: Commit>(
    mut arrived: mpsc::Receiver<Waiting<C>>,
    proven: mpsc::Sender<Waiting<C>>,
    most: usize,
) {
    loop {
        let mut batch = Vec::new();
        if arrived.recv_many(&mut batch, most.max(1)).await == 0 {
            return;
        }
        // A panic loses the batch: its senders hear that nothing was stored.
        let Some(examined) = examine(batch).await else {
            continue;
        };
        for (waiting, holds) in examined {
            if !holds {
                // A session that ended meanwhile does not need its answer.
                let _ = waiting.reply.send(Err(Fault::Forged));
            } else if proven.send(waiting).await.is_err() {
                return;
            }
        }
    }
}

async fn examine<C: Commit>(batch: Vec<Waiting<C>>) -> Option<Vec<(Waiting<C>, bool)>> {
    let work = move || {
        let parts: Vec<_> = batch.iter().map(|waiting| &waiting.part).collect();
        let held = C::proven(&parts);
        batch.into_iter().zip(held).collect()
    };
    tasks::compute("prove", work).await
}

struct Committer<C: Commit> {
    commit: C,
    limits: Limits,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    receiver: mpsc::Receiver<Waiting<C>>,
    carried: VecDeque<Waiting<C>>,
}

impl<C: Commit> Committer<C> {
    async fn run(mut self) {
        let mut arrived = Vec::new();
        loop {
            if self.carried.is_empty()
                && self
                    .receiver
                    .recv_many(&mut arrived, self.limits.rows)
                    .await
                    == 0
            {
                return;
            }
            self.carried.extend(arrived.drain(..));
            while self.carried.len() < self.limits.rows {
                let Ok(more) = self.receiver.try_recv() else {
                    break;
                };
                self.carried.push_back(more);
            }
            let waiting = self.carried.len() + self.receiver.len();
            let depth = i64::try_from(waiting).unwrap_or(i64::MAX);
            self.metrics.ingest_queue_depth.set(depth);
            let batch = self.next_batch();
            self.work(batch).await;
        }
    }

    /// As many parts as fit into one transaction, at least one.
    fn next_batch(&mut self) -> Vec<Waiting<C>> {
        let mut rows = 0;
        let mut batch = Vec::new();
        while let Some(next) = self.carried.front() {
            rows += C::rows(&next.part);
            if rows > self.limits.rows && !batch.is_empty() {
                break;
            }
            batch.extend(self.carried.pop_front());
        }
        batch
    }

    async fn work(&mut self, batch: Vec<Waiting<C>>) {
        let rows: usize = batch.iter().map(|waiting| C::rows(&waiting.part)).sum();
        let started = self.clock.monotonic();
        let (parts, replies): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.part, waiting.reply))
            .unzip();
        let result = self.commit.commit(parts).await;
        let took = self.clock.monotonic().saturating_sub(started);
        self.metrics.ingest_batch_rows.observe(rows as f64);
        self.metrics
            .ingest_commit_seconds
            .observe(took.as_secs_f64());
        // A session that ended meanwhile does not need its answer: the device asks again.
        match result {
            Ok(outcomes) => {
                self.count("committed");
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    let _ = reply.send(Ok(outcome));
                }
            }
            Err(fault) => {
                self.count("failed");
                for reply in replies {
                    let _ = reply.send(Err(fault));
                }
            }
        }
    }

    fn count(&self, result: &str) {
        self.metrics
            .ingest_batches
            .with_label_values(&[result])
            .inc();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use sealgate_domain::Millis;

    use super::*;
    use crate::clock::TestClock;

    /// Stores numbers; 99 breaks the store, 66 is a forgery.
    #[derive(Clone, Default)]
    struct Numbers {
        transactions: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Commit for Numbers {
        type Part = u32;
        type Outcome = u32;

        fn rows(_: &u32) -> usize {
            1
        }

        fn proven(parts: &[&u32]) -> Vec<bool> {
            parts.iter().map(|number| **number != 66).collect()
        }

        async fn commit(&self, numbers: Vec<u32>) -> Result<Vec<u32>, Fault> {
            tokio::task::yield_now().await;
            if numbers.contains(&99) {
                return Err(Fault::Store);
            }
            self.transactions.lock().unwrap().push(numbers.clone());
            Ok(numbers)
        }
    }

    fn start(rows: usize) -> (Ingest<Numbers>, Numbers) {
        let numbers = Numbers::default();
        let limits = Limits { queue: 1024, rows };
        let clock = Arc::new(TestClock::at(Millis(0)));
        let metrics = Arc::new(Metrics::new());
        let ingest = Ingest::start(numbers.clone(), limits, clock, metrics);
        (ingest, numbers)
    }

    async fn submit_all(ingest: &Ingest<Numbers>, numbers: &[u32]) -> Vec<Result<u32, Fault>> {
        let mut answers = Vec::new();
        for number in numbers {
            answers.push(ingest.try_submit(*number).unwrap());
        }
        let mut results = Vec::new();
        for answer in answers {
            results.push(answer.await.unwrap());
        }
        results
    }

    #[tokio::test]
    async fn what_waits_together_is_committed_together_in_order_and_within_the_limit() {
        let (ingest, numbers) = start(4);
        let wanted: Vec<u32> = (0..10).collect();
        let results = submit_all(&ingest, &wanted).await;
        assert!(results.iter().all(Result::is_ok));
        let transactions = numbers.transactions.lock().unwrap().clone();
        assert_eq!(transactions.concat(), wanted);
        assert!(transactions.len() < 10, "{transactions:?}");
        assert!(transactions.iter().all(|batch| batch.len() <= 4));
    }

    #[tokio::test]
    async fn a_forgery_is_refused_and_those_that_came_with_it_are_stored() {
        let (ingest, numbers) = start(512);
        let results = submit_all(&ingest, &[1, 66, 2]).await;
        assert_eq!(results, [Ok(1), Err(Fault::Forged), Ok(2)]);
        assert_eq!(numbers.transactions.lock().unwrap().concat(), [1, 2]);
    }

    #[tokio::test]
    async fn a_broken_store_acknowledges_nothing() {
        let (ingest, numbers) = start(512);
        let results = submit_all(&ingest, &[1, 99, 2]).await;
        assert_eq!(results, [Err(Fault::Store); 3]);
        assert!(numbers.transactions.lock().unwrap().is_empty());
    }
}
