//! The HTTP listener: bounded connections, and an end for whoever connects and says nothing.
//!
//! A place is always sought for whoever comes next: when the last one is taken, one idle connection is closed for it.

mod connection;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ServerError, settings::address};
use crate::{config::Config, tasks};

/// Longest wait for the whole head of a request, the first of a connection or the next one.
const HEAD: Duration = Duration::from_secs(10);
/// Pause after the system had no socket for us.
const PAUSE: Duration = Duration::from_millis(100);

/// What a client may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    connections: usize,
    head: Duration,
    idle: Duration,
}

impl Limits {
    /// As the settings say.
    pub(super) fn of(config: &Config) -> Self {
        let most = Semaphore::MAX_PERMITS;
        Self {
            connections: config.http.max_connections.clamp(1, most),
            head: HEAD,
            idle: Duration::from_millis(config.http.keep_alive_ms),
        }
    }
}

/// Places for connections.
struct Places {
    free: Arc<Semaphore>,
    /// Tells an idle connection that its place is wanted.
    wanted: Arc<Notify>,
}
/// Listens, but does not answer yet.
pub(super) async fn bind(config: &Config) -> Result<TcpListener, ServerError> {
    let listen = address(&config.http.listen)?;
    TcpListener::bind(listen)
        .await
        .map_err(|source| ServerError::Listen {
            address: listen.to_string(),
            source,
        })
}

/// Where it listens.
pub(super) fn local(listener: &TcpListener) -> Result<SocketAddr, ServerError> {
    listener
        .local_addr()
        .map_err(|error| ServerError::Failed(error.to_string()))
}

/// Answers until `stop`; requests under way are finished.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let places = Places {
        free: Arc::new(Semaphore::new(limits.connections)),
        wanted: Arc::new(Notify::new()),
    };
    let open = TaskTracker::new();
    while let Some((socket, place)) = accept(&listener, &places, &stop).await {
        let wanted = Arc::clone(&places.wanted);
        let answered = connection::answer(socket, router.clone(), limits, wanted, stop.clone());
        let connection = async move {
            answered.await;
            drop(place);
        };
        tasks::spawn("http_connection", open.track_future(connection));
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// The next connection, once there is a place for it; none when it is time to stop.
async fn accept(
    listener: &TcpListener,
    places: &Places,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let next = async {
        let place = match Arc::clone(&places.free).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                places.wanted.notify_one();
                let place = Arc::clone(&places.free).acquire_owned().await;
                place.expect("the semaphore is never closed")
            }
        };
        loop {
            match listener.accept().await {
                Ok((socket, _)) => return (socket, place),
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        next = next => Some(next),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    use super::*;

    /// A test that waits longer has failed.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Longer than any test.
    const LONG: u64 = 600_000;
    const ASK: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn start(
        connections: usize,
        head_ms: u64,
        idle_ms: u64,
    ) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let limits = Limits {
            connections,
            head: Duration::from_millis(head_ms),
            idle: Duration::from_millis(idle_ms),
        };
        let router = Router::new().route("/", get(|| async { "hello" }));
        tasks::spawn("http", serve(listener, router, limits, stop.clone()));
        (address, stop)
    }

    async fn say(address: SocketAddr, text: &str) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        socket
    }

    /// Reads one whole answer and keeps the connection.
    async fn hear(socket: &mut TcpStream) {
        let mut heard = Vec::new();
        while !heard.ends_with(b"hello") {
            let read = timeout(PATIENCE, socket.read_buf(&mut heard)).await;
            assert_ne!(read.expect("in time").unwrap(), 0, "closed");
        }
    }

    /// What comes until the other side closes.
    async fn rest(mut socket: TcpStream) -> String {
        let mut all = Vec::new();
        let read = timeout(PATIENCE, socket.read_to_end(&mut all)).await;
        // A reset is an end as good as any.
        let _ = read.expect("closed in time");
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn whoever_never_ends_the_head_of_a_request_is_closed() {
        let (address, _stop) = start(8, 100, LONG).await;
        for text in ["", "GET / HTTP/1.1\r\nhost: x\r\n"] {
            let told = rest(say(address, text).await).await;
            assert!(!told.contains("hello"), "{told}");
        }
    }

    #[tokio::test]
    async fn whoever_is_slow_with_a_second_request_is_closed_too() {
        let (address, _stop) = start(8, 100, LONG).await;
        let mut kept = say(address, ASK).await;
        hear(&mut kept).await;
        kept.write_all(b"GET / HT").await.unwrap();
        assert_eq!(rest(kept).await, "");
    }

    #[tokio::test]
    async fn a_connection_that_is_kept_alive_in_silence_is_closed_in_its_own_time() {
        let (address, _stop) = start(8, LONG, 100).await;
        let told = rest(say(address, ASK).await).await;
        assert!(told.ends_with("hello"), "{told}");
    }

    #[tokio::test]
    async fn a_connection_between_two_requests_may_be_silent_longer_than_a_head() {
        let (address, _stop) = start(8, 100, LONG).await;
        let mut kept = say(address, ASK).await;
        hear(&mut kept).await;
        // Another one, silent from now on, is closed for its head before this one goes on.
        rest(say(address, "").await).await;
        kept.write_all(ASK.as_bytes()).await.unwrap();
        hear(&mut kept).await;
    }

    #[tokio::test]
    async fn an_idle_connection_gives_its_place_to_whoever_comes() {
        let (address, _stop) = start(2, LONG, LONG).await;
        let mut idle = Vec::new();
        // Nobody leaves by himself, and twice as many come as there are places.
        for _ in 0..4 {
            let mut socket = say(address, ASK).await;
            hear(&mut socket).await;
            idle.push(socket);
        }
    }

    #[tokio::test]
    async fn a_stop_waits_for_nobody_who_says_nothing() {
        let (address, stop) = start(8, LONG, LONG).await;
        let silent = say(address, "").await;
        let slow = say(address, "GET / HT").await;
        let mut idle = say(address, ASK).await;
        hear(&mut idle).await;
        stop.cancel();
        assert_eq!(rest(idle).await, "");
        assert_eq!(rest(silent).await, "");
        assert_eq!(rest(slow).await, "");
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_its_turn() {
        let (address, _stop) = start(1, LONG, LONG).await;
        let first = say(address, "GET").await;
        let ask = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let mut second = say(address, ask).await;
        let mut byte = [0];
        let early = timeout(Duration::from_millis(200), second.read(&mut byte)).await;
        assert!(early.is_err(), "nothing is answered yet");
        drop(first);
        assert!(rest(second).await.ends_with("hello"));
    }
}
