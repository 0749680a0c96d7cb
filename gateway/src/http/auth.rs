//! Bearer tokens: who is calling, and how often.

use std::time::Duration;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};

use crate::app::{Actor, AppError, AuthFailure};

use super::{Api, problem::Problem};

/// Only known tokens pass, at their rate.
pub(crate) async fn authenticated(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let secret = bearer(request.headers())?;
    let actor = api.app.authenticate(secret).await?;
    api.limiter
        .take(&actor.id, api.app.clock.monotonic())
        .map_err(|wait| AppError::TooOften(seconds(wait)))?;
    request.extensions_mut().insert(Caller(actor));
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Result<&str, AppError> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or(AppError::Unauthenticated(AuthFailure::Missing))?;
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, secret)| {
            scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty()
        })
        .map(|(_, secret)| secret.trim())
        .ok_or(AppError::Unauthenticated(AuthFailure::Malformed))
}

/// Who is calling.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::of_status(StatusCode::UNAUTHORIZED))
    }
}

/// Whole seconds, rounded up: who waits so long is not told to wait again.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
