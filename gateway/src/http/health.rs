//! For machines that watch: is the process alive, should it get traffic, what does it count. No token needed.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;

/// Whether this node should get traffic.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadyView {
    /// Store, front and bus work, and it is not shutting down.
    ready: bool,
    /// The database takes writes.
    store: bool,
    /// Seals are accepted.
    front: bool,
    /// Committed events reach the bus.
    bus: bool,
    /// The signer answered when last asked. A warning only: without it no command goes out and no lease is renewed,
    /// but records are taken.
    signer: bool,
    /// Shutting down.
    draining: bool,
}

/// The process runs.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "health",
    responses((status = 200, description = "Alive", body = String)))]
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// Whether this node should get traffic.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "ready",
    responses((status = 200, description = "Ready", body = ReadyView),
              (status = 503, description = "Not ready", body = ReadyView)))]
pub(crate) async fn ready(State(api): State<Api>) -> Response {
    let report = api.app.probe().await;
    let view = ReadyView {
        ready: report.ready(),
        store: report.store,
        front: report.front,
        bus: report.bus,
        signer: report.signer,
        draining: report.draining,
    };
    if view.ready {
        Json(view).into_response()
    } else {
        // The body is the answer here, so it must not be taken for a refusal.
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(view)).into_response();
        response.extensions_mut().insert(super::problem::Verbatim);
        response
    }
}

/// What this node counts, in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(api): State<Api>) -> Response {
    let text = api.metrics.encode();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
