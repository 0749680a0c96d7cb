//! The OpenAPI document and what serves it.

use super::{super::document, World};

#[test]
fn the_committed_openapi_document_is_the_generated_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let mut generated = document().to_pretty_json().unwrap();
    generated.push('\n');
    if std::env::var_os("SEALGATE_BLESS").is_some() {
        std::fs::write(file, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        generated == committed,
        "docs/openapi.json is not the generated one: SEALGATE_BLESS=1 writes it anew"
    );
}

#[test]
fn the_document_is_openapi_3_1_and_every_operation_has_a_name_of_its_own() {
    let document = serde_json::to_value(document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_document_and_the_pages_that_show_it_need_no_token() {
    let world = World::new().await;
    let json = world
        .call("GET", "/api/v1/openapi.json")
        .without_token()
        .send()
        .await;
    assert_eq!(json.status, 200);
    assert_eq!(json.body["openapi"], "3.1.0");
    let page = world.call("GET", "/docs/").without_token().send().await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("swagger-ui"));
}

#[tokio::test]
async fn health_metrics_and_readiness_answer_without_a_token() {
    let world = World::new().await;
    let get = async |path: &str| world.call("GET", path).without_token().send().await;
    assert_eq!(get("/healthz").await.text, "ok\n");
    let ready = get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.body["ready"], false);
    assert_eq!(ready.body["store"], true);
    world.app.readiness.set_front(true);
    world.app.readiness.set_bus(true);
    assert_eq!(get("/readyz").await.body["signer"], false, "a warning only");
    assert_eq!(get("/readyz").await.status, 200);
    world.app.readiness.drain();
    let draining = get("/readyz").await;
    assert_eq!(draining.status, 503);
    assert_eq!(draining.body["draining"], true);
    let metrics = get("/metrics").await.text;
    assert!(
        metrics.contains("sealgate_http_requests_total{"),
        "{metrics}"
    );
}
