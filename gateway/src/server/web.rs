//! The HTTP listener: bounded connections, and a time-out for whoever connects and says nothing.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
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
}

impl Limits {
    /// As the settings say.
    pub(super) fn of(config: &Config) -> Self {
        let most = Semaphore::MAX_PERMITS;
        Self {
            connections: config.http.max_connections.clamp(1, most),
            head: HEAD,
        }
    }
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
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    while let Some((socket, place)) = accept(&listener, &places, &stop).await {
        let answered = answer(socket, router.clone(), limits, stop.clone());
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
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let next = async {
        let place = Arc::clone(places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
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

async fn answer(socket: TcpStream, router: Router, limits: Limits, stop: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended");
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

    async fn start(connections: usize, head_ms: u64) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let limits = Limits {
            connections,
            head: Duration::from_millis(head_ms),
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
        let (address, _stop) = start(8, 100).await;
        for text in ["", "GET / HTTP/1.1\r\nhost: x\r\n"] {
            let told = rest(say(address, text).await).await;
            assert!(!told.contains("hello"), "{told}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_kept_alive_in_silence_is_closed() {
        let (address, _stop) = start(8, 100).await;
        let told = rest(say(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
        assert!(told.ends_with("hello"), "{told}");
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_its_turn() {
        let (address, _stop) = start(1, 60_000).await;
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
