//! What goes wrong on the way: bodies that stall, handlers that panic or fail, over real sockets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{http::StatusCode, response::IntoResponse, routing::post};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    super::{Api, problem::Problem, router::with_nouns},
    World,
};
use crate::{config::HttpConfig, tasks, telemetry::Metrics};

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The interface over these nouns, on a socket.
async fn served(world: &World, nouns: OpenApiRouter<Api>, config: HttpConfig) -> SocketAddr {
    let api = Api::new(world.app.clone(), Arc::new(Metrics::new()), config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = with_nouns(nouns, api);
    tasks::spawn("http", async move {
        axum::serve(listener, router).await.unwrap();
    });
    address
}

/// Sends a head and perhaps a part of the body; reads what comes until the other side closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer))
        .await
        .expect("an answer in time")
        .unwrap();
    answer
}

/// A POST that announces `length` bytes and sends `body`.
fn posting(world: &World, path: &str, key: Option<&str>, length: usize, body: &str) -> String {
    let token = &world.admin;
    let key = key.map_or(String::new(), |key| format!("idempotency-key: {key}\r\n"));
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\n{key}content-length: {length}\r\n\r\n{body}"
    )
}

#[track_caller]
fn refused(answer: &str, status: u16, code: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    assert!(
        answer.contains("content-type: application/problem+json"),
        "{answer}"
    );
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["code"], code);
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let world = World::new().await;
    let config = HttpConfig {
        body_timeout_ms: 100,
        ..HttpConfig::default()
    };
    let nouns = OpenApiRouter::new().route("/echo", post(|| async { StatusCode::NO_CONTENT }));
    let address = served(&world, nouns, config).await;
    let stalled = posting(&world, "/api/v1/echo", None, 10, "{");
    refused(&exchange(address, &stalled).await, 408, "request_timeout");
    let whole = posting(&world, "/api/v1/echo", None, 2, "{}");
    let answer = exchange(address, &whole).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

async fn faulty() -> StatusCode {
    panic!("a fault of ours")
}

#[tokio::test]
async fn a_handler_that_panics_is_a_problem_of_its_request_only() {
    let world = World::new().await;
    let nouns = OpenApiRouter::new()
        .route("/faulty", post(faulty))
        .route("/sound", post(|| async { StatusCode::NO_CONTENT }));
    let address = served(&world, nouns, HttpConfig::default()).await;
    for key in [None, Some("k1")] {
        let request = posting(&world, "/api/v1/faulty", key, 2, "{}");
        let answer = exchange(address, &request).await;
        refused(&answer, 500, "internal");
        assert!(!answer.contains("a fault of ours"), "{answer}");
    }
    let sound = posting(&world, "/api/v1/sound", None, 2, "{}");
    let answer = exchange(address, &sound).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

#[tokio::test]
async fn of_two_retries_after_a_failure_only_one_runs() {
    let world = World::new().await;
    let (runs, entered, go) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
    );
    let (count, inside, wait) = (runs.clone(), entered.clone(), go.clone());
    let work = move || {
        let (count, inside, wait) = (count.clone(), inside.clone(), wait.clone());
        async move {
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                return Problem::of_status(StatusCode::SERVICE_UNAVAILABLE).into_response();
            }
            inside.notify_one();
            wait.notified().await;
            (StatusCode::CREATED, "done").into_response()
        }
    };
    let nouns = OpenApiRouter::new().route("/work", post(work));
    let address = served(&world, nouns, HttpConfig::default()).await;
    let request = posting(&world, "/api/v1/work", Some("k1"), 2, "{}");
    refused(&exchange(address, &request).await, 503, "unavailable");
    let second = async {
        timeout(PATIENCE, entered.notified()).await.unwrap();
        let answer = exchange(address, &request).await;
        go.notify_one();
        answer
    };
    let (first, second) = tokio::join!(exchange(address, &request), second);
    assert!(first.starts_with("HTTP/1.1 201 "), "{first}");
    refused(&second, 409, "request_in_flight");
    let replayed = exchange(address, &request).await;
    assert!(
        replayed.contains("idempotency-replayed: true"),
        "{replayed}"
    );
    assert_eq!(runs.load(Ordering::SeqCst), 2, "the failure and one retry");
}
