//! The OpenAPI 3.1 document: what the handlers say, and what holds for all of them.

use utoipa::{
    OpenApi,
    openapi::{
        self, ObjectBuilder, Required,
        path::{Operation, ParameterBuilder, ParameterIn, PathItem},
        schema::Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    events::ResetView,
    problem::{FieldProblem, ProblemDocument},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sealgate",
        description = "Smart company seals: devices, grants, stamp records.\n\nEvery refusal is an RFC 9457 problem document \
            with a stable `code`; title, detail and messages \
            follow `Accept-Language`: Chinese without it, English when it names neither zh nor en. Changes take an `Idempotency-Key`. Listings \
            are paged by an opaque cursor.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemDocument, FieldProblem, ResetView)),
    tags(
        (name = "organizations", description = "Organizations and their members"),
        (name = "devices", description = "Seals"),
        (name = "commands", description = "What was ordered of a seal"),
        (name = "grants", description = "Who may stamp, how often, when and where"),
        (name = "stamps", description = "Stamp records and abnormal use"),
        (name = "tokens", description = "Access"),
        (name = "audit", description = "Who changed what"),
        (name = "events", description = "Committed changes, live"),
        (name = "health", description = "For machines that watch")
    )
)]
struct Head;

/// What stands before the paths.
pub(crate) fn head() -> openapi::OpenApi {
    let mut head = Head::openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("sk_…")
        .description(Some("An API token; scopes are listed at each operation."))
        .build();
    head.components
        .get_or_insert_default()
        .add_security_scheme("token", SecurityScheme::Http(bearer));
    head
}

/// Adds what holds for every change.
pub(crate) fn finished(mut document: openapi::OpenApi) -> openapi::OpenApi {
    for item in document.paths.paths.values_mut() {
        for operation in changes(item) {
            let key = ParameterBuilder::new()
                .name("Idempotency-Key")
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(
                    "A request sent twice under one key happens once (24 h)",
                ))
                .schema(Some(
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .min_length(Some(1))
                        .max_length(Some(255)),
                ))
                .build();
            operation
                .parameters
                .get_or_insert_default()
                .push(key.into());
        }
    }
    document
}

fn changes(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        item.post.as_mut(),
        item.put.as_mut(),
        item.patch.as_mut(),
        item.delete.as_mut(),
    ]
    .into_iter()
    .flatten()
}
