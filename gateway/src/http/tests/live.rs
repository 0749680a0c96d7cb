//! Events: followed live, continued from a position, seen only by whom they concern.

use axum::{body::Body, http::Request};
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tower::ServiceExt;

use crate::app::{Actor, access::Scopes};

use super::{super::events::HEARTBEAT, World};

/// An open stream, read frame by frame.
struct Live {
    body: std::pin::Pin<Box<dyn Stream<Item = String> + Send>>,
    text: String,
}

impl Live {
    async fn open(world: &World, query: &str, last_id: Option<&str>) -> Self {
        Self::open_as(world, &world.admin, query, last_id).await
    }

    async fn open_as(world: &World, token: &str, query: &str, last_id: Option<&str>) -> Self {
        world.sequence().await;
        let mut request = Request::builder()
            .uri(format!("/api/v1/events{query}"))
            .header("authorization", format!("Bearer {token}"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let chunks = response.into_body().into_data_stream();
        let texts = chunks.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap());
        Self {
            body: Box::pin(texts),
            text: String::new(),
        }
    }

    /// The next event: its id, its name, its data. `None` when the stream has ended.
    async fn next(&mut self) -> Option<(String, String, serde_json::Value)> {
        while !self.text.contains("\n\n") {
            self.text.push_str(&self.body.next().await?);
        }
        let (frame, rest) = self.text.split_once("\n\n").unwrap();
        let field = |name: &str| {
            let line = frame.lines().find_map(|line| line.strip_prefix(name));
            line.expect("the field").trim().to_owned()
        };
        let data = serde_json::from_str(&field("data:")).unwrap();
        let event = (field("id:"), field("event:"), data);
        self.text = rest.to_owned();
        Some(event)
    }
}

#[tokio::test]
async fn a_stream_shows_what_was_and_what_comes() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    let mut live = Live::open(&world, "?after=0&topics=organization", None).await;
    let (_, name, data) = live.next().await.unwrap();
    assert_eq!(name, "organization");
    assert_eq!(data["payload"]["action"], "organization.create");
    assert_eq!(data["organization"], organization);
    let coming = async { live.next().await.unwrap() };
    let doing = async {
        tokio::task::yield_now().await;
        world.member(&organization).await;
        world.sequence().await;
        let head = world.app.newest_position().await.unwrap();
        world.app.wake.numbered(head);
    };
    let ((_, _, data), ()) = tokio::join!(coming, doing);
    assert_eq!(data["payload"]["action"], "member.add");
}

#[tokio::test]
async fn a_stream_goes_on_behind_the_last_event_that_was_seen() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    world.member(&organization).await;
    let mut live = Live::open(&world, "?after=0", None).await;
    let (first, ..) = live.next().await.unwrap();
    let (second, ..) = live.next().await.unwrap();
    assert_ne!(first, second);
    let mut again = Live::open(&world, "?after=0", Some(&first)).await;
    assert_eq!(again.next().await.unwrap().0, second);
}

#[tokio::test]
async fn a_stream_ends_when_the_node_leaves() {
    let world = World::new().await;
    let mut live = Live::open(&world, "", None).await;
    world.app.readiness.drain();
    assert!(live.next().await.is_none());
}

#[tokio::test]
async fn a_long_poll_shows_the_same_events() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    let page = world.get("/api/v1/events?after=0&wait=0").await;
    let events = page.body["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{}", page.text);
    let after = page.body["after"].as_i64().unwrap();
    let path = format!("/api/v1/events?after={after}&wait=30");
    let doing = async {
        tokio::task::yield_now().await;
        world.member(&organization).await;
        world.sequence().await;
        world.app.wake.numbered(after + 1);
    };
    let (page, ()) = tokio::join!(world.get(&path), doing);
    assert_eq!(page.body["events"][0]["payload"]["action"], "member.add");
}

#[tokio::test]
async fn a_bound_token_follows_its_own_organization_only() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    let other = json!({"name": "Other", "owner": {"name": "Zhao", "phone": "13700137000"}});
    let other = world.post("/api/v1/organizations", other).await.id();
    let token = world
        .token(Scopes::all(), Some(other.parse().unwrap()))
        .await;
    let call = world.call("GET", "/api/v1/events?after=0&wait=0");
    let page = call.with_token(&token).send().await;
    let events = page.body["events"].as_array().unwrap();
    assert!(!events.is_empty());
    assert!(events.iter().all(|event| event["organization"] == other));
    assert!(!page.text.contains(&organization));
}

#[tokio::test]
async fn topics_need_their_own_scope() {
    let world = World::new().await;
    let token = world
        .token(Scopes::parse("events:read fleet:read").unwrap(), None)
        .await;
    let follow = |query: &str| {
        let path = format!("/api/v1/events?wait=0&{query}");
        world.call("GET", &path).with_token(&token).send()
    };
    follow("topics=stamp").await.refused(403, "forbidden");
    assert_eq!(follow("topics=device,command").await.status, 200);
    follow("topics=weather").await.refused(422, "invalid_body");
    world.organization(true).await;
    let unseen = follow("after=0").await;
    assert_eq!(unseen.body["events"], json!([]), "{}", unseen.text);
}

#[tokio::test]
async fn a_bad_position_is_refused() {
    let world = World::new().await;
    let call = world.call("GET", "/api/v1/events");
    let answer = call.header("last-event-id", "x").send().await;
    answer.refused(400, "invalid_header");
    world
        .get("/api/v1/events?after=x")
        .await
        .refused(400, "invalid_query");
}

#[tokio::test]
async fn streams_beyond_the_limit_are_turned_away() {
    let world = World::with(crate::config::HttpConfig {
        max_event_streams: 1,
        ..crate::config::HttpConfig::default()
    })
    .await;
    let first = Live::open(&world, "", None).await;
    let answer = world.get("/api/v1/events").await;
    answer.refused(503, "unavailable");
    drop(first);
    let _again = Live::open(&world, "", None).await;
}

#[tokio::test]
async fn one_token_has_its_share_of_streams_and_the_others_have_theirs() {
    let world = World::with(crate::config::HttpConfig {
        max_event_streams: 2,
        max_event_streams_per_token: 1,
        ..crate::config::HttpConfig::default()
    })
    .await;
    let other = world.token(Scopes::all(), None).await;
    let _own = Live::open(&world, "", None).await;
    let answer = world.get("/api/v1/events?wait=0").await;
    answer.refused(429, "too_many_streams");
    let _others = Live::open_as(&world, &other, "", None).await;
    let (organization, device) = world.bound(true).await;
    let locked = world.act(device, "lock", json!({})).await;
    assert_eq!(locked.status, 202, "of {organization}: {}", locked.text);
}

/// Adds a member and lets streams know. Each adds one event.
async fn one_more(world: &World, organization: &str, phone: &str) {
    let path = format!("/api/v1/organizations/{organization}/members");
    let body = json!({"name": "Li Na", "phone": phone});
    let answer = world.post(&path, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    world.sequence().await;
    let head = world.app.newest_position().await.unwrap();
    world.app.wake.numbered(head);
}

#[tokio::test]
async fn a_revoked_token_ends_a_stream_that_is_never_silent() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    let token = world.token(Scopes::all(), None).await;
    let mut live = Live::open_as(&world, &token, "?after=0", None).await;
    assert!(live.next().await.is_some());
    let actor = world.app.authenticate(&token).await.unwrap();
    let (cli, id) = (Actor::cli(), actor.id.parse().unwrap());
    world.app.revoke_token(&cli, id).await.unwrap();
    one_more(&world, &organization, "13900139001").await;
    assert!(live.next().await.is_some(), "looked at once a heartbeat");
    world.pass(HEARTBEAT);
    one_more(&world, &organization, "13900139002").await;
    assert!(live.next().await.is_none());
}

#[tokio::test]
async fn a_reader_behind_retention_is_told_to_begin_anew() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    one_more(&world, &organization, "13900139001").await;
    world.pass(std::time::Duration::from_secs(31 * 24 * 3600));
    one_more(&world, &organization, "13900139002").await;
    world.app.delete_aged().await.unwrap();
    let mut behind = Live::open(&world, "", Some("1")).await;
    let (id, name, data) = behind.next().await.unwrap();
    assert_eq!((id.as_str(), name.as_str()), ("3", "reset"));
    assert_eq!(data, json!({"reason": "expired", "after": 3}));
    one_more(&world, &organization, "13900139003").await;
    assert_eq!(behind.next().await.unwrap().0, "4", "and goes on");
    let mut whole = Live::open(&world, "", Some("2")).await;
    assert_eq!(whole.next().await.unwrap().0, "3", "nothing is missing");
    world
        .get("/api/v1/events?after=1&wait=0")
        .await
        .refused(410, "position_gone");
    let fresh = world.get("/api/v1/events?wait=0").await;
    assert_eq!(fresh.body["after"], 4, "{}", fresh.text);
}

#[tokio::test]
async fn a_position_that_was_never_given_out_is_told_not_waited_for() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    let mut live = Live::open(&world, "", Some("99")).await;
    let (_, name, data) = live.next().await.unwrap();
    assert_eq!(name, "reset");
    assert_eq!(data, json!({"reason": "ahead", "after": 1}));
    one_more(&world, &organization, "13900139001").await;
    assert_eq!(live.next().await.unwrap().0, "2");
    world
        .get("/api/v1/events?after=99&wait=0")
        .await
        .refused(410, "position_gone");
}
