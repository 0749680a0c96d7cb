//! Group commit: what many sessions hand in shares one transaction, and nobody hears an answer before its commit.
//!
//! A batch never waits for company: the next transaction takes what arrived while the last one ran. A fault of the
//! data splits the transaction and each part is tried alone, so that one bad part harms no other; a fault of the
//! store answers all with [`Fault::Store`], after which nothing may be acknowledged.

use std::{collections::VecDeque, future::Future, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use crate::{clock::SharedClock, tasks, telemetry::Metrics};

/// Why a part was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The database failed: nothing is known to be stored, the sender must send again.
    Store,
    /// This very content cannot be stored: sending again does not help.
    Data,
}

/// What runs the transaction.
pub(super) trait Commit: Send + Sync + 'static {
    /// What one session hands in.
    type Part: Send + Sync + 'static;
    /// What it hears back.
    type Outcome: Send + 'static;

    /// Rows in a part, for the size of a transaction.
    fn rows(part: &Self::Part) -> usize;

    /// One transaction over all parts; outcomes in their order.
    fn commit(
        &self,
        parts: Vec<Arc<Self::Part>>,
    ) -> impl Future<Output = Result<Vec<Self::Outcome>, Fault>> + Send;
}

struct Waiting<C: Commit> {
    part: Arc<C::Part>,
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
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(limits.queue.max(1));
        let committer = Committer {
            commit,
            limits,
            clock,
            metrics,
            receiver,
            carried: VecDeque::new(),
        };
        (Self { sender }, tasks::spawn("ingest", committer.run()))
    }

    /// Hands in a part, waiting for room. The order of one caller is kept.
    pub(super) async fn submit(&self, part: C::Part) -> Result<Answer<C>, Fault> {
        let (reply, answer) = oneshot::channel();
        let part = Arc::new(part);
        match self.sender.send(Waiting { part, reply }).await {
            Ok(()) => Ok(answer),
            Err(_) => Err(Fault::Store),
        }
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

    async fn work(&self, batch: Vec<Waiting<C>>) {
        let rows: usize = batch.iter().map(|waiting| C::rows(&waiting.part)).sum();
        let started = self.clock.monotonic();
        let parts = batch.iter().map(|waiting| waiting.part.clone()).collect();
        let result = self.commit.commit(parts).await;
        let took = self.clock.monotonic().saturating_sub(started);
        self.metrics.ingest_batch_rows.observe(rows as f64);
        self.metrics
            .ingest_commit_seconds
            .observe(took.as_secs_f64());
        match result {
            Ok(outcomes) => {
                self.count("committed");
                for (waiting, outcome) in batch.into_iter().zip(outcomes) {
                    // A session that ended meanwhile does not need its answer: the device asks again.
                    let _ = waiting.reply.send(Ok(outcome));
                }
            }
            Err(Fault::Data) if batch.len() > 1 => {
                self.count("split");
                self.work_alone(batch).await;
            }
            Err(fault) => {
                self.count("failed");
                for waiting in batch {
                    let _ = waiting.reply.send(Err(fault));
                }
            }
        }
    }

    async fn work_alone(&self, batch: Vec<Waiting<C>>) {
        for waiting in batch {
            let result = self.commit.commit(vec![waiting.part]).await;
            if result.is_err() {
                self.count("failed");
            }
            let outcome =
                result.and_then(|outcomes| outcomes.into_iter().next().ok_or(Fault::Data));
            let _ = waiting.reply.send(outcome);
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

    /// Stores numbers; 13 cannot be stored, 99 breaks the store.
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

        async fn commit(&self, parts: Vec<Arc<u32>>) -> Result<Vec<u32>, Fault> {
            tokio::task::yield_now().await;
            let numbers: Vec<u32> = parts.iter().map(|part| **part).collect();
            if numbers.contains(&99) {
                return Err(Fault::Store);
            }
            if numbers.contains(&13) {
                return Err(Fault::Data);
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
        let (ingest, _) = Ingest::start(numbers.clone(), limits, clock, metrics);
        (ingest, numbers)
    }

    async fn submit_all(ingest: &Ingest<Numbers>, numbers: &[u32]) -> Vec<Result<u32, Fault>> {
        let mut answers = Vec::new();
        for number in numbers {
            answers.push(ingest.submit(*number).await.unwrap());
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
    async fn one_bad_part_harms_no_other() {
        let (ingest, _) = start(512);
        let results = submit_all(&ingest, &[1, 13, 2]).await;
        assert_eq!(results, [Ok(1), Err(Fault::Data), Ok(2)]);
    }

    #[tokio::test]
    async fn a_broken_store_acknowledges_nothing() {
        let (ingest, numbers) = start(512);
        let results = submit_all(&ingest, &[1, 99, 2]).await;
        assert_eq!(results, [Err(Fault::Store); 3]);
        assert!(numbers.transactions.lock().unwrap().is_empty());
    }
}
