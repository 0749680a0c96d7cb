//! A GL seal's whole life, as one sentence a step.

use sealgate_simulators::net::LinkFault;
use sealgate_tests::world::{World, press, see};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_lives_from_stock_to_its_unbinding() {
    let world = World::start().await;
    let fleet = world.fleet(&[0], 1);
    let seal = fleet.seals()[0].clone();
    let device = format!("devices/{}", seal.name());

    // In stock it may connect, and is nobody's.
    seal.power_on().await.expect("a seal");
    see(&seal, "not delivered", |view| {
        view.screen.contains("未交付")
    })
    .await;
    assert_eq!(world.api.get(&device).await["life"], "not_delivered");

    // Delivered and bound it asks for a grant (BIND-1, BIND-2).
    world.bind(&seal).await;
    see(&seal, "please grant", |view| view.screen.contains("授权")).await;
    assert_eq!(world.api.get(&device).await["life"], "bound");

    // A grant of three stamps arrives by itself (USE-6, USE-7).
    let grant = world.grant(&seal, 3, true).await;
    see(&seal, "0/3", |view| view.screen.contains("0/3")).await;
    let refused = world
        .api
        .try_post("grants", world.grant_body(seal.name(), 1, false))
        .await;
    assert_eq!((refused.status.as_u16(), refused.rule()), (409, "USE-7"));

    // It stamps online, and the record is there with its member.
    press(&seal).await;
    world.drained(&seal).await;
    let records = world.records(seal.name()).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["grant"], grant["id"]);
    assert_eq!(records[0]["member"], json!(world.member));
    assert_eq!(records[0]["abnormal"], json!(null));

    // Offline mode is switched on by a code to the owner's phone (OFF-1); then it stamps without a network.
    let code = world.code().await;
    let order = world
        .api
        .post(
            &format!("{device}/offline-mode"),
            json!({ "enabled": true, "code": code }),
        )
        .await;
    world.applied(&order).await;
    seal.fault(LinkFault::Cut).await.expect("a seal");
    see(&seal, "offline", |view| !view.online).await;
    press(&seal).await;
    see(&seal, "a record waiting", |view| view.unsent == 1).await;
    seal.fault(LinkFault::Restore).await.expect("a seal");
    world.drained(&seal).await;
    assert_eq!(world.records(seal.name()).await.len(), 2);

    // Locked it refuses, and says what was tried (LOCK-1); unlocked it works again.
    let order = world
        .api
        .post(
            &format!("{device}/lock"),
            json!({ "reason": "lost on the way" }),
        )
        .await;
    world.applied(&order).await;
    see(&seal, "locked", |view| view.locked).await;
    press(&seal).await;
    let order = world.api.post(&format!("{device}/unlock"), json!({})).await;
    world.applied(&order).await;
    see(&seal, "unlocked", |view| !view.locked).await;
    world.drained(&seal).await;
    let records = world.records(seal.name()).await;
    assert_eq!(records[2]["abnormal"], 4, "after a loss lock");

    // The grant is ended (USE-9), and the seal unbound (BIND-3); the records stay readable.
    let id = grant["id"].as_str().expect("an id");
    let early = world
        .api
        .try_post(&format!("{device}/unbind"), json!({}))
        .await;
    assert_eq!((early.status.as_u16(), early.rule()), (409, "BIND-3"));
    world.api.post(&format!("grants/{id}/end"), json!({})).await;
    see(&seal, "no grant", |view| {
        view.grant == 0 || !view.screen.contains('/')
    })
    .await;
    sealgate_tests::wait::until("the grant's end", || async {
        let grant = world.api.get(&format!("grants/{id}")).await;
        (grant["state"] == "ended").then_some(())
    })
    .await;
    let order = world.api.post(&format!("{device}/unbind"), json!({})).await;
    world.applied(&order).await;
    see(&seal, "unbound", |view| !view.bound).await;
    assert_eq!(world.api.get(&device).await["life"], "unbound");
    world
        .agrees_with(&seal.truth().await.expect("a seal"))
        .await;

    // And everything of it is in the audit.
    let audit = world.api.all("audit").await;
    for action in ["bind", "grant", "lock", "unlock", "unbind"] {
        let found = audit
            .iter()
            .any(|row| row["action"].as_str().is_some_and(|a| a.contains(action)));
        assert!(found, "{action} is not in the audit");
    }
}
