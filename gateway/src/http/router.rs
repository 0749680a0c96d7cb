//! The URL map, on one page.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect},
    routing::get,
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    Api, answer::PREFIX, audit, auth, body, command, context, device, events, grant, health,
    idempotency, inbox, member, openapi, organization, stamp, token,
};

/// Everything behind a token.
fn nouns() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(organization::list, organization::create))
        .routes(routes!(organization::get, organization::update))
        .routes(routes!(member::list, member::add))
        .routes(routes!(member::remove))
        .routes(routes!(member::send_code))
        .routes(routes!(device::list))
        .routes(routes!(device::import::import))
        .routes(routes!(device::get, device::update))
        .routes(routes!(device::action::deliver))
        .routes(routes!(device::action::bind))
        .routes(routes!(device::action::unbind))
        .routes(routes!(device::action::suspend))
        .routes(routes!(device::action::resume))
        .routes(routes!(device::action::retire))
        .routes(routes!(device::action::revoke))
        .routes(routes!(device::certificate::renew))
        .routes(routes!(device::log::get))
        .routes(routes!(device::log::reopen))
        .routes(routes!(device::action::lock))
        .routes(routes!(device::action::unlock))
        .routes(routes!(device::action::refresh_position))
        .routes(routes!(device::action::offline_mode))
        .routes(routes!(device::settings::get, device::settings::put))
        .routes(routes!(command::list))
        .routes(routes!(command::get))
        .routes(routes!(grant::list, grant::give))
        .routes(routes!(grant::get))
        .routes(routes!(grant::end))
        .routes(routes!(stamp::list))
        .routes(routes!(stamp::of_device))
        .routes(routes!(stamp::abnormal))
        .routes(routes!(stamp::mark_read))
        .routes(routes!(token::list, token::create))
        .routes(routes!(token::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(events::follow))
        .routes(routes!(inbox::read))
}

/// What machines that watch ask, without a token.
fn watched() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}

fn documented(nouns: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::head())
        .nest(PREFIX, nouns)
        .merge(watched())
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> OpenApi {
    openapi::finished(documented(nouns()).into_openapi())
}

/// Puts token, body and idempotency key before the nouns, in this order.
fn guarded(nouns: OpenApiRouter<Api>, api: &Api) -> OpenApiRouter<Api> {
    nouns
        .fallback(missing)
        .layer(from_fn_with_state(api.clone(), idempotency::once))
        .layer(from_fn_with_state(api.clone(), body::whole))
        .layer(from_fn_with_state(api.clone(), auth::authenticated))
        .layer(DefaultBodyLimit::disable())
}

/// The whole interface.
pub fn router(api: Api) -> Router {
    with_nouns(nouns(), api)
}

/// The whole interface over these nouns, context outermost.
pub(super) fn with_nouns(nouns: OpenApiRouter<Api>, api: Api) -> Router {
    let (router, document) = documented(guarded(nouns, &api)).split_for_parts();
    let document = openapi::finished(document);
    let json = document.to_json().expect("the document is plain data");
    let path = format!("{PREFIX}/openapi.json");
    let swagger = SwaggerUi::new("/docs").config(Config::from(path.clone()));
    router
        .route(
            &path,
            get(|| async move { ([(header::CONTENT_TYPE, "application/json")], json) }),
        )
        .merge(swagger)
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .fallback(missing)
        .method_not_allowed_fallback(|| async { StatusCode::METHOD_NOT_ALLOWED })
        .layer(from_fn_with_state(api.clone(), context::around))
        .with_state(api)
}

async fn missing() -> impl IntoResponse {
    // Without words of its own, so that the document says where the paths are.
    StatusCode::NOT_FOUND
}
