//! The gateway's end of the signer's socket.
//!
//! Requests are pipelined over one connection; at most `in_flight` wait at once, later callers wait for a place and
//! give up at the time limit. A lost connection fails what was under way with [`SignerError::Unreachable`] (asking
//! again is harmless: signing changes nothing) and is made anew by the next request, not more often than every
//! [`BACKOFF`]. There is one writer (the driver) and one reader a connection, so neither can block the other.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    io::AsyncWriteExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Answers, Purpose, Refused, SignRequest, Signer, SignerError,
    wire::{FrameReader, MAX_PAYLOAD, MAX_PAYLOADS, Reply, Request, VERSION, WireError},
};
use crate::{clock::SharedClock, config::SignerConfig, tasks, telemetry::Metrics};

/// Rest between two attempts to connect.
const BACKOFF: Duration = Duration::from_millis(100);

/// A signer in another process.
#[derive(Debug)]
pub struct Client {
    queue: mpsc::Sender<Waiting>,
    places: Arc<Semaphore>,
    limit: Duration,
    metrics: Arc<Metrics>,
    clock: SharedClock,
}

/// A request on its way, with who waits for it.
#[derive(Debug)]
struct Waiting {
    what: What,
    answer: oneshot::Sender<Result<Reply, SignerError>>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum What {
    Sign(Vec<SignRequest>),
    KeySet,
}

type Pending = Arc<Mutex<HashMap<u32, Waiting>>>;

impl Client {
    /// A client of the signer at `socket`. It connects when first asked; nothing is sent before.
    #[must_use]
    pub fn new(
        socket: PathBuf,
        config: &SignerConfig,
        clock: SharedClock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (queue, requests) = mpsc::channel(config.in_flight);
        let driver = Driver {
            socket,
            requests,
            metrics: Arc::clone(&metrics),
            limit: Duration::from_millis(config.timeout_ms),
        };
        tasks::spawn("signer-client", driver.run());
        Self {
            queue,
            places: Arc::new(Semaphore::new(config.in_flight)),
            limit: Duration::from_millis(config.timeout_ms),
            metrics,
            clock,
        }
    }

    async fn ask(&self, what: What) -> Result<Reply, SignerError> {
        let asked = async {
            let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
            let (answer, answered) = oneshot::channel();
            let waiting = Waiting {
                what,
                answer,
                _place: place,
            };
            self.queue.send(waiting).await.ok()?;
            answered.await.ok()
        };
        match timeout(self.limit, asked).await {
            Ok(Some(reply)) => reply,
            Ok(None) => Err(SignerError::Unreachable(
                "the client has stopped".to_owned(),
            )),
            Err(_) if self.places.available_permits() == 0 => Err(SignerError::Busy),
            Err(_) => Err(SignerError::Timeout),
        }
    }

    async fn sign_chunk(&self, requests: Vec<SignRequest>) -> Result<Answers, SignerError> {
        let count = requests.len();
        match self.ask(What::Sign(requests)).await? {
            Reply::Signed(_, answers) if answers.len() == count => Ok(answers),
            _ => Err(SignerError::Protocol(
                "an answer to another question".to_owned(),
            )),
        }
    }

    async fn sign_all(&self, requests: Vec<SignRequest>) -> Result<Answers, SignerError> {
        let purposes: Vec<Purpose> = requests.iter().map(|request| request.purpose).collect();
        let began = self.clock.monotonic();
        let result = self.sign_fitting(requests).await;
        let took = self.clock.monotonic().saturating_sub(began).as_secs_f64();
        for (at, purpose) in purposes.iter().enumerate() {
            let label = match &result {
                Ok(answers) if answers[at].is_ok() => "signed",
                Ok(_) => "refused",
                Err(_) => "failed",
            };
            let payloads = &self.metrics.signer_payloads;
            payloads.with_label_values(&[purpose.as_str(), label]).inc();
        }
        if let Some(first) = purposes.first() {
            let seconds = &self.metrics.signer_seconds;
            seconds.with_label_values(&[first.as_str()]).observe(took);
        }
        result
    }

    /// Too large payloads are answered here; they would cost the whole connection.
    async fn sign_fitting(&self, requests: Vec<SignRequest>) -> Result<Answers, SignerError> {
        let mut answers: Answers = vec![Err(Refused::Malformed); requests.len()];
        let fitting: Vec<usize> = (0..requests.len())
            .filter(|at| requests[*at].payload.len() <= MAX_PAYLOAD)
            .collect();
        for places in fitting.chunks(MAX_PAYLOADS) {
            let chunk = places.iter().map(|at| requests[*at].clone()).collect();
            let signed = self.sign_chunk(chunk).await?;
            for (at, answer) in places.iter().zip(signed) {
                answers[*at] = answer;
            }
        }
        Ok(answers)
    }
}

impl Signer for Client {
    fn sign(&self, requests: Vec<SignRequest>) -> BoxFuture<'_, Result<Answers, SignerError>> {
        Box::pin(self.sign_all(requests))
    }

    fn key_set(&self) -> BoxFuture<'_, Result<Vec<u8>, SignerError>> {
        Box::pin(async {
            match self.ask(What::KeySet).await? {
                Reply::KeySet(_, bytes) => Ok(bytes),
                _ => Err(SignerError::Protocol(
                    "an answer to another question".to_owned(),
                )),
            }
        })
    }
}

/// Owns the connection.
struct Driver {
    socket: PathBuf,
    requests: mpsc::Receiver<Waiting>,
    metrics: Arc<Metrics>,
    limit: Duration,
}

impl Driver {
    async fn run(mut self) {
        while let Some(first) = self.requests.recv().await {
            match timeout(self.limit, self.connect()).await {
                Ok(Ok(connection)) => {
                    self.metrics.signer_up.set(1);
                    self.serve(connection, first).await;
                    self.metrics.signer_up.set(0);
                }
                Ok(Err(error)) => self.refuse(first, &error.to_string()).await,
                Err(_) => self.refuse(first, "no greeting in time").await,
            }
        }
    }

    async fn refuse(&self, waiting: Waiting, reason: &str) {
        // Every request that finds no signer: whoever asked says it once.
        tracing::debug!(socket = %self.socket.display(), reason, "the signer cannot be reached");
        let error = SignerError::Unreachable(format!("{}: {reason}", self.socket.display()));
        // Nobody waits any more: then nobody needs the answer.
        let _ = waiting.answer.send(Err(error));
        sleep(BACKOFF).await;
    }

    async fn connect(&self) -> Result<(FrameReader<OwnedReadHalf>, OwnedWriteHalf), WireError> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (read, mut write) = stream.into_split();
        let mut reader = FrameReader::new(read);
        write.write_all(&Request::Greeting(VERSION).frame()).await?;
        let greeting = reader.next().await?.ok_or(WireError::Malformed)?;
        match Reply::parse(&greeting)? {
            Reply::Greeting(VERSION) => Ok((reader, write)),
            Reply::Greeting(other) => Err(WireError::Version(other)),
            _ => Err(WireError::Malformed),
        }
    }

    /// Writes requests until the connection is lost; leaves nobody waiting.
    async fn serve(
        &mut self,
        connection: (FrameReader<OwnedReadHalf>, OwnedWriteHalf),
        first: Waiting,
    ) {
        let (reader, mut write) = connection;
        let pending = Pending::default();
        let lost = CancellationToken::new();
        let reading = tasks::spawn(
            "signer-replies",
            read_replies(reader, Arc::clone(&pending), lost.clone()),
        );
        let mut next = Some(first);
        let mut id = 0u32;
        loop {
            let waiting = match next.take() {
                Some(waiting) => waiting,
                None => tokio::select! {
                    biased;
                    () = lost.cancelled() => break,
                    waiting = self.requests.recv() => match waiting {
                        Some(waiting) => waiting,
                        None => break,
                    },
                },
            };
            id = id.wrapping_add(1);
            let frame = waiting.what.frame(id);
            locked(&pending).insert(id, waiting);
            let written = tokio::select! {
                biased;
                () = lost.cancelled() => break,
                written = timeout(self.limit, write.write_all(&frame)) => written,
            };
            if !matches!(written, Ok(Ok(()))) {
                break;
            }
        }
        reading.abort();
        fail_all(&pending);
    }
}

impl What {
    fn frame(&self, id: u32) -> Vec<u8> {
        match self {
            Self::Sign(requests) => Request::Sign(id, requests.clone()).frame(),
            Self::KeySet => Request::KeySet(id).frame(),
        }
    }
}

async fn read_replies(
    mut reader: FrameReader<OwnedReadHalf>,
    pending: Pending,
    lost: CancellationToken,
) {
    let _guard = lost.drop_guard();
    let error = loop {
        let reply = match reader.next().await {
            Ok(Some(frame)) => match Reply::parse(&frame) {
                Ok(reply) => reply,
                Err(error) => break error.to_string(),
            },
            Ok(None) => break "the signer closed the connection".to_owned(),
            Err(error) => break error.to_string(),
        };
        // An answer nobody waits for came after its time limit.
        if let Some(waiting) = reply.id().and_then(|id| locked(&pending).remove(&id)) {
            let _ = waiting.answer.send(Ok(reply));
        }
    };
    tracing::warn!(error, "connection to the signer lost");
}

fn fail_all(pending: &Pending) {
    let waiting: Vec<Waiting> = locked(pending)
        .drain()
        .map(|(_, waiting)| waiting)
        .collect();
    for waiting in waiting {
        let error = SignerError::Unreachable("the connection was lost".to_owned());
        let _ = waiting.answer.send(Err(error));
    }
}

fn locked(pending: &Pending) -> std::sync::MutexGuard<'_, HashMap<u32, Waiting>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
