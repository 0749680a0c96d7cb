//! Bodies are read whole before anything else happens, up to a limit and within a time.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::{Api, problem::Problem};

/// Bytes of an ordinary body.
pub(crate) const LIMIT: usize = 64 * 1024;
/// The one route with a larger limit: a manifest of thousands of devices.
pub(crate) const IMPORT: &str = "/devices/import";

/// A body read whole.
#[derive(Debug, Clone)]
pub(crate) struct Whole(pub(crate) Bytes);

/// Reads the body of a request that may change something.
pub(crate) async fn whole(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(next.run(request).await);
    }
    let limit = if request.uri().path().ends_with(IMPORT) {
        api.config.max_body_bytes.max(LIMIT)
    } else {
        LIMIT
    };
    let (mut parts, body) = request.into_parts();
    let announced = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let within = Duration::from_millis(api.config.body_timeout_ms);
    let bytes = tokio::time::timeout(within, read(body, limit))
        .await
        .map_err(|_| Problem::of_status(StatusCode::REQUEST_TIMEOUT))??;
    parts.extensions.insert(Whole(bytes.clone()));
    Ok(next
        .run(Request::from_parts(parts, Body::from(bytes)))
        .await)
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::bad_request("bad_request", ("请求体不完整", "the body ended early"))
        })?;
        if whole.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

fn too_large(limit: usize) -> Problem {
    Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE)
        .detail((format!("最多{limit}字节"), format!("at most {limit} bytes")))
}
