//! Who may call what: generated from the OpenAPI document, so that an operation without a refusal test can't exist.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Map, Value, json};

use crate::app::access::{Scope, Scopes};

use super::{
    super::{
        document,
        values::{EXAMPLE_DEVICE, EXAMPLE_ID},
    },
    Answer, World,
};

/// Operations that need no token.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// One operation, ready to be called.
struct Operation {
    method: Method,
    path: String,
    scopes: Vec<Scope>,
    body: Option<Value>,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    async fn call(&self, world: &World, token: Option<&str>) -> Answer {
        let mut call = world
            .call(self.method.as_str(), &self.path)
            .header("if-match", "\"1\"");
        call = match token {
            Some(token) => call.with_token(token),
            None => call.without_token(),
        };
        if let Some(body) = &self.body {
            call = call.json(body);
        }
        call.send().await
    }
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::to_value(document()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            all.push(read(&document, path, method, operation));
        }
    }
    assert!(all.len() > 30);
    all
}

fn read(document: &Value, path: &str, method: Method, operation: &Value) -> Operation {
    let mut scopes = Vec::new();
    for requirement in operation["security"].as_array().into_iter().flatten() {
        for scope in requirement["token"].as_array().into_iter().flatten() {
            scopes.push(Scope::from_name(scope.as_str().unwrap()).expect("a scope"));
        }
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let path = path.replace("{device}", EXAMPLE_DEVICE);
    let path = path
        .split('/')
        .map(|part| {
            if part.starts_with('{') {
                EXAMPLE_ID
            } else {
                part
            }
        })
        .collect::<Vec<_>>()
        .join("/");
    // A stream would never end.
    let path = if path.ends_with("/events") {
        format!("{path}?wait=0")
    } else {
        path
    };
    Operation {
        method,
        path,
        scopes,
        body: (!schema.is_null()).then(|| example(document, schema)),
    }
}

/// A body that passes, made of the examples in the schema.
fn example(document: &Value, schema: &Value) -> Value {
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    if let Some(examples) = schema["examples"].as_array() {
        return examples[0].clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return example(document, document.pointer(pointer).expect("a schema"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let real = choices.iter().find(|choice| choice["type"] != "null");
        return example(document, real.expect("a choice"));
    }
    if let Some(properties) = schema["properties"].as_object() {
        let fields: Map<_, _> = properties
            .iter()
            .map(|(name, schema)| (name.clone(), example(document, schema)))
            .collect();
        return Value::Object(fields);
    }
    if schema["type"] == "array" {
        return json!([example(document, &schema["items"])]);
    }
    match schema["enum"].as_array() {
        Some(values) => values[0].clone(),
        None => panic!("a request schema without an example: {schema}"),
    }
}

#[tokio::test]
async fn without_a_token_every_operation_is_refused() {
    let world = World::new().await;
    for operation in operations().iter().filter(|o| !o.scopes.is_empty()) {
        let name = operation.name();
        for token in [None, Some("sk_nonsense"), Some("")] {
            let answer = operation.call(&world, token).await;
            assert_eq!(answer.status, 401, "{name}: {}", answer.text);
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{name}");
            answer.refused(401, "unauthenticated");
        }
    }
}

#[tokio::test]
async fn with_every_scope_but_its_own_every_operation_is_refused() {
    let world = World::new().await;
    for operation in operations().iter().filter(|o| !o.scopes.is_empty()) {
        let others: Scopes = Scope::ALL
            .into_iter()
            .filter(|scope| !operation.scopes.contains(scope))
            .collect();
        let token = world.token(others, None).await;
        let answer = operation.call(&world, Some(&token)).await;
        assert_eq!(answer.status, 403, "{}: {}", operation.name(), answer.text);
        answer.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn with_its_own_scope_alone_no_operation_is_refused_for_access() {
    let world = World::new().await;
    for operation in operations().iter().filter(|o| !o.scopes.is_empty()) {
        let name = operation.name();
        assert_eq!(operation.scopes.len(), 1, "{name} names one scope");
        let token = world.only(operation.scopes[0]).await;
        let status = operation.call(&world, Some(&token)).await.status.as_u16();
        assert!(![401, 403].contains(&status), "{name}: {status}");
        assert!(status < 500, "{name}: {status}");
    }
}

#[tokio::test]
async fn only_health_needs_no_token() {
    let open: BTreeSet<_> = operations()
        .into_iter()
        .filter(|operation| operation.scopes.is_empty())
        .map(|operation| operation.path)
        .collect();
    assert_eq!(open, OPEN.map(str::to_owned).into());
}

#[tokio::test]
async fn every_example_of_a_body_is_accepted_by_its_reader() {
    let world = World::new().await;
    for operation in operations().iter().filter(|o| o.body.is_some()) {
        let answer = operation.call(&world, Some(&world.admin)).await;
        let unread = ["malformed_json", "unsupported_media_type", "invalid_path"];
        assert!(
            !unread.contains(&answer.code()),
            "{}: {}",
            operation.name(),
            answer.text
        );
    }
}

#[tokio::test]
async fn a_field_nobody_knows_is_refused_everywhere() {
    let world = World::new().await;
    for operation in operations() {
        let Some(mut body) = operation.body.clone() else {
            continue;
        };
        let object = match &mut body {
            Value::Array(items) => &mut items[0],
            object => object,
        };
        object["no_such_field"] = json!(1);
        let strange = Operation {
            body: Some(body),
            ..operation
        };
        let answer = strange.call(&world, Some(&world.admin)).await;
        assert_eq!(answer.status, 422, "{}: {}", strange.name(), answer.text);
        answer.refused(422, "invalid_body");
    }
}

#[tokio::test]
async fn a_query_parameter_nobody_knows_is_refused_by_every_listing() {
    let world = World::new().await;
    for operation in operations().iter().filter(|o| o.method == Method::GET) {
        let listing = [
            "/devices",
            "/stamps",
            "/grants",
            "/audit",
            "/abnormal",
            "/commands",
        ];
        if !listing.iter().any(|end| operation.path.ends_with(end)) {
            continue;
        }
        for (query, code) in [
            ("no_such=1", "invalid_query"),
            ("limit=0", "invalid_query"),
            ("limit=201", "invalid_query"),
            ("limit=many", "invalid_query"),
            ("cursor=nonsense", "bad_cursor"),
        ] {
            let path = format!("{}?{query}", operation.path);
            world.get(&path).await.refused(400, code);
        }
    }
}

#[tokio::test]
async fn a_token_of_one_organization_never_sees_another() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let other = world
        .post(
            "/api/v1/organizations",
            json!({"name": "Other", "owner": {"name": "Zhao", "phone": "13700137000"}}),
        )
        .await
        .id();
    let token = world
        .token(Scopes::all(), Some(other.parse().unwrap()))
        .await;
    for path in [
        format!("/api/v1/organizations/{organization}"),
        format!("/api/v1/organizations/{organization}/members"),
        format!("/api/v1/devices/{device}"),
        format!("/api/v1/devices/{device}/settings"),
        format!("/api/v1/devices/{device}/commands"),
        format!("/api/v1/devices/{device}/stamps"),
        format!("/api/v1/devices?organization={organization}"),
        format!("/api/v1/stamps?organization={organization}"),
        format!("/api/v1/audit?organization={organization}"),
    ] {
        let answer = world.call("GET", &path).with_token(&token).send().await;
        answer.refused(404, "not_found");
    }
    for path in ["lock", "unlock", "bind", "unbind", "refresh-position"] {
        let path = format!("/api/v1/devices/{device}/{path}");
        let answer = world.call("POST", &path).with_token(&token).send().await;
        answer.refused(404, "not_found");
    }
    let devices = world
        .call("GET", "/api/v1/devices")
        .with_token(&token)
        .send()
        .await;
    assert_eq!(devices.body["items"], json!([]));
}
