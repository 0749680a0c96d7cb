//! `Idempotency-Key`: a request sent twice happens once.
//!
//! The key belongs to token, route and body: another body under the same key is refused, a second request while the
//! first is at work too, and afterwards the stored answer comes back as it was. The work runs in a task of its own,
//! so a caller who hangs up does not cut it in half. Answers that may change on a retry (5xx, 429) and those that
//! hold a secret are not kept; what such a request made keeps its id, so a repeat finds it.

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::{
    app::{
        AppError, RequestKey,
        idempotency::{Begun, Claim, Request as Named, Stored},
    },
    tasks,
};

use super::{
    Api,
    auth::Caller,
    body::Whole,
    context::{Context, caught},
    problem::Problem,
};

const KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY: usize = 255;
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Headers of the answer that are stored with it.
const KEPT: [&str; 4] = ["content-type", "content-language", "etag", "location"];

/// Marks an answer that holds a secret: it is never stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sensitive;

/// Lets a request with a key through once.
pub(crate) async fn once(
    State(api): State<Api>,
    Caller(mut actor): Caller,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(key) = key(request.headers())?.filter(|_| !reads) else {
        return Ok(next.run(request).await);
    };
    let named = Named {
        token: actor.id.clone(),
        route: format!("{} {}", request.method(), request.uri()),
        key,
        body_hash: body_hash(&request),
    };
    let claim = match api.app.begin_request(&named).await? {
        Begun::Fresh(claim) => claim,
        Begun::Replay(stored) => return replay(stored),
        Begun::InFlight => {
            let mut problem = Problem::new(StatusCode::CONFLICT, "request_in_flight");
            problem.retry_after = Some(1);
            return Err(problem);
        }
        Begun::Mismatch => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Problem::new(status, "idempotency_mismatch"));
        }
    };
    let (token, route, key) = (&named.token, &named.route, &named.key);
    actor.request = Some(RequestKey::new(token, route, key, claim.first_seen));
    request.extensions_mut().insert(Caller(actor));
    tasks::spawn("idempotent_request", run(api, named, claim, request, next))
        .await
        .map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))?
}

async fn run(
    api: Api,
    named: Named,
    claim: Claim,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let context = request.extensions().get::<Context>().cloned();
    let mut response = caught(next.run(request)).await;
    if let Some(context) = context {
        response = context.render(response);
    }
    let status = response.status();
    let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    if passing || response.extensions().get::<Sensitive>().is_some() {
        api.app.forget_request(&named, claim).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ANSWER)
        .await
        .map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    let stored = Stored {
        status: parts.status.as_u16(),
        headers: kept(&parts.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    api.app.finish_request(&named, claim, &stored).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(KEY) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY).contains(&key.len()))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            let detail = (
                format!("Idempotency-Key：须为1至{MAX_KEY}个可见字符"),
                format!("Idempotency-Key: 1 to {MAX_KEY} visible characters"),
            );
            Problem::bad_request("invalid_header", detail)
        })
}

fn body_hash(request: &Request) -> [u8; 32] {
    let body = request.extensions().get::<Whole>();
    let if_match = request.headers().get("if-match");
    let mut hash = Sha256::new();
    hash.update(if_match.map_or(&[][..], HeaderValue::as_bytes));
    hash.update([0]);
    hash.update(body.map_or(&[][..], |Whole(bytes)| bytes));
    hash.finalize().into()
}

fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    KEPT.iter()
        .filter_map(|name| {
            let value = headers.get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), value.to_owned()))
        })
        .collect()
}

fn replay(stored: Stored) -> Result<Response, Problem> {
    let broken = || AppError::conflict("已保存的应答无法读取", "the stored answer can't be read");
    let status = StatusCode::from_u16(stored.status).map_err(|_| broken())?;
    let mut response = (status, stored.body).into_response();
    let headers = response.headers_mut();
    headers.clear();
    for (name, value) in stored.headers {
        let name = HeaderName::try_from(name).map_err(|_| broken())?;
        let value = HeaderValue::try_from(value).map_err(|_| broken())?;
        headers.insert(name, value);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
