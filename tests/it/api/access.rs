//! Who gets what: no token, a weak token, a bound token, a revoked token.

use reqwest::{Method, StatusCode};
use sealgate_tests::world::{World, organization};
use serde_json::{Value, json};

async fn token(world: &World, scopes: &[&str], organization: Option<&str>) -> (String, String) {
    let made = world
        .api
        .post(
            "tokens",
            json!({ "name": "test", "scopes": scopes, "organization": organization }),
        )
        .await;
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&made["token"]["id"]), text(&made["secret"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_endpoint_refuses_a_caller_without_a_token() {
    let world = World::start().await;
    let document = world.api.get("openapi.json").await;
    let nobody = world.api.with_token("");
    let stranger = world
        .api
        .with_token("sk_mfrggzdfmztwq2lkmfrggzdfmztwq2lkmfrggzd");
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if !path.starts_with("/api/v1/") {
            continue;
        }
        // Any id will do: nobody gets far enough for it to matter.
        let path = path.replace("{device}", world.material.id(0));
        let filled: String = path
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    "0193a1b2-0000-7000-8000-000000000001"
                } else {
                    part
                }
            })
            .collect::<Vec<_>>()
            .join("/");
        for method in methods.as_object().expect("methods").keys() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                continue;
            };
            for caller in [&nobody, &stranger] {
                let answer = caller
                    .ask(method.clone(), &filled, &[], Some(&json!({})))
                    .await
                    .expect("an answer");
                assert_eq!(
                    answer.status,
                    StatusCode::UNAUTHORIZED,
                    "{method} {filled}: {}",
                    answer.body
                );
                assert_eq!(answer.code(), "unauthenticated", "{method} {filled}");
            }
            asked += 1;
        }
    }
    assert!(asked > 25, "{asked} endpoints");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_what_its_scopes_say_and_no_more() {
    let world = World::start().await;
    let (_, secret) = token(&world, &["fleet:read"], None).await;
    let reader = world.api.with_token(&secret);
    assert!(reader.try_get("devices").await.status.is_success());
    for path in ["organizations", "stamps", "tokens", "audit"] {
        let answer = reader.try_get(path).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    let lock = format!("devices/{}/lock", world.material.id(0));
    assert_eq!(
        reader.try_post(&lock, json!({})).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_sees_its_own_organization_only() {
    let world = World::start().await;
    let (other, other_member) = organization(&world.api, "Somebody Else", true).await;
    let scopes = [
        "fleet:read",
        "org:read",
        "org:write",
        "grant:write",
        "device:control",
        "stamp:read",
    ];
    let (_, secret) = token(&world, &scopes, Some(&world.organization)).await;
    let bound = world.api.with_token(&secret);

    world.deliver(world.material.id(0)).await;
    let theirs = format!("devices/{}", world.material.id(1));
    world
        .api
        .post(
            &format!("{theirs}/deliver"),
            json!({ "organization": other }),
        )
        .await;

    let seen = bound.all("organizations").await;
    assert_eq!(seen.len(), 1);
    let seen = bound.all("devices").await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    for path in [
        theirs.clone(),
        format!("organizations/{other}"),
        format!("organizations/{other}/members"),
    ] {
        let answer = bound.try_get(&path).await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{path}: {}",
            answer.body
        );
    }
    for action in ["lock", "unlock", "unbind", "bind"] {
        let answer = bound
            .try_post(&format!("{theirs}/{action}"), json!({}))
            .await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{action}: {}",
            answer.body
        );
    }
    let mut grant = world.grant_body(world.material.id(1), 1, false);
    grant["member"] = json!(other_member);
    assert!(
        bound
            .try_post("grants", grant)
            .await
            .status
            .is_client_error()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_cannot_make_a_stronger_one_and_a_revoked_one_is_refused_at_once() {
    let world = World::start().await;
    let (id, secret) = token(&world, &["token:admin", "fleet:read"], None).await;
    let weak = world.api.with_token(&secret);
    let stronger = json!({ "name": "x", "scopes": ["device:control"] });
    let answer = weak.try_post("tokens", stronger).await;
    assert!(answer.status.is_client_error(), "{}", answer.body);
    world.api.delete(&format!("tokens/{id}")).await;
    assert_eq!(
        weak.try_get("devices").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_shown_once_and_never_logged() {
    let world = World::start().await;
    let (_, secret) = token(&world, &["fleet:read"], None).await;
    let list = world.api.get("tokens").await.to_string();
    assert!(!list.contains(&secret));
    let metrics = world.api.try_get("/metrics").await.body.to_string();
    assert!(!metrics.contains(&secret));
    let log = world.gateway.log();
    assert!(!log.contains(&secret) && !log.contains(&world.gateway.token));
    assert!(!log.contains("13800138000"), "a phone number in the log");
}
