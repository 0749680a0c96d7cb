//! Around every request: an id, a language, a log line, counts, and a document for every refusal.
//!
//! A panic of a handler is a 500 of its own request and nothing else.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::{
    Api,
    language::Language,
    problem::{self, Problem},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 64;

/// What a refusal needs to become a document.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) id: String,
    pub(crate) language: Language,
}

impl Context {
    /// Writes refusals down.
    pub(crate) fn render(&self, response: Response) -> Response {
        problem::render(response, self.language, &self.id)
    }
}

/// The outermost middleware.
pub(crate) async fn around(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let context = Context {
        id: request_id(request.headers()),
        language: Language::of(request.headers()),
    };
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let started = api.app.clock.monotonic();
    let span = info_span!("http", request = %context.id, %method, route);
    request.extensions_mut().insert(context.clone());
    api.metrics.http_in_flight.inc();
    let response = caught(next.run(request)).instrument(span.clone()).await;
    api.metrics.http_in_flight.dec();
    let mut response = context.render(response);
    let status = response.status().as_u16();
    let took = api.app.clock.monotonic().saturating_sub(started);
    api.metrics
        .http_requests
        .with_label_values(&[
            route.as_str(),
            method_label(method.as_str()),
            &status.to_string(),
        ])
        .inc();
    api.metrics
        .http_seconds
        .with_label_values(&[&route])
        .observe(took.as_secs_f64());
    tracing::info!(parent: &span, status, millis = took.as_millis(), "answered");
    if let Ok(id) = HeaderValue::try_from(&context.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Runs a handler; its panic becomes a 500.
pub(crate) async fn caught(answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            tracing::error!(message, "a handler panicked");
            Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        })
}

/// The caller's own id when it is harmless, else a fresh one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=MAX_REQUEST_ID).contains(&id.len()))
        .filter(|id| {
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        })
        .map_or_else(
            || Uuid::from_bytes(rand::random()).simple().to_string(),
            str::to_owned,
        )
}

/// Methods are a closed set as a label, whatever a client makes up.
fn method_label(method: &str) -> &'static str {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
