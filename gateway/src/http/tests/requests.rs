//! Bodies, headers, languages, paging, idempotency: what every operation has in common.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::HttpConfig;

use super::{World, manifest};

const ORGANIZATIONS: &str = "/api/v1/organizations";

fn organization(name: &str, phone: &str) -> Value {
    json!({"name": name, "owner": {"name": "Wang Fang", "phone": phone}})
}

#[tokio::test]
async fn titles_are_chinese_unless_english_is_asked_for() {
    let world = World::new().await;
    let title = async |language: &str| {
        let call = world.call("GET", "/api/v1/nowhere");
        let answer = call.header("accept-language", language).send().await;
        answer.refused(404, "not_found");
        (
            answer.body["title"].as_str().unwrap().to_owned(),
            answer.header("content-language").to_owned(),
        )
    };
    assert_eq!(title("en-GB").await, ("Not found".into(), "en".into()));
    assert_eq!(
        title("zh-CN,en;q=0.5").await,
        ("未找到".into(), "zh".into())
    );
    assert_eq!(title("fr").await.0, "Not found");
}

/// Requests that are refused, each for a reason of its own.
const REFUSED: [(&str, &str, Option<&str>); 18] = [
    ("GET", "/nowhere", None),
    ("DELETE", ORGANIZATIONS, None),
    (
        "GET",
        "/api/v1/organizations/0193a1b2-0000-7000-8000-000000000001",
        None,
    ),
    ("GET", "/api/v1/organizations/1", None),
    ("GET", "/api/v1/organizations?limit=0", None),
    ("GET", "/api/v1/organizations?limit=many", None),
    ("GET", "/api/v1/organizations?no_such=1", None),
    ("GET", "/api/v1/organizations?cursor=x", None),
    ("GET", "/api/v1/devices?life=none", None),
    ("GET", "/api/v1/grants?state=none", None),
    ("GET", "/api/v1/stamps?class=11", None),
    ("GET", "/api/v1/events?topics=weather", None),
    ("POST", ORGANIZATIONS, Some("{")),
    ("POST", ORGANIZATIONS, Some(r#"{"name": 1}"#)),
    ("POST", ORGANIZATIONS, Some(r#"{"nam": "x"}"#)),
    (
        "POST",
        "/api/v1/tokens",
        Some(r#"{"name": "x", "scopes": ["x"]}"#),
    ),
    ("POST", "/api/v1/grants", Some(r#"{"device": "x"}"#)),
    (
        "PATCH",
        "/api/v1/organizations/0193a1b2-0000-7000-8000-000000000001",
        Some("{}"),
    ),
];

#[tokio::test]
async fn every_word_of_a_refusal_is_in_the_language_that_was_asked_for() {
    let world = World::new().await;
    let chinese = |text: &str| text.chars().any(|c| c > '\u{2e7f}');
    for (method, path, body) in REFUSED {
        for language in ["zh", "en"] {
            let call = world.call(method, path).header("accept-language", language);
            let call = match body {
                Some(body) => call.text(body).header("content-type", "application/json"),
                None => call,
            };
            let answer = call.send().await;
            assert!(
                answer.status.is_client_error(),
                "{method} {path}: {}",
                answer.text
            );
            let detail = answer.body["detail"].as_str();
            let errors = answer.body["errors"].as_array().into_iter().flatten();
            let told: Vec<&str> = errors
                .filter_map(|error| error["message"].as_str())
                .chain(detail)
                .chain(answer.body["title"].as_str())
                .collect();
            assert!(
                told.len() > 1,
                "{method} {path} says too little: {}",
                answer.text
            );
            for words in told {
                assert_eq!(chinese(words), language == "zh", "{method} {path}: {words}");
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_which_header_was_expected() {
    let world = World::new().await;
    let call = || {
        world
            .call("GET", ORGANIZATIONS)
            .without_token()
            .header("accept-language", "en")
    };
    for (header, said) in [
        (None, "is missing"),
        (Some("Basic eDp5"), "must have the form Bearer"),
        (Some("Bearer "), "must have the form Bearer"),
        (Some("Bearer sk_nonsense"), "nobody has the token"),
    ] {
        let call = match header {
            Some(value) => call().header("authorization", value),
            None => call(),
        };
        let answer = call.send().await;
        answer.refused(401, "unauthenticated");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(
            detail.contains("Authorization") && detail.contains(said),
            "{detail}"
        );
        assert!(!answer.text.contains("nonsense"), "{}", answer.text);
    }
}

#[tokio::test]
async fn the_root_leads_to_the_pages() {
    let world = World::new().await;
    let answer = world.call("GET", "/").without_token().send().await;
    assert_eq!(answer.status, 307);
    assert_eq!(answer.header("location"), "/docs");
}

#[tokio::test]
async fn rules_bring_their_own_titles_and_ids() {
    let world = World::new().await;
    let body = organization("", "13800138000");
    let call = world.call("POST", ORGANIZATIONS).json(&body);
    let answer = call.header("accept-language", "en").send().await;
    answer.refused(422, "organization_name_invalid");
    assert_eq!(answer.body["rule"], "ORG-7");
    assert_eq!(
        answer.body["title"],
        "an organization's name has 1 to 80 characters"
    );
    let answer = world.post(ORGANIZATIONS, body).await;
    assert_eq!(answer.body["title"], "单位名称须为1至80个字符");
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems_too() {
    let world = World::new().await;
    world.get("/nowhere").await.refused(404, "not_found");
    world.get("/api/v1/nowhere").await.refused(404, "not_found");
    let answer = world.call("DELETE", ORGANIZATIONS).send().await;
    answer.refused(405, "method_not_allowed");
    assert!(answer.header("allow").contains("GET"));
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let world = World::new().await;
    let post = |body: &str, kind: &str| {
        let call = world.call("POST", ORGANIZATIONS).text(body);
        call.header("content-type", kind).send()
    };
    for body in ["", "{", "{\"name\": }", "\u{0}"] {
        post(body, "application/json")
            .await
            .refused(400, "malformed_json");
    }
    post("{}", "text/plain")
        .await
        .refused(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_wrong_type_is_named_by_the_path_of_its_field() {
    let world = World::new().await;
    let mut body = organization("Example", "13800138000");
    body["owner"]["phone"] = json!(13);
    let answer = world.post(ORGANIZATIONS, body).await;
    answer.refused(422, "invalid_body");
    assert_eq!(answer.body["errors"][0]["field"], "owner.phone");
    let mut manifest = manifest();
    manifest[0]["log_public"] = json!("zz");
    let answer = world.post("/api/v1/devices/import", manifest).await;
    answer.refused(422, "invalid_body");
    assert_eq!(answer.body["errors"][0]["field"], "[0].log_public");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_a_manifest_may_be_larger() {
    let world = World::new().await;
    let huge = organization(&"x".repeat(65 * 1024), "13800138000");
    world
        .post(ORGANIZATIONS, huge)
        .await
        .refused(413, "body_too_large");
    let mut entries = Vec::new();
    for _ in 0..400 {
        entries.push(manifest()[0].clone());
    }
    let answer = world.post("/api/v1/devices/import", json!(entries)).await;
    assert_ne!(answer.status, 413);
    let small = World::with(HttpConfig {
        max_body_bytes: 70 * 1024,
        ..HttpConfig::default()
    })
    .await;
    small
        .post("/api/v1/devices/import", json!(entries))
        .await
        .refused(413, "body_too_large");
}

#[tokio::test]
async fn paths_that_hold_no_id_are_refused() {
    let world = World::new().await;
    for path in ["organizations/1", "devices/AAAA", "grants/x", "commands/-"] {
        let answer = world.get(&format!("/api/v1/{path}")).await;
        answer.refused(400, "invalid_path");
    }
}

#[tokio::test]
async fn a_request_id_of_the_caller_is_kept_if_it_is_harmless() {
    let world = World::new().await;
    let call = world.call("GET", "/api/v1/nowhere");
    let answer = call.header("x-request-id", "my-id.7").send().await;
    assert_eq!(answer.body["instance"], "my-id.7");
    let call = world.call("GET", "/api/v1/nowhere");
    let answer = call.header("x-request-id", "<script>").send().await;
    assert_ne!(answer.header("x-request-id"), "<script>");
    answer.refused(404, "not_found");
}

#[tokio::test]
async fn a_listing_is_read_page_by_page_without_losing_or_repeating() {
    let world = World::new().await;
    for n in 0..5 {
        let body = organization(&format!("No {n}"), &format!("1380013800{n}"));
        assert_eq!(world.post(ORGANIZATIONS, body).await.status, 201);
        world.pass(Duration::from_millis(2));
    }
    let mut names = Vec::new();
    let mut path = format!("{ORGANIZATIONS}?limit=2");
    loop {
        let page = world.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        for item in page.body["items"].as_array().unwrap() {
            names.push(item["name"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            break;
        };
        path = format!("{ORGANIZATIONS}?limit=2&cursor={cursor}");
    }
    names.sort();
    assert_eq!(names, ["No 0", "No 1", "No 2", "No 3", "No 4"]);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_listing_only() {
    let world = World::new().await;
    for n in 0..2 {
        let body = organization(&format!("No {n}"), &format!("1380013800{n}"));
        world.post(ORGANIZATIONS, body).await;
    }
    let page = world.get(&format!("{ORGANIZATIONS}?limit=1")).await;
    let cursor = page.body["next_cursor"].as_str().unwrap();
    world
        .get(&format!("/api/v1/devices?cursor={cursor}"))
        .await
        .refused(400, "bad_cursor");
}

#[tokio::test]
async fn a_request_sent_twice_under_one_key_happens_once() {
    let world = World::new().await;
    let body = organization("Example", "13800138000");
    let send = || {
        let call = world.call("POST", ORGANIZATIONS).json(&body);
        call.header("idempotency-key", "k1").send()
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!((second.status, &second.text), (first.status, &first.text));
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(second.header("idempotency-replayed"), "true");
    let all = world.get(ORGANIZATIONS).await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_used_for_another_body_or_route_is_refused() {
    let world = World::new().await;
    let send = |path: &'static str, body: Value| {
        let call = world.call("POST", path).json(&body);
        call.header("idempotency-key", "k1").send()
    };
    send(ORGANIZATIONS, organization("One", "13800138000")).await;
    send(ORGANIZATIONS, organization("Two", "13800138000"))
        .await
        .refused(422, "idempotency_mismatch");
    send("/api/v1/devices/import", organization("One", "13800138000"))
        .await
        .refused(422, "idempotency_mismatch");
}

#[tokio::test]
async fn a_refusal_under_a_key_is_replayed_in_full() {
    let world = World::new().await;
    let body = organization("", "13800138000");
    let send = || {
        let call = world.call("POST", ORGANIZATIONS).json(&body);
        call.header("idempotency-key", "k1").send()
    };
    let (first, second) = (send().await, send().await);
    first.refused(422, "organization_name_invalid");
    assert_eq!(second.text, first.text);
    assert_eq!(second.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day_and_belongs_to_its_token() {
    let world = World::new().await;
    let other = world.token(crate::app::access::Scopes::all(), None).await;
    let send = |token: String, phone: &'static str| {
        let call = world.call("POST", ORGANIZATIONS).with_token(&token);
        let call = call.json(&organization("Example", phone));
        call.header("idempotency-key", "k1").send()
    };
    let first = send(world.admin.clone(), "13800138000").await;
    let second = send(other, "13800138000").await;
    assert_ne!(first.id(), second.id());
    world.pass(Duration::from_secs(24 * 3600 + 1));
    let third = send(world.admin.clone(), "13800138001").await;
    assert_eq!(third.status, 201, "{}", third.text);
}

#[tokio::test]
async fn two_requests_under_one_key_at_once_do_it_once() {
    let world = World::new().await;
    let body = organization("Example", "13800138000");
    let send = || {
        let call = world.call("POST", ORGANIZATIONS).json(&body);
        call.header("idempotency-key", "k1").send()
    };
    let (a, b, c) = tokio::join!(send(), send(), send());
    for answer in [&a, &b, &c] {
        assert!(
            answer.status == 201 || answer.code() == "request_in_flight",
            "{}",
            answer.text
        );
    }
    let all = world.get(ORGANIZATIONS).await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_beyond_its_rate_is_told_when_to_come_back() {
    let world = World::with(HttpConfig {
        token_rate: 1,
        token_burst: 2,
        ..HttpConfig::default()
    })
    .await;
    for _ in 0..2 {
        assert_eq!(world.get(ORGANIZATIONS).await.status, 200);
    }
    let answer = world.get(ORGANIZATIONS).await;
    answer.refused(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), "1");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.get(ORGANIZATIONS).await.status, 200);
}
