//! The interface over a real database (SQLite, or the PostgreSQL that `SEALGATE_TEST_POSTGRES` names), called without
//! sockets.

mod documents;
mod faults;
mod flows;
mod live;
mod operators;
mod refusals;
mod requests;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use sealgate_domain::{DeviceId, Millis, OrganizationId};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    app::{
        Actor, App, Settings,
        access::{Scope, Scopes},
        token::NewToken,
    },
    clock::TestClock,
    config::HttpConfig,
    providers::Providers,
    store::{Lane, StoreError, device, report, testing::Home},
    telemetry::Metrics,
};

use super::{Api, router, values::EXAMPLE_DEVICE};

/// 2026-11-22T12:00:00Z.
const NOW: Millis = Millis(1_795_348_800_000);

/// A node of its own.
struct World {
    app: App,
    router: Router,
    clock: Arc<TestClock>,
    /// A token that may do everything.
    admin: String,
    _home: Home,
}

impl World {
    async fn new() -> Self {
        Self::with(HttpConfig::default()).await
    }

    async fn with(config: HttpConfig) -> Self {
        let home = Home::any().await;
        let store = crate::store::Store::open(&home.config).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::new(TestClock::at(NOW));
        let settings = Settings {
            secret: [7; 32],
            sms_inbox: true,
        };
        let app = App::new(store, clock.clone(), Providers::memory()).with_settings(settings);
        let router = router(Api::new(app.clone(), Arc::new(Metrics::new()), config));
        let mut world = Self {
            app,
            router,
            clock,
            admin: String::new(),
            _home: home,
        };
        world.admin = world.token(Scopes::all(), None).await;
        world
    }

    async fn token(&self, scopes: Scopes, organization: Option<OrganizationId>) -> String {
        let new = NewToken {
            name: "test".into(),
            scopes,
            organization,
            expires_at: None,
        };
        self.app.create_token(&Actor::cli(), new).await.unwrap().1
    }

    async fn only(&self, scope: Scope) -> String {
        self.token([scope].into_iter().collect(), None).await
    }

    /// What was committed gets its positions, as the job would see to.
    async fn sequence(&self) {
        self.app.sequence_outbox().await.unwrap();
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        self.sequence().await;
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    fn call(&self, method: &str, path: &str) -> Call<'_> {
        Call {
            world: self,
            request: Request::builder().method(method).uri(path),
            token: Some(self.admin.clone()),
            body: None,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).send().await
    }

    /// An organization whose owner has the phone 13800138000.
    async fn organization(&self, grants_required: bool) -> String {
        let body = json!({
            "name": "Example Trading Ltd",
            "owner": {"name": "Wang Fang", "phone": "13800138000"},
            "grants_required": grants_required,
        });
        let answer = self.post("/api/v1/organizations", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.id()
    }

    /// The example device, in stock.
    async fn device(&self) -> &'static str {
        let answer = self.post("/api/v1/devices/import", manifest()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        EXAMPLE_DEVICE
    }

    /// The example device, bound to a new organization and connected.
    async fn bound(&self, grants_required: bool) -> (String, &'static str) {
        let organization = self.organization(grants_required).await;
        let device = self.device().await;
        let path = format!("/api/v1/devices/{device}/deliver");
        let answer = self
            .post(&path, json!({"organization": organization}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.connect(device, true).await;
        self.make_bound(device).await;
        (organization, device)
    }

    /// A member of the organization who may be granted something.
    async fn member(&self, organization: &str) -> String {
        let path = format!("/api/v1/organizations/{organization}/members");
        let body = json!({"name": "Li Na", "phone": "13900139000"});
        let answer = self.post(&path, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.id()
    }

    /// The newest text message, if any.
    async fn newest_message(&self) -> Option<String> {
        let inbox = self.get("/api/v1/sms-inbox").await;
        inbox.body["items"][0]["text"].as_str().map(str::to_owned)
    }

    /// The device's session begins or ends.
    async fn connect(&self, device: &str, connected: bool) {
        let id = id(device);
        self.app
            .store
            .write(Lane::Normal, |tx| async move {
                let mut row = report::lock(&tx, id).await?.expect("a report");
                row.connected = connected;
                report::save(&tx, &row).await
            })
            .await
            .map_err(|error: StoreError| error)
            .unwrap();
    }

    /// The device says it was bound.
    async fn make_bound(&self, device: &str) {
        let id = id(device);
        self.app
            .store
            .write(Lane::Normal, |tx| async move {
                let mut row = device::lock(&tx, id).await?.expect("a device");
                let bound = row.state()?.bound().expect("it can be bound");
                row.set_state(bound);
                device::save(&tx, &mut row).await
            })
            .await
            .map_err(|error: StoreError| error)
            .unwrap();
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

fn id(text: &str) -> DeviceId {
    text.parse().unwrap()
}

fn manifest() -> Value {
    json!([{
        "id": EXAMPLE_DEVICE,
        "model": "GL",
        "serial": "GL-0001",
        "log_public": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "cert_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    }])
}

/// A request in the making.
struct Call<'a> {
    world: &'a World,
    request: axum::http::request::Builder,
    token: Option<String>,
    body: Option<String>,
}

impl Call<'_> {
    fn with_token(mut self, secret: &str) -> Self {
        self.token = Some(secret.to_owned());
        self
    }

    fn without_token(mut self) -> Self {
        self.token = None;
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
            .header("content-type", "application/json")
    }

    fn text(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    async fn send(self) -> Answer {
        let mut request = self.request;
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = Body::from(self.body.unwrap_or_default());
        self.world.send(request.body(body).unwrap()).await
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn id(&self) -> String {
        self.body["id"].as_str().expect("an id").to_owned()
    }

    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Asserts a refusal of that status and code, in its proper form.
    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.code()),
            (status, code),
            "{}",
            self.text
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["type"], format!("urn:sealgate:problem:{code}"));
        assert_eq!(self.body["instance"], self.header("x-request-id"));
    }
}
