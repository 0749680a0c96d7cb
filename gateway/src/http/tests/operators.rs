//! What an operator leans on at night: who may end which token, what a log needs, names beside numbers.

use serde_json::{Value, json};

use crate::{
    app::access::Scopes,
    store::{Lane, StoreError, log},
};

use super::{World, flows::press, id};

impl World {
    /// A token with these scopes: its id and its secret.
    async fn named_token(&self, scopes: &[&str]) -> (String, String) {
        let body = json!({"name": "x", "scopes": scopes});
        let made = self.post("/api/v1/tokens", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.body["token"]["id"].as_str().unwrap().to_owned();
        (id, made.body["secret"].as_str().unwrap().to_owned())
    }

    async fn revoke(&self, token: &str, by: &str) -> super::Answer {
        let path = format!("/api/v1/tokens/{token}");
        self.call("DELETE", &path).with_token(by).send().await
    }
}

#[tokio::test]
async fn a_weaker_token_revokes_no_stronger_one() {
    let world = World::new().await;
    let (strong, _) = world.named_token(&["stamp:read", "fleet:write"]).await;
    let (_, weak) = world.named_token(&["token:admin", "stamp:read"]).await;
    let refused = world.revoke(&strong, &weak).await;
    refused.refused(403, "forbidden");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("fleet:write"), "{detail}");
    let admin = world.app.authenticate(&world.admin).await.unwrap();
    world
        .revoke(&admin.id, &weak)
        .await
        .refused(403, "forbidden");
    let (_, equal) = world
        .named_token(&["token:admin", "stamp:read", "fleet:write"])
        .await;
    assert_eq!(world.revoke(&strong, &equal).await.status, 204);
    assert_eq!(world.revoke(&strong, &equal).await.status, 204, "again");
}

#[tokio::test]
async fn whoever_holds_a_token_may_end_it_and_no_other() {
    let world = World::new().await;
    let (own, secret) = world.named_token(&["stamp:read"]).await;
    let (other, _) = world.named_token(&["stamp:read"]).await;
    world
        .revoke(&other, &secret)
        .await
        .refused(403, "forbidden");
    assert_eq!(world.revoke(&own, &secret).await.status, 204);
    world
        .revoke(&own, &secret)
        .await
        .refused(401, "token_revoked");
}

#[tokio::test]
async fn a_wrong_code_is_counted_also_while_the_order_is_on_its_way() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let member = world.member(&organization).await;
    let more = json!({"offline_allowed": true});
    let grant = world.give(device, &member, more).await.id();
    world.delivered(&grant).await;
    let switch = async |code: &str| {
        let body = json!({"enabled": true, "code": code});
        world.act(device, "offline-mode", body).await
    };
    let code = async || {
        let path = format!("/api/v1/organizations/{organization}/codes");
        let sent = world.post(&path, json!({"purpose": "offline_mode"})).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let text = world.newest_message().await.unwrap();
        let digits = text.chars().filter(char::is_ascii_digit);
        digits.take(6).collect::<String>()
    };
    let first = code().await;
    let ordered = switch(&first).await;
    assert_eq!(ordered.status, 202, "{}", ordered.text);
    assert_eq!(switch(&first).await.id(), ordered.id(), "told again");
    // A second code, while the order still waits for the seal.
    world.pass(std::time::Duration::from_secs(61));
    let second = code().await;
    let wrong = if second == "111111" {
        "222222"
    } else {
        "111111"
    };
    for _ in 0..5 {
        switch(wrong).await.refused(422, "code_wrong");
    }
    switch(&second).await.refused(429, "code_locked_out");
}

#[tokio::test]
async fn records_and_grants_name_their_member() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let member = world.member(&organization).await;
    let given = world.give(device, &member, json!({})).await;
    assert_eq!(given.body["member_name"], "Li Na", "{}", given.text);
    let mut rows = vec![press(1, device, &organization, Some(4))];
    rows.push(press(2, device, &organization, None));
    rows[0].member_id = Some(member.parse().unwrap());
    world.pressed(rows).await;
    for path in [
        "/api/v1/stamps".to_owned(),
        format!("/api/v1/devices/{device}/stamps"),
    ] {
        let answer = world.get(&path).await;
        let items = &answer.body["items"];
        assert_eq!(items[1]["member_name"], "Li Na", "{}", answer.text);
        assert_eq!(items[1]["member"], member.as_str());
        assert_eq!(items[0]["member_name"], Value::Null);
    }
    let abnormal = world.get("/api/v1/abnormal").await;
    assert_eq!(abnormal.body["items"][0]["member_name"], "Li Na");
    let grants = world.get("/api/v1/grants").await;
    assert_eq!(grants.body["items"][0]["member_name"], "Li Na");
}

#[tokio::test]
async fn open_grants_are_those_that_have_not_ended() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let member = world.member(&organization).await;
    let ended = world.give(device, &member, json!({})).await.id();
    let end = format!("/api/v1/grants/{ended}/end");
    world.post(&end, json!({})).await;
    let open = world.give(device, &member, json!({})).await.id();
    let row = ended.parse().unwrap();
    let done: Result<(), StoreError> = world
        .app
        .store
        .write(Lane::Normal, |tx| async move {
            let mut row = crate::store::grant::lock(&tx, row).await?.expect("it");
            row.ended_at = Some(super::NOW.0);
            crate::store::grant::save(&tx, &row).await
        })
        .await;
    done.unwrap();
    let ids = async |query: &str| -> Vec<String> {
        let answer = world.get(&format!("/api/v1/grants{query}")).await;
        let items = answer.body["items"].as_array().expect("a page").clone();
        let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
        let mut ids: Vec<String> = items.iter().map(id).collect();
        // Made in one millisecond of a stopped clock: their order is nobody's.
        ids.sort();
        ids
    };
    assert_eq!(ids("?open=true").await, std::slice::from_ref(&open));
    let mut both = [open, ended];
    both.sort();
    assert_eq!(ids("").await, both);
}

#[test]
fn the_pages_name_every_state_of_a_log_and_every_step() {
    let page = include_str!("../../../../docs/operations.md");
    for name in [
        "open",
        "not_begun",
        "suspended",
        "missing",
        "forked",
        "nothing",
        "resume",
        "reopen",
        "reopen_then_resume",
    ] {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[tokio::test]
async fn settings_far_out_of_range_are_refused_with_the_range() {
    let world = World::new().await;
    let (_, device) = world.bound(true).await;
    let path = format!("/api/v1/devices/{device}/settings");
    for (field, value, code, range) in [
        ("backlight_s", 70_000_i64, "backlight_out_of_range", "180"),
        ("backlight_s", -1, "backlight_out_of_range", "180"),
        ("auto_off_min", 31, "auto_off_out_of_range", "30"),
    ] {
        let mut body = json!({"backlight_s": 30, "auto_off_min": 5});
        body[field] = json!(value);
        let call = world.call("PUT", &path).json(&body);
        let answer = call.header("if-match", "\"1\"").send().await;
        answer.refused(422, code);
        let title = answer.body["title"].as_str().unwrap();
        assert!(title.contains(range), "{title}");
    }
}

#[tokio::test]
async fn a_forked_log_says_what_to_do_in_the_language_that_was_asked_for() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let path = format!("/api/v1/devices/{device}/log");
    let before = world.get(&path).await;
    assert_eq!(before.status, 200, "{}", before.text);
    assert_eq!(before.body["state"], "not_begun");
    assert_eq!(before.body["epoch"], Value::Null);
    let write = |forked: bool| {
        world.app.store.write(Lane::Normal, move |tx| async move {
            let mut row = log::open(&tx, id(device), 1, [5; 32]).await?;
            row.next_seq = 120;
            row.state = if forked { log::AUDIT } else { log::OK }.to_owned();
            log::save(&tx, &row).await?;
            Ok::<_, StoreError>(())
        })
    };
    write(false).await.unwrap();
    let open = world.get(&path).await;
    assert_eq!(open.body["state"], "open");
    assert_eq!(open.body["next_step"], "nothing");
    assert_eq!(open.body["next_seq"], 120);
    write(true).await.unwrap();
    let advice = async |language: &str| {
        let call = world.call("GET", &path).header("accept-language", language);
        let answer = call.send().await;
        assert_eq!(answer.body["state"], "forked", "{}", answer.text);
        assert_eq!(answer.body["next_step"], "reopen");
        answer.body["advice"].as_str().unwrap().to_owned()
    };
    assert!(advice("en").await.contains("takes no records"));
    assert!(advice("zh").await.contains("停止接收"));
    let reopened = world
        .act(device, "log/reopen", json!({"reason": "a clone, scrapped"}))
        .await;
    assert_eq!(reopened.body["state"], "open", "{}", reopened.text);
    // Its own people see it, others do not know of the device.
    let own = world
        .token(Scopes::all(), Some(organization.parse().unwrap()))
        .await;
    let call = world.call("GET", &path).with_token(&own);
    assert_eq!(call.send().await.status, 200);
    let other = json!({"name": "Other", "owner": {"name": "Zhao", "phone": "13700137000"}});
    let other = world.post("/api/v1/organizations", other).await.id();
    let foreign = world
        .token(Scopes::all(), Some(other.parse().unwrap()))
        .await;
    let call = world.call("GET", &path).with_token(&foreign);
    call.send().await.refused(404, "not_found");
}
