//! What every endpoint has in common: problem documents, cursors, idempotency keys, entity tags, limits, health.

use reqwest::{Method, StatusCode};
use sealgate_tests::world::{World, organization};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_problem_documents_with_rule_and_title_in_the_callers_language() {
    let world = World::start().await;
    let path = format!("devices/{}/bind", world.material.id(0));
    world.deliver(world.material.id(0)).await;
    for (language, chinese) in [("zh-CN", true), ("en", false)] {
        let headers = [("accept-language", language)];
        let answer = world
            .api
            .ask(Method::POST, &path, &headers, Some(&json!({})))
            .await
            .expect("an answer");
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
        assert_eq!(answer.rule(), "BIND-1", "{}", answer.body);
        let title = answer.body["title"].as_str().expect("a title");
        assert_eq!(!title.is_ascii(), chinese, "{title}");
        assert!(answer.body["instance"].is_string());
    }
    let missing = world.api.try_get("devices/aaaaaaaaaaaaa").await;
    assert_eq!(
        (missing.status, missing.code()),
        (StatusCode::NOT_FOUND, "not_found")
    );
    let nowhere = world.api.try_get("nowhere").await;
    assert_eq!(
        (nowhere.status, nowhere.code()),
        (StatusCode::NOT_FOUND, "not_found")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_read_page_by_page_is_complete_and_its_cursors_cannot_be_forged() {
    let world = World::start().await;
    for number in 0..7 {
        organization(&world.api, &format!("Company {number}"), true).await;
    }
    let mut names = Vec::new();
    let mut path = "organizations?limit=3".to_owned();
    loop {
        let page = world.api.get(&path).await;
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 3);
        names.extend(
            items
                .iter()
                .map(|item| item["name"].as_str().unwrap_or("").to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("organizations?limit=3&cursor={cursor}");
        let mut forged = cursor.to_owned();
        forged.replace_range(0..1, if cursor.starts_with('A') { "B" } else { "A" });
        let answer = world
            .api
            .try_get(&format!("organizations?cursor={forged}"))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let answer = world.api.try_get(&format!("devices?cursor={cursor}")).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "a cursor of another listing"
        );
    }
    assert_eq!(names.len(), 8);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 8, "none twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_with_the_same_key_happens_once() {
    let world = World::start().await;
    let path = format!("organizations/{}/members", world.organization);
    let key = [("idempotency-key", "4f2c1c9e-once")];
    let body = json!({ "name": "Zhao Min", "phone": "13700137000" });
    let mut answers = Vec::new();
    for _ in 0..3 {
        let answer = world
            .api
            .ask(Method::POST, &path, &key, Some(&body))
            .await
            .expect("an answer");
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answers.push(answer.body);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    let other = json!({ "name": "Someone Else", "phone": "13700137001" });
    let reused = world
        .api
        .ask(Method::POST, &path, &key, Some(&other))
        .await
        .expect("an answer");
    assert!(
        reused.status.is_client_error(),
        "another body under the same key"
    );
    let members = world.api.get(&path).await;
    assert_eq!(
        members["items"].as_array().map(Vec::len),
        Some(3),
        "owner, member, one more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_editors_do_not_overwrite_each_other() {
    let world = World::start().await;
    let path = format!("organizations/{}", world.organization);
    let etag = world.api.try_get(&path).await.etag.expect("an entity tag");
    let patch = |name: &str| json!({ "name": name });
    let under = |tag: &str| [("if-match", tag.to_owned())];
    let ask = |headers: [(&'static str, String); 1], body| {
        let (api, path) = (world.api.clone(), path.clone());
        async move {
            let headers = [(headers[0].0, headers[0].1.as_str())];
            api.ask(Method::PATCH, &path, &headers, Some(&body))
                .await
                .expect("an answer")
        }
    };
    let first = ask(under(&etag), patch("First")).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.body);
    let second = ask(under(&etag), patch("Second")).await;
    assert_eq!(
        second.status,
        StatusCode::PRECONDITION_FAILED,
        "{}",
        second.body
    );
    assert_eq!(world.api.get(&path).await["name"], "First");
    let without = world
        .api
        .ask(Method::PATCH, &path, &[], Some(&patch("Third")))
        .await
        .expect("an answer");
    assert!(
        without.status.is_client_error(),
        "an edit needs an entity tag"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_bad_types_and_large_bodies_are_refused() {
    let world = World::start().await;
    let answer = world
        .api
        .try_post(
            "organizations",
            json!({ "name": "x", "owner": {"name": "a", "phone": "13800138001"}, "surprise": 1 }),
        )
        .await;
    assert!(answer.status.is_client_error());
    assert!(
        answer.body.to_string().contains("surprise"),
        "{}",
        answer.body
    );
    let answer = world
        .api
        .try_post("organizations", json!({ "name": 5 }))
        .await;
    assert!(answer.status.is_client_error());
    let answer = world.api.try_get("devices?limit=100000").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let large = json!({ "name": "x".repeat(6 * 1024 * 1024) });
    // The server may close while we still send.
    if let Ok(answer) = world
        .api
        .ask(Method::POST, "organizations", &[], Some(&large))
        .await
    {
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert!(world.api.try_get("/healthz").await.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_metrics_and_documents_are_there() {
    let world = World::start().await;
    let open = world.api.with_token("");
    assert!(open.try_get("/healthz").await.status.is_success());
    assert!(open.try_get("/readyz").await.status.is_success());
    let metrics = open.try_get("/metrics").await;
    assert!(
        metrics
            .body
            .as_str()
            .is_some_and(|text| text.contains("sealgate_ready 1"))
    );
    let document = open.try_get("/api/v1/openapi.json").await;
    assert_eq!(
        document.body["openapi"].as_str().map(|v| &v[..3]),
        Some("3.1")
    );
    assert!(open.try_get("/docs/").await.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checked_in_document_is_the_one_that_is_served() {
    let world = World::start().await;
    let served = world.api.get("openapi.json").await;
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let text = std::fs::read_to_string(file).expect("docs/openapi.json");
    let kept: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        kept["paths"], served["paths"],
        "docs/openapi.json is out of date"
    );
}
