//! What tools on the same machine can ask: a socket for `status` and `scan`, a loopback page for scrapers.
//!
//! Constraints and invariants: nothing here changes anything; requests are short, few at a time, and not waited for long.

use std::{
    net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use crate::{
    agent::Ask,
    metrics::Metrics,
    report::{NearbyView, Report},
    tasks,
};

/// Requests served at a time.
const AT_ONCE: usize = 8;
/// How long a request may take to be said, and an answer to be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest request line; longest head of an HTTP request.
const LINE: u64 = 64;
const HEAD: u64 = 4096;
/// Longest answer a tool reads.
const ANSWER: u64 = 16 << 20;
/// Longest scan in seconds.
pub const LONGEST_SCAN: u8 = 120;

/// Listens on the socket; who may open the file may ask.
///
/// # Errors
/// Another agent listens there, or the file cannot be made.
pub async fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        let why = format!("{}: another agent is running", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, why));
    }
    // Left behind by an agent that was killed.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers on the socket until the agent is gone.
pub async fn serve(listener: UnixListener, asks: mpsc::Sender<Ask>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the local socket");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
            () = asks.closed() => return,
        };
        let asks = asks.clone();
        tasks::spawn("local", async move {
            if let Err(error) = answer(stream, &asks).await {
                tracing::debug!(%error, "a local request");
            }
            drop(place);
        });
    }
}

async fn answer(mut stream: UnixStream, asks: &mpsc::Sender<Ask>) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(&mut stream).take(LINE);
    timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let mut words = line.split_whitespace();
    let json = match (words.next(), words.next()) {
        (Some("report"), None) => to_json(ask(asks, Ask::Report).await),
        (Some("scan"), Some(seconds)) => match seconds.parse() {
            Ok(seconds @ 1..=LONGEST_SCAN) => {
                to_json(ask(asks, |answer| Ask::Scan(seconds, answer)).await)
            }
            _ => error("a scan takes 1 to 120 seconds"),
        },
        _ => error("report, or scan and seconds"),
    };
    timeout(PATIENCE, stream.write_all(json.as_bytes())).await??;
    stream.shutdown().await
}

fn to_json<T: serde::Serialize>(answer: Option<T>) -> String {
    match answer {
        Some(answer) => serde_json::to_string(&answer).unwrap_or_else(|e| error(&e.to_string())),
        None => error("the agent is stopping"),
    }
}

fn error(why: &str) -> String {
    serde_json::json!({ "error": why }).to_string()
}

async fn ask<T>(
    asks: &mpsc::Sender<Ask>,
    make: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    asks.send(make(answer)).await.ok()?;
    answered.await.ok()
}

/// Asks the agent that listens there.
///
/// # Errors
/// No agent runs, or it does not answer.
async fn request(path: &Path, line: &str, wait: Duration) -> anyhow::Result<String> {
    use anyhow::Context as _;
    let mut stream = UnixStream::connect(path)
        .await
        .with_context(|| format!("{}: no agent is running", path.display()))?;
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut text = String::new();
    timeout(wait, stream.take(ANSWER).read_to_string(&mut text))
        .await
        .context("the agent does not answer")??;
    let error: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    if let Some(why) = error.as_ref().and_then(|v| v.get("error")?.as_str()) {
        anyhow::bail!("{why}");
    }
    Ok(text)
}

/// How the running agent is.
///
/// # Errors
/// No agent runs, or it does not answer.
pub async fn report(path: &Path) -> anyhow::Result<Report> {
    let text = request(path, "report", PATIENCE).await?;
    Ok(serde_json::from_str(&text)?)
}

/// What the running agent hears in so many seconds.
///
/// # Errors
/// No agent runs, or it does not answer.
pub async fn scan(path: &Path, seconds: u8) -> anyhow::Result<Vec<NearbyView>> {
    let wait = PATIENCE + Duration::from_secs(u64::from(seconds));
    let text = request(path, &format!("scan {seconds}"), wait).await?;
    Ok(serde_json::from_str(&text)?)
}

/// Serves `/metrics` until the agent is gone.
pub async fn serve_metrics(listener: TcpListener, asks: mpsc::Sender<Ask>, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
            () = asks.closed() => return,
        };
        let (asks, metrics) = (asks.clone(), Arc::clone(&metrics));
        tasks::spawn("metrics", async move {
            if let Err(error) = page(stream, &asks, &metrics).await {
                tracing::debug!(%error, "a scraper");
            }
            drop(place);
        });
    }
}

async fn page(
    mut stream: TcpStream,
    asks: &mpsc::Sender<Ask>,
    metrics: &Metrics,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut reader = BufReader::new(&mut stream).take(HEAD);
    loop {
        let length = timeout(PATIENCE, reader.read_until(b'\n', &mut head)).await??;
        if length <= 2 {
            break;
        }
    }
    let first = String::from_utf8_lossy(&head);
    let first = first.lines().next().unwrap_or_default();
    let (status, body) = if first.starts_with("GET /metrics ") {
        match ask(asks, Ask::Report).await {
            Some(report) => ("200 OK", metrics.text(&report)),
            None => ("503 Service Unavailable", String::new()),
        }
    } else {
        ("404 Not Found", "only /metrics\n".to_owned())
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    timeout(PATIENCE, stream.write_all(answer.as_bytes())).await??;
    stream.shutdown().await
}

/// Metrics are for this machine.
///
/// # Errors
/// Not an address, not a loopback one, or taken.
pub async fn bind_metrics(listen: &str) -> anyhow::Result<TcpListener> {
    let address: SocketAddr = listen.parse()?;
    anyhow::ensure!(
        address.ip().is_loopback(),
        "{listen}: not a loopback address"
    );
    Ok(TcpListener::bind(address).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that answers scans with nothing and drops other questions.
    fn nobody() -> mpsc::Sender<Ask> {
        let (asks, mut asked) = mpsc::channel(4);
        tasks::spawn("agent", async move {
            while let Some(ask) = asked.recv().await {
                if let Ask::Scan(_, answer) = ask {
                    answer.send(Vec::new()).unwrap();
                }
            }
        });
        asks
    }

    #[tokio::test]
    async fn a_second_agent_on_the_same_socket_is_refused_and_a_leftover_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        drop(bind(&path).await.unwrap());
        assert!(path.exists(), "left behind");
        let listener = bind(&path).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        tasks::spawn("local", serve(listener, nobody()));
        let error = bind(&path).await.unwrap_err();
        assert!(error.to_string().contains("another agent"), "{error}");
    }

    #[tokio::test]
    async fn bad_questions_get_an_answer_and_good_ones_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let error = report(&path).await.unwrap_err();
        assert!(error.to_string().contains("no agent is running"), "{error}");
        let listener = bind(&path).await.unwrap();
        tasks::spawn("local", serve(listener, nobody()));
        assert_eq!(scan(&path, 1).await.unwrap(), Vec::new());
        assert!(scan(&path, 121).await.is_err());
        for line in ["", "reboot", "report now", &"x".repeat(500)] {
            let error = request(&path, line, PATIENCE).await.unwrap_err();
            assert!(
                error.to_string().contains("report, or scan"),
                "{line}: {error}"
            );
        }
        let error = report(&path).await.unwrap_err();
        assert!(error.to_string().contains("stopping"), "{error}");
    }

    #[tokio::test]
    async fn metrics_are_on_loopback_only_and_nothing_else_is_there() {
        assert!(bind_metrics("0.0.0.0:0").await.is_err());
        assert!(bind_metrics("gateway:1").await.is_err());
        let listener = bind_metrics("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = serve_metrics(listener, nobody(), Arc::new(Metrics::new()));
        tasks::spawn("metrics", served);
        for (path, status) in [("/metrics", "503"), ("/", "404"), ("/metricsx", "404")] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
    }
}
