//! Store and forward: what seals said and the gateway has not stored yet.
//!
//! Constraints and invariants:
//! - Append and commit come first, *received* to the seal second. A message is dropped only after the gateway's *stored*.
//! - A full queue refuses, counts and says so; it never drops what it took. What is small and rare (answers to commands,
//!   events) has a reserve that batches of records cannot use up.
//! - One connection on one thread behind a bounded channel. What waits in the channel is committed together; nobody waits
//!   for company.
//! - An I/O error fails the whole batch: nobody is told "received", seals send again.
//! - Numbers of messages and of links rise for ever, through restarts and power cuts.

mod file;
mod memory;
mod sqlite;
mod store;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sealgate_codec::{DeviceId, edge::QueueState};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;

pub use memory::MemoryStore;
pub use sqlite::SqliteStore;
pub use store::{Backlog, Done, OVERHEAD, Op, QueueError, Queued, Store};

/// Requests that may wait for the queue's thread.
const WAITING: usize = 512;
/// Changes committed together, at most.
const BATCH: usize = 256;

enum Request {
    Change(Op, oneshot::Sender<Result<Done, QueueError>>),
    Read {
        dev: DeviceId,
        after: u64,
        bytes: usize,
        answer: oneshot::Sender<Result<Vec<Queued>, QueueError>>,
    },
    Backlogs(oneshot::Sender<Result<Vec<(DeviceId, Backlog)>, QueueError>>),
    Get(String, oneshot::Sender<Result<Option<Vec<u8>>, QueueError>>),
    State(oneshot::Sender<QueueState>),
}

/// The queue, as everybody uses it. Cheap to clone; its thread ends, after its last commit, with the last clone.
#[derive(Debug, Clone)]
pub struct Queue {
    requests: mpsc::Sender<Request>,
    /// Commits that failed since the start.
    failures: watch::Receiver<u64>,
    ended: watch::Receiver<bool>,
}

impl Queue {
    /// Starts a thread over this storage.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(store: impl Store, clock: Clock) -> Result<Self, QueueError> {
        let (requests, incoming) = mpsc::channel(WAITING);
        let (failed, failures) = watch::channel(0);
        let (end, ended) = watch::channel(false);
        std::thread::Builder::new()
            .name("queue".to_owned())
            .spawn(move || {
                Worker {
                    store,
                    clock,
                    incoming,
                    failed,
                }
                .run();
                end.send_replace(true);
            })
            .map_err(|error| QueueError::Io(error.to_string()))?;
        Ok(Self {
            requests,
            failures,
            ended,
        })
    }

    /// Opens the file and starts.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub fn open(file: &Path, limit: u64, clock: Clock) -> Result<Self, QueueError> {
        Self::start(SqliteStore::open(file, limit)?, clock)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, QueueError> {
        let (answer, answered) = oneshot::channel();
        self.requests
            .send(request(answer))
            .await
            .map_err(|_| QueueError::Ended)?;
        answered.await.map_err(|_| QueueError::Ended)
    }

    async fn change(&self, op: Op) -> Result<Done, QueueError> {
        self.ask(|answer| Request::Change(op, answer)).await?
    }

    /// Takes a message. When this returns a number, the message survives a power cut. `None`: the queue is full.
    ///
    /// # Errors
    /// The message is not stored.
    pub async fn append(
        &self,
        dev: DeviceId,
        term: u32,
        body: Vec<u8>,
        reserve: bool,
    ) -> Result<Option<u64>, QueueError> {
        let op = Op::Append {
            dev,
            term,
            body,
            reserve,
        };
        match self.change(op).await? {
            Done::At(pos) => Ok(Some(pos)),
            _ => Ok(None),
        }
    }

    /// Drops what the gateway has.
    ///
    /// # Errors
    /// Nothing was dropped.
    pub async fn stored(&self, dev: DeviceId, upto: u64) -> Result<(), QueueError> {
        self.change(Op::Stored { dev, upto }).await.map(|_| ())
    }

    /// The number of a new link to this seal.
    ///
    /// # Errors
    /// There is none; no link may be opened.
    pub async fn next_term(&self, dev: DeviceId) -> Result<u32, QueueError> {
        match self.change(Op::Term { dev }).await? {
            Done::Term(term) => Ok(term),
            _ => Err(QueueError::Ended),
        }
    }

    /// Keeps something under a name.
    ///
    /// # Errors
    /// It is not kept.
    pub async fn put(&self, name: &'static str, value: Vec<u8>) -> Result<(), QueueError> {
        self.change(Op::Put { name, value }).await.map(|_| ())
    }

    /// What is kept under a name.
    ///
    /// # Errors
    /// Reading failed.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, QueueError> {
        let name = name.to_owned();
        self.ask(|answer| Request::Get(name, answer)).await?
    }

    /// Messages of a seal behind `after`, in order.
    ///
    /// # Errors
    /// Reading failed.
    pub async fn read(
        &self,
        dev: DeviceId,
        after: u64,
        bytes: usize,
    ) -> Result<Vec<Queued>, QueueError> {
        self.ask(|answer| Request::Read {
            dev,
            after,
            bytes,
            answer,
        })
        .await?
    }

    /// Every seal that has anything here.
    ///
    /// # Errors
    /// Reading failed.
    pub async fn backlogs(&self) -> Result<Vec<(DeviceId, Backlog)>, QueueError> {
        self.ask(Request::Backlogs).await?
    }

    /// How full it is.
    ///
    /// # Errors
    /// The queue has ended.
    pub async fn state(&self) -> Result<QueueState, QueueError> {
        self.ask(Request::State).await
    }

    /// Commits that failed since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        *self.failures.borrow()
    }

    /// Gives up this handle and waits until the thread, without handles, has ended.
    pub async fn close(self) {
        let Self {
            requests,
            mut ended,
            ..
        } = self;
        drop(requests);
        // An error: the thread is gone, which is the same.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

struct Worker<S> {
    store: S,
    clock: Clock,
    incoming: mpsc::Receiver<Request>,
    failed: watch::Sender<u64>,
}

impl<S: Store> Worker<S> {
    fn run(mut self) {
        let mut untidy = true;
        loop {
            // Tidying goes on while nobody asks.
            let next = if untidy {
                self.incoming.try_recv().ok()
            } else {
                self.incoming.blocking_recv()
            };
            match next {
                Some(request) => {
                    self.serve(request);
                    untidy = true;
                }
                None if untidy && !self.incoming.is_closed() => untidy = self.store.tidy(),
                None => match self.incoming.blocking_recv() {
                    Some(request) => self.serve(request),
                    None => return,
                },
            }
        }
    }

    /// Answers a request; a change together with all changes that wait right behind it.
    fn serve(&mut self, request: Request) {
        let mut ops = Vec::new();
        let mut answers = Vec::new();
        let mut next = Some(request);
        while let Some(request) = next.take() {
            match request {
                Request::Change(op, answer) => {
                    ops.push(op);
                    answers.push(answer);
                    if ops.len() < BATCH {
                        next = self.incoming.try_recv().ok();
                    }
                }
                other => {
                    self.commit(&mut ops, &mut answers);
                    self.look(other);
                }
            }
        }
        self.commit(&mut ops, &mut answers);
    }

    fn commit(
        &mut self,
        ops: &mut Vec<Op>,
        answers: &mut Vec<oneshot::Sender<Result<Done, QueueError>>>,
    ) {
        if ops.is_empty() {
            return;
        }
        match self.store.apply(ops, self.clock.unix_ms()) {
            Ok(done) => {
                for (answer, done) in answers.drain(..).zip(done) {
                    // Who asked may have gone; the commit stands.
                    let _ = answer.send(Ok(done));
                }
            }
            Err(error) => {
                tracing::error!(%error, changes = ops.len(), "a commit of the queue failed");
                self.failed.send_modify(|count| *count += 1);
                for answer in answers.drain(..) {
                    let _ = answer.send(Err(QueueError::Io(error.to_string())));
                }
            }
        }
        ops.clear();
    }

    fn look(&mut self, request: Request) {
        let now = self.clock.unix_ms();
        // Who asked may have gone; nothing depends on the answer then.
        match request {
            Request::Read {
                dev,
                after,
                bytes,
                answer,
            } => drop(answer.send(self.store.read(dev, after, bytes))),
            Request::Backlogs(answer) => drop(answer.send(self.store.backlogs())),
            Request::Get(name, answer) => drop(answer.send(self.store.get(&name))),
            Request::State(answer) => drop(answer.send(self.store.state(now))),
            Request::Change(..) => unreachable!("changes are committed by their batch"),
        }
    }
}

/// Opens the queue; a damaged file is set aside when that is wanted, and a fresh one begun. Seals keep every record until
/// the gateway's signed receipt, so what was in it comes again; the damaged file stays for whoever wants to look.
///
/// # Errors
/// See [`QueueError`].
pub fn open_or_set_aside(
    file: &Path,
    limit: u64,
    clock: &Clock,
    set_aside: bool,
) -> Result<(Queue, Option<PathBuf>), QueueError> {
    match Queue::open(file, limit, clock.clone()) {
        Err(error @ QueueError::Damaged { .. }) if set_aside => {
            tracing::error!(%error, "the queue is set aside");
            let aside = move_aside(file, clock.unix())
                .map_err(|io| QueueError::Io(format!("{}: {io}", file.display())))?;
            let queue = Queue::open(file, limit, clock.clone())?;
            Ok((queue, Some(aside)))
        }
        opened => Ok((opened?, None)),
    }
}

fn move_aside(file: &Path, now: u32) -> std::io::Result<PathBuf> {
    let named = |suffix: &str, end: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        name.push(end);
        PathBuf::from(name)
    };
    let aside = format!(".damaged-{now}");
    for end in ["-wal", "-shm", ""] {
        let from = named("", end);
        if from.exists() {
            std::fs::rename(&from, named(&aside, end))?;
        }
    }
    Ok(named(&aside, ""))
}
