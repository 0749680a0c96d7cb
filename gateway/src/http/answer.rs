//! Shapes of answers that several nouns share.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder},
};

/// Where the API lives.
pub(crate) const PREFIX: &str = "/api/v1";

/// 201 with the address of what was made.
pub(crate) fn created(path: &str, body: impl Serialize) -> Response {
    located(StatusCode::CREATED, path, body)
}

/// 202 with the address of the command that will do it.
pub(crate) fn accepted(path: &str, body: impl Serialize) -> Response {
    located(StatusCode::ACCEPTED, path, body)
}

fn located(status: StatusCode, path: &str, body: impl Serialize) -> Response {
    let location = HeaderValue::try_from(format!("{PREFIX}{path}")).expect("ids are visible ASCII");
    (status, [(header::LOCATION, location)], Json(body)).into_response()
}

/// Every operation may refuse with a problem document.
pub(crate) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let refusal = ResponseBuilder::new()
            .description("A refusal, as RFC 9457 has it")
            .content("application/problem+json", content)
            .build();
        [("4XX", &refusal), ("5XX", &refusal)]
            .into_iter()
            .map(|(range, refusal)| (range.to_owned(), refusal.clone().into()))
            .collect()
    }
}
