//! What people do with the nouns, and what the rules say to it.

use std::time::Duration;

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use sealgate_domain::{DeviceId, OrganizationId};
use serde_json::{Value, json};

use crate::{
    app::access::Scopes,
    store::{Lane, StoreError, entity::stamp},
};

use super::{super::values::EXAMPLE_DEVICE, Answer, NOW, World, id, manifest};

impl World {
    pub(super) async fn give(&self, device: &str, member: &str, more: Value) -> Answer {
        let mut body = json!({
            "device": device,
            "member": member,
            "count": 10,
            "not_after": "2026-12-31T00:00:00Z",
        });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        self.post("/api/v1/grants", body).await
    }

    pub(super) async fn act(&self, device: &str, what: &str, body: Value) -> Answer {
        let path = format!("/api/v1/devices/{device}/{what}");
        self.post(&path, body).await
    }

    pub(super) async fn delivered(&self, grant: &str) {
        let id = grant.parse().unwrap();
        self.app
            .store
            .write(Lane::Normal, |tx| async move {
                let mut row = crate::store::grant::lock(&tx, id).await?.expect("it");
                row.delivered_at = Some(NOW.0);
                crate::store::grant::save(&tx, &row).await
            })
            .await
            .map_err(|error: StoreError| error)
            .unwrap();
    }
}

#[tokio::test]
async fn an_organization_is_changed_only_from_the_version_that_was_seen() {
    let world = World::new().await;
    let id = world.organization(false).await;
    let path = format!("/api/v1/organizations/{id}");
    let seen = world.get(&path).await;
    assert_eq!(seen.header("etag"), "\"1\"");
    let patch = |tag: Option<&str>, body: Value| {
        let call = world.call("PATCH", &path).json(&body);
        match tag {
            Some(tag) => call.header("if-match", tag),
            None => call,
        }
        .send()
    };
    let body = json!({"grants_required": true});
    patch(None, body.clone())
        .await
        .refused(428, "precondition_required");
    for tag in ["1", "*", "\"x\"", "W/\"1\""] {
        patch(Some(tag), body.clone())
            .await
            .refused(400, "invalid_header");
    }
    patch(Some("\"7\""), body.clone())
        .await
        .refused(412, "precondition_failed");
    let changed = patch(Some("\"1\""), body.clone()).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.body["grants_required"], true);
    assert_eq!(changed.header("etag"), "\"2\"");
    patch(Some("\"1\""), body)
        .await
        .refused(412, "precondition_failed");
}

#[tokio::test]
async fn members_come_and_go_and_the_owner_stays() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    let path = format!("/api/v1/organizations/{organization}/members");
    let member = world.member(&organization).await;
    let again = json!({"name": "Li Na", "phone": "13900139000"});
    let answer = world.post(&path, again).await;
    answer.refused(409, "phone_taken");
    assert_eq!(answer.body["rule"], "ORG-4");
    let all = world.get(&path).await;
    let all = all.body["items"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    let owner = all.iter().find(|m| m["role"] == "owner").unwrap();
    assert_eq!(owner["phone"], "138****8000");
    let owner = owner["id"].as_str().unwrap();
    let delete = |id: &str| world.call("DELETE", &format!("{path}/{id}")).send();
    delete(owner).await.refused(409, "owner_not_removable");
    assert_eq!(delete(&member).await.status, 204);
    assert_eq!(delete(&member).await.status, 204, "again changes nothing");
    let left = world.get(&path).await;
    assert_eq!(left.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_renewed_certificate_is_registered_once_and_only_for_a_seal_in_the_fleet() {
    let world = World::new().await;
    let device = EXAMPLE_DEVICE;
    let body = json!({"cert_sha256": "ab".repeat(32), "cert_not_after": "2029-01-01T00:00:00Z"});
    let renew = |body: &Value| world.act(device, "certificate", body.clone());
    renew(&body).await.refused(404, "not_found");
    world.post("/api/v1/devices/import", manifest()).await;
    let first = renew(&body).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(renew(&body).await.header("etag"), first.header("etag"));
    for (field, value) in [
        ("cert_sha256", "ab"),
        ("cert_not_after", "2001-01-01T00:00:00Z"),
    ] {
        let mut bad = body.clone();
        bad[field] = json!(value);
        renew(&bad).await.refused(422, "invalid_body");
    }
    world.act(device, "revoke", json!({})).await;
    let other = json!({"cert_sha256": "cd".repeat(32), "cert_not_after": "2029-01-01T00:00:00Z"});
    assert_eq!(renew(&other).await.status, 409);
}

#[tokio::test]
async fn a_manifest_sent_twice_changes_nothing_and_other_keys_are_refused() {
    let world = World::new().await;
    let import = |body: Value| world.post("/api/v1/devices/import", body);
    assert_eq!(
        import(manifest()).await.body,
        json!({"added": 1, "unchanged": 0})
    );
    assert_eq!(
        import(manifest()).await.body,
        json!({"added": 0, "unchanged": 1})
    );
    let mut other = manifest();
    other[0]["cert_sha256"] = json!("00".repeat(32));
    import(other).await.refused(422, "invalid_body");
    let device = world.get("/api/v1/devices").await.body["items"][0].clone();
    assert_eq!(device["life"], "not_delivered");
    assert_eq!(device["screen"], "not_delivered");
    assert_eq!(device["connected"], false);
}

#[tokio::test]
async fn binding_needs_a_live_session() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    let device = world.device().await;
    let bind = |name: &'static str| world.act(device, "bind", json!({"name": name}));
    bind("Seal").await.refused(409, "device_not_delivered");
    world
        .act(device, "deliver", json!({"organization": organization}))
        .await;
    let offline = bind("Seal").await;
    offline.refused(409, "device_offline");
    assert_eq!(offline.body["rule"], "BIND-1");
    world.connect(device, true).await;
    let ordered = bind("Seal").await;
    assert_eq!(ordered.status, 202, "{}", ordered.text);
    assert_eq!(ordered.body["op"], "bind");
    let command = world.get(ordered.header("location")).await;
    assert_eq!(command.body["state"], "pending");
    assert!(command.body["expires_at"].is_string());
    assert_eq!(bind("Seal").await.id(), ordered.id(), "once is enough");
    bind("Another name").await.refused(409, "conflict");
}

#[tokio::test]
async fn a_lock_waits_for_a_device_that_is_off() {
    let world = World::new().await;
    let (_, device) = world.bound(true).await;
    world.connect(device, false).await;
    let locked = world.act(device, "lock", json!({"reason": "lost"})).await;
    assert_eq!(locked.status, 202, "{}", locked.text);
    assert_eq!(locked.body["expires_at"], Value::Null);
    assert_eq!(locked.body["waiting_for"], "seal");
    world.connect(device, true).await;
    let order = format!("/api/v1/commands/{}", locked.id());
    assert_eq!(world.get(&order).await.body["waiting_for"], "signer");
    world.connect(device, false).await;
    let shown = world.get(&format!("/api/v1/devices/{device}")).await;
    assert_eq!(shown.body["lock"]["desired"], true);
    assert_eq!(shown.body["lock"]["reported"], Value::Null);
    let again = world.act(device, "lock", json!({})).await;
    assert_eq!(again.id(), locked.id());
    let unlocked = world.act(device, "unlock", json!({})).await;
    assert_eq!(unlocked.status, 202);
    let commands = world
        .get(&format!("/api/v1/devices/{device}/commands"))
        .await;
    let states: Vec<_> = commands.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["op"].as_str().unwrap(), c["state"].as_str().unwrap()))
        .collect();
    assert!(states.contains(&("lock", "superseded")), "{states:?}");
    assert!(states.contains(&("unlock", "pending")), "{states:?}");
}

#[tokio::test]
async fn a_lock_under_a_key_is_one_command_however_often_it_is_sent() {
    let world = World::new().await;
    let (_, device) = world.bound(true).await;
    let path = format!("/api/v1/devices/{device}/lock");
    let send = || {
        let call = world.call("POST", &path).json(&json!({}));
        call.header("idempotency-key", "lock-1").send()
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(first.text, second.text);
}

#[tokio::test]
async fn the_owner_is_told_when_a_lock_took_effect() {
    let world = World::new().await;
    let (_, device) = world.bound(true).await;
    world.app.notify_lock(id(device), true).await.unwrap();
    let text = world.newest_message().await.unwrap();
    assert!(
        text.contains("已锁定") && text.contains("位置未知"),
        "{text}"
    );
}

#[tokio::test]
async fn only_staff_with_a_reason_reopen_a_log() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let path = format!("/api/v1/devices/{device}/log/reopen");
    let body = json!({"reason": "restored"});
    world
        .post(&path, body.clone())
        .await
        .refused(404, "not_found");
    world
        .app
        .store
        .write(Lane::Normal, |tx| async move {
            crate::store::log::open(&tx, id(device), 1, [5; 32]).await?;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    for bad in [
        json!({"reason": " "}),
        json!({"reason": "x", "from_seq": 0}),
        json!({"reason": "x", "head": "0g"}),
    ] {
        assert_eq!(world.post(&path, bad.clone()).await.status, 422, "{bad}");
    }
    let customer = OrganizationId(organization.parse().unwrap());
    let token = world.token(Scopes::all(), Some(customer)).await;
    let call = world.call("POST", &path).json(&body).with_token(&token);
    assert_eq!(call.send().await.status, 403);
    let answer = world.post(&path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["next_seq"], 1);
    assert_eq!(answer.body["head"], "05".repeat(32));
}

#[tokio::test]
async fn settings_are_wanted_from_a_version_and_within_their_ranges() {
    let world = World::new().await;
    let (_, device) = world.bound(true).await;
    let path = format!("/api/v1/devices/{device}/settings");
    let put = |tag: &'static str, backlight: u16| {
        let body = json!({"backlight_s": backlight, "auto_off_min": 5});
        let call = world.call("PUT", &path).json(&body);
        call.header("if-match", tag).send()
    };
    let before = world.get(&path).await;
    assert_eq!(before.header("etag"), "\"1\"");
    let refused = put("\"1\"", 181).await;
    refused.refused(422, "backlight_out_of_range");
    assert_eq!(refused.body["rule"], "MGMT-1");
    let wanted = put("\"1\"", 90).await;
    assert_eq!(wanted.status, 202, "{}", wanted.text);
    assert_eq!(wanted.body["warning"], "screen_life");
    assert_eq!(wanted.body["in_sync"], false);
    let command = world.get(wanted.header("location")).await;
    assert_eq!(command.body["op"], "config");
    put("\"1\"", 60).await.refused(412, "precondition_failed");
    // The next change takes the place of the one on its way.
    let newer = put("\"2\"", 60).await;
    assert_eq!(newer.status, 202, "{}", newer.text);
    let older = world.get(wanted.header("location")).await;
    assert_eq!(older.body["state"], "superseded");
}

#[tokio::test]
async fn a_grant_waits_for_the_end_of_the_one_before() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let member = world.member(&organization).await;
    let first = world.give(device, &member, json!({})).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.body["state"], "to_be_delivered");
    let refused = world.give(device, &member, json!({})).await;
    refused.refused(409, "previous_grant_open");
    assert_eq!(refused.body["rule"], "USE-7");
    let end = format!("/api/v1/grants/{}/end", first.id());
    let ending = world.post(&end, json!({})).await;
    assert_eq!(ending.status, 202, "{}", ending.text);
    assert_eq!(ending.body["state"], "ending");
    let command = world.get(ending.header("location")).await;
    assert_eq!(command.body["op"], "end");
    let again = world.post(&end, json!({})).await;
    assert_eq!(again.header("location"), ending.header("location"));
    let queued = world.give(device, &member, json!({})).await;
    assert_eq!(queued.status, 201, "{}", queued.text);
    assert_eq!(queued.body["no"], 2);
    let list = world.get("/api/v1/grants?state=ending").await;
    assert_eq!(list.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn ending_a_queued_grant_ends_the_older_one_on_the_device_too() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let member = world.member(&organization).await;
    let end = async |id: &str| {
        let path = format!("/api/v1/grants/{id}/end");
        world.post(&path, json!({})).await
    };
    let first = world.give(device, &member, json!({})).await.id();
    end(&first).await;
    let second = world.give(device, &member, json!({})).await.id();
    end(&second).await;
    let live = crate::store::command::live_of(&world.app.store.read(), id(device))
        .await
        .unwrap();
    let mut ends: Vec<_> = live.iter().filter(|c| c.op == "end").collect();
    ends.sort_by_key(|command| command.counter);
    let ended: Vec<_> = ends
        .into_iter()
        .map(|command| command.args["grant"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ended, [first, second]);
}

#[tokio::test]
async fn a_grant_that_can_never_be_is_refused_by_its_rule() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let member = world.member(&organization).await;
    for (more, code) in [
        (json!({"count": 501}), "grant_count_out_of_range"),
        (
            json!({"not_after": "2026-01-01T00:00:00Z"}),
            "grant_window_invalid",
        ),
        (
            json!({"not_before": "2025-01-01T00:00:00Z", "not_after": "2026-01-01T00:00:00Z"}),
            "grant_end_in_past",
        ),
        (json!({"remark": "x".repeat(121)}), "grant_remark_too_long"),
        (
            json!({"region": {"circle": {"center": {"lat": 95.0, "lon": 0.0}, "radius_m": 100}}}),
            "grant_region_invalid",
        ),
    ] {
        world.give(device, &member, more).await.refused(422, code);
    }
    let nobody = "0193a1b2-0000-7000-8000-000000000001";
    world
        .give(device, nobody, json!({}))
        .await
        .refused(404, "not_found");
    let circle = json!({"circle": {"center": {"lat": 31.2, "lon": 121.4}, "radius_m": 100}});
    let given = world.give(device, &member, json!({"region": circle})).await;
    assert_eq!(given.body["region"], circle, "{}", given.text);
}

#[tokio::test]
async fn free_use_knows_no_grants() {
    let world = World::new().await;
    let (organization, device) = world.bound(false).await;
    let member = world.member(&organization).await;
    let refused = world.give(device, &member, json!({})).await;
    refused.refused(409, "grants_not_required");
    assert_eq!(refused.body["rule"], "USE-15");
}

#[tokio::test]
async fn offline_mode_needs_a_grant_and_the_owners_code() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let switch = async |code: &str| {
        let body = json!({"enabled": true, "code": code});
        world.act(device, "offline-mode", body).await
    };
    switch("000000")
        .await
        .refused(409, "offline_mode_needs_grant");
    let member = world.member(&organization).await;
    let more = json!({"offline_allowed": true});
    let grant = world.give(device, &member, more).await.id();
    world.delivered(&grant).await;
    switch("000000").await.refused(422, "code_wrong");
    let codes = format!("/api/v1/organizations/{organization}/codes");
    let send = || world.post(&codes, json!({"purpose": "offline_mode"}));
    let sent = send().await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(sent.body["phone"], "138****8000");
    send().await.refused(429, "code_too_soon");
    let text = world.newest_message().await.unwrap();
    let code: String = text.chars().filter(char::is_ascii_digit).take(6).collect();
    let wrong = if code == "111111" { "222222" } else { "111111" };
    switch(wrong).await.refused(422, "code_wrong");
    let ordered = switch(&code).await;
    assert_eq!(ordered.status, 202, "{}", ordered.text);
    assert_eq!(ordered.body["op"], "offline");
    world.connect(device, false).await;
    switch(&code)
        .await
        .refused(409, "offline_mode_device_offline");
}

#[tokio::test]
async fn a_code_is_sent_for_a_device_of_the_organization_only() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let other = json!({"name": "Other", "owner": {"name": "Zhao", "phone": "13700137000"}});
    let other = world.post("/api/v1/organizations", other).await.id();
    let world = &world;
    let send = |organization: String| async move {
        let path = format!("/api/v1/organizations/{organization}/codes");
        let body = json!({"purpose": "offline_mode", "device": device});
        world.post(&path, body).await
    };
    send(other).await.refused(404, "not_found");
    assert!(world.newest_message().await.is_none(), "nothing was sent");
    let own = send(organization).await;
    assert_eq!(own.status, 202, "{}", own.text);
}

#[tokio::test]
async fn five_wrong_codes_are_enough() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let member = world.member(&organization).await;
    let more = json!({"offline_allowed": true});
    let grant = world.give(device, &member, more).await.id();
    world.delivered(&grant).await;
    let codes = format!("/api/v1/organizations/{organization}/codes");
    world.post(&codes, json!({"purpose": "offline_mode"})).await;
    let text = world.newest_message().await.unwrap();
    let code: String = text.chars().filter(char::is_ascii_digit).take(6).collect();
    let wrong = if code == "111111" { "222222" } else { "111111" };
    for _ in 0..5 {
        let body = json!({"enabled": true, "code": wrong});
        let answer = world.act(device, "offline-mode", body).await;
        answer.refused(422, "code_wrong");
    }
    let body = json!({"enabled": true, "code": code});
    let answer = world.act(device, "offline-mode", body).await;
    answer.refused(429, "code_locked_out");
}

#[tokio::test]
async fn unbinding_is_refused_while_anything_is_open() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let member = world.member(&organization).await;
    let grant = world.give(device, &member, json!({})).await.id();
    let unbind = || world.act(device, "unbind", json!({}));
    unbind().await.refused(409, "device_grant_not_ended");
    world
        .post(&format!("/api/v1/grants/{grant}/end"), json!({}))
        .await;
    world.act(device, "lock", json!({})).await;
    unbind().await.refused(409, "device_locked");
    world.act(device, "unlock", json!({})).await;
    world.connect(device, false).await;
    unbind().await.refused(409, "device_offline");
    world.connect(device, true).await;
    assert_eq!(unbind().await.status, 202);
}

#[tokio::test]
async fn staff_suspend_resume_retire_and_revoke() {
    let world = World::new().await;
    let (_, device) = world.bound(true).await;
    let mut changed = world.app.wake.changed_devices();
    let act = |what: &'static str| world.act(device, what, json!({"reason": "test"}));
    assert_eq!(act("suspend").await.body["life"], "suspended");
    assert_eq!(changed.recv().await.unwrap(), id(device));
    let path = format!("/api/v1/devices/{device}");
    assert_eq!(world.get(&path).await.body["suspended_reason"], "test");
    act("suspend").await.refused(409, "device_suspended");
    assert_eq!(act("lock").await.status, 202, "a lost seal can be locked");
    act("refresh-position")
        .await
        .refused(409, "device_suspended");
    let resumed = act("resume").await;
    assert_eq!(resumed.body["life"], "bound");
    assert_eq!(resumed.body["suspended_reason"], Value::Null);
    act("retire").await.refused(409, "device_still_bound");
    act("suspend").await;
    let revoked = act("revoke").await;
    assert!(revoked.body["revoked_at"].is_string(), "{}", revoked.text);
    let commands = world
        .get(&format!("/api/v1/devices/{device}/commands"))
        .await;
    assert_eq!(commands.body["items"][0]["state"], "expired");
    assert_eq!(commands.body["items"][0]["waiting_for"], Value::Null);
    assert_eq!(act("retire").await.body["life"], "retired");
    act("resume").await.refused(409, "device_retired");
}

#[tokio::test]
async fn a_device_is_renamed_and_the_audit_says_who_did_it() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let call = world.call("PATCH", &format!("/api/v1/devices/{device}"));
    let renamed = call.json(&json!({"name": "  前台公章 "})).send().await;
    assert_eq!(renamed.body["name"], "前台公章", "{}", renamed.text);
    let path = format!("/api/v1/audit?organization={organization}");
    let audit = world.get(&path).await;
    let newest = &audit.body["items"][0];
    assert_eq!(newest["action"], "device.update");
    assert!(newest["actor"].as_str().unwrap().starts_with("token:"));
    assert_eq!(newest["hash"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn a_token_ends_by_revocation_and_by_time() {
    let world = World::new().await;
    let body = json!({
        "name": "console",
        "scopes": ["org:read"],
        "expires_at": "2026-11-22T13:00:00Z",
    });
    let made = world.post("/api/v1/tokens", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let secret = made.body["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("sk_") && secret.len() >= 35, "{secret}");
    let use_it = |secret: String| {
        let call = world.call("GET", "/api/v1/organizations");
        call.with_token(&secret).send()
    };
    assert_eq!(use_it(secret.clone()).await.status, 200);
    let other = world.post("/api/v1/tokens", body).await;
    let id = other.body["token"]["id"].as_str().unwrap();
    let path = format!("/api/v1/tokens/{id}");
    assert_eq!(world.call("DELETE", &path).send().await.status, 204);
    let revoked = other.body["secret"].as_str().unwrap().to_owned();
    use_it(revoked).await.refused(401, "token_revoked");
    world.pass(Duration::from_secs(3600));
    use_it(secret).await.refused(401, "token_expired");
    let list = world.get("/api/v1/tokens").await;
    assert!(!list.text.contains("secret"), "{}", list.text);
}

#[tokio::test]
async fn nobody_makes_a_token_mightier_than_the_own() {
    let world = World::new().await;
    let organization = world.organization(true).await;
    let limited = world
        .token(Scopes::parse("token:admin org:read").unwrap(), None)
        .await;
    let ask = |token: String, body: Value| {
        let call = world.call("POST", "/api/v1/tokens").with_token(&token);
        call.json(&body).send()
    };
    let body = json!({"name": "x", "scopes": ["device:control"]});
    ask(limited, body).await.refused(422, "invalid_body");
    let bound = world
        .token(Scopes::all(), Some(organization.parse().unwrap()))
        .await;
    let body = json!({"name": "x", "scopes": ["org:read"]});
    let made = ask(bound, body).await;
    assert_eq!(made.body["token"]["organization"], organization);
}

#[tokio::test]
async fn a_secret_is_never_stored_for_a_repeat() {
    let world = World::new().await;
    let body = json!({"name": "x", "scopes": ["org:read"]});
    let send = || {
        let call = world.call("POST", "/api/v1/tokens").json(&body);
        call.header("idempotency-key", "t1").send()
    };
    assert_eq!(send().await.status, 201);
    send().await.refused(409, "conflict");
}

pub(super) fn press(
    position: i64,
    device: &str,
    organization: &str,
    abnormal: Option<i32>,
) -> stamp::Model {
    stamp::Model {
        position,
        device_id: id(device).to_key(),
        epoch: 1,
        seq: position,
        boot: 1,
        up: 60,
        wall: 0,
        clock_quality: 0,
        kind: 1,
        grant_no: 0,
        grant_id: None,
        member_id: None,
        organization_id: Some(organization.parse().unwrap()),
        n: 0,
        lat_e7: Some(312_304_000),
        lon_e7: Some(1_214_737_000),
        accuracy: Some(12),
        facts: 1,
        abnormal,
        record: vec![1],
        hash: vec![2; 32],
        received_at: NOW.0 + position,
        corrected_at: NOW.0 + position,
        uncertainty_s: 5,
        battery: None,
    }
}

impl World {
    pub(super) async fn pressed(&self, presses: Vec<stamp::Model>) {
        self.app
            .store
            .write(Lane::Normal, |tx| {
                let rows = presses.clone().into_iter();
                async move {
                    let rows = rows.map(|row| row.into_active_model().reset_all());
                    for row in rows {
                        stamp::Entity::insert(row)
                            .exec_without_returning(&*tx)
                            .await?;
                    }
                    Ok(())
                }
            })
            .await
            .map_err(|error: StoreError| error)
            .unwrap();
    }
}

#[tokio::test]
async fn stamps_are_listed_newest_first_and_by_filter() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let rows = (1..=5).map(|n| press(n, device, &organization, (n == 2).then_some(3)));
    world.pressed(rows.collect()).await;
    let seqs = |answer: &Answer| -> Vec<i64> {
        let items = answer.body["items"].as_array().unwrap();
        items.iter().map(|s| s["seq"].as_i64().unwrap()).collect()
    };
    let first = world.get("/api/v1/stamps?limit=3").await;
    assert_eq!(seqs(&first), [5, 4, 3], "{}", first.text);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = world
        .get(&format!("/api/v1/stamps?limit=3&cursor={cursor}"))
        .await;
    assert_eq!(seqs(&second), [2, 1]);
    let stamp = &first.body["items"][0];
    assert_eq!(stamp["facts"]["grant_state"], "active");
    assert_eq!(stamp["position"]["lat"], 31.2304);
    assert_eq!(stamp["grant"], Value::Null);
    let abnormal = world.get("/api/v1/stamps?abnormal=true").await;
    assert_eq!(seqs(&abnormal), [2]);
    assert_eq!(abnormal.body["items"][0]["abnormal_name"], "no grant");
    assert!(seqs(&world.get("/api/v1/stamps?class=4").await).is_empty());
    let from = "2026-11-22T12:00:00.004Z";
    assert_eq!(
        seqs(&world.get(&format!("/api/v1/stamps?from={from}")).await),
        [5, 4]
    );
    let log = world
        .get(&format!("/api/v1/devices/{device}/stamps?limit=2"))
        .await;
    assert_eq!(seqs(&log), [5, 4]);
    world
        .get("/api/v1/stamps?class=11")
        .await
        .refused(400, "invalid_query");
}

#[tokio::test]
async fn abnormal_use_is_unread_until_it_is_marked() {
    let world = World::new().await;
    let (organization, device) = world.bound(true).await;
    let rows = (1..=4).map(|n| press(n, device, &organization, (n % 2 == 0).then_some(4)));
    world.pressed(rows.collect()).await;
    let list = world.get("/api/v1/abnormal?limit=1").await;
    assert_eq!(list.body["unread"], 2, "{}", list.text);
    assert_eq!(list.body["newest"], 4);
    let mark = |upto: i64| world.post("/api/v1/abnormal/read", json!({"upto": upto}));
    assert_eq!(mark(2).await.body["unread"], 1);
    assert_eq!(mark(1).await.body["unread"], 1, "a mark never goes back");
    assert_eq!(mark(1_000).await.body["unread"], 0);
    world
        .pressed(vec![press(5, device, &organization, Some(1))])
        .await;
    assert_eq!(world.get("/api/v1/abnormal").await.body["unread"], 1);
}

#[tokio::test]
async fn a_certificate_belongs_to_one_device_and_names_can_be_seen() {
    let world = World::new().await;
    let import = |body: Value| world.post("/api/v1/devices/import", body);
    let mut other = manifest()[0].clone();
    other["id"] = json!(DeviceId([9; 8]).to_string());
    other["serial"] = json!("GL-0002");
    let both = import(json!([manifest()[0], other])).await;
    both.refused(422, "invalid_body");
    assert_eq!(both.body["errors"][0]["field"], "[1].cert_sha256");
    assert_eq!(import(manifest()).await.status, 200);
    let later = import(json!([other])).await;
    later.refused(422, "invalid_body");
    assert!(later.text.contains(EXAMPLE_DEVICE), "{}", later.text);
    other["cert_sha256"] = json!("ab".repeat(32));
    for unseen in ["\u{200b}", "\u{feff}\u{2060}", "a\u{7}"] {
        let mut odd = other.clone();
        odd["serial"] = json!(unseen);
        let refused = import(json!([odd])).await;
        refused.refused(422, "invalid_body");
        assert_eq!(refused.body["errors"][0]["field"], "[0].serial");
    }
    assert_eq!(import(json!([other])).await.status, 200);
}
