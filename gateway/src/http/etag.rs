//! Versions as entity tags: a change must say which version it was made against.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::problem::Problem;

/// The version named by `If-Match`: 428 without one; `*` is refused, for it would overwrite blindly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IfMatch(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(header::IF_MATCH).ok_or_else(|| {
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required").detail((
                "请先读取，再以其 ETag 作为 If-Match 发送",
                "read it first and send its ETag as If-Match",
            ))
        })?;
        value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                Problem::bad_request(
                    "invalid_header",
                    (
                        "If-Match：须为本接口给出的一个 ETag，如 \"1\"",
                        "If-Match: one entity tag of this API, such as \"1\"",
                    ),
                )
            })
    }
}

/// A body with the version it shows.
#[derive(Debug)]
pub(crate) struct Tagged<T>(pub(crate) i64, pub(crate) T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = HeaderValue::try_from(format!("\"{}\"", self.0)).expect("digits in quotes");
        ([(header::ETAG, tag)], Json(self.1)).into_response()
    }
}
