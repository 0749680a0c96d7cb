//! A GL seal's whole life, as one sentence a step.

use sealgate_simulators::net::{LinkFault, SealHandle};
use sealgate_tests::{
    database::Database,
    on_both_databases,
    wait::until,
    world::{World, press, see},
};
use serde_json::{Value, json};

on_both_databases!(a_seal_lives_from_stock_to_its_unbinding);

async fn a_seal_lives_from_stock_to_its_unbinding(database: Database) {
    let life = Life::begins(database).await;
    life.in_stock_it_may_connect_and_is_nobodys().await;
    life.delivered_and_bound_it_asks_for_a_grant().await;
    let grant = life.a_grant_of_three_stamps_arrives_by_itself().await;
    life.it_stamps_online(&grant).await;
    life.it_stamps_offline().await;
    life.locked_it_refuses_and_unlocked_it_works_again().await;
    life.its_grant_is_ended(&grant).await;
    life.it_is_unbound_and_its_records_stay().await;
    life.everything_is_in_the_audit().await;
}

struct Life {
    world: World,
    seal: SealHandle,
    /// Its address in the API.
    device: String,
    _fleet: sealgate_simulators::fleet::Fleet,
}

impl Life {
    async fn begins(database: Database) -> Self {
        let world = World::on(database).await;
        let fleet = world.fleet(&[0], 1);
        let seal = fleet.seals()[0].clone();
        let device = format!("devices/{}", seal.name());
        Self {
            world,
            seal,
            device,
            _fleet: fleet,
        }
    }

    async fn order(&self, action: &str, body: Value) {
        let path = format!("{}/{action}", self.device);
        let order = self.world.api.post(&path, body).await;
        self.world.applied(&order).await;
    }

    async fn life(&self) -> Value {
        self.world.api.get(&self.device).await["life"].clone()
    }

    /// DEV-2.
    async fn in_stock_it_may_connect_and_is_nobodys(&self) {
        self.seal.power_on().await.expect("a seal");
        see(&self.seal, "not delivered", |view| {
            view.screen.contains("not delivered")
        })
        .await;
        assert_eq!(self.life().await, "not_delivered");
    }

    /// BIND-1, BIND-2.
    async fn delivered_and_bound_it_asks_for_a_grant(&self) {
        self.world.bind(&self.seal).await;
        see(&self.seal, "please grant", |view| {
            view.screen.contains("please grant")
        })
        .await;
        assert_eq!(self.life().await, "bound");
    }

    /// USE-6, and USE-7: one at a time.
    async fn a_grant_of_three_stamps_arrives_by_itself(&self) -> Value {
        let grant = self.world.grant(&self.seal, 3, true).await;
        see(&self.seal, "0/3", |view| view.screen.contains("0/3")).await;
        let another = self.world.grant_body(self.seal.name(), 1, false);
        let refused = self.world.api.try_post("grants", another).await;
        assert_eq!((refused.status.as_u16(), refused.rule()), (409, "USE-7"));
        grant
    }

    async fn it_stamps_online(&self, grant: &Value) {
        press(&self.seal).await;
        self.world.drained(&self.seal).await;
        let records = self.world.records(self.seal.name()).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["grant"], grant["id"]);
        assert_eq!(records[0]["member"], json!(self.world.member));
        assert_eq!(records[0]["abnormal"], json!(null));
    }

    /// OFF-1: switched on by a code to the owner's phone.
    async fn it_stamps_offline(&self) {
        let code = self.world.code().await;
        self.order("offline-mode", json!({ "enabled": true, "code": code }))
            .await;
        self.seal.fault(LinkFault::Cut).await.expect("a seal");
        see(&self.seal, "offline", |view| !view.online).await;
        press(&self.seal).await;
        see(&self.seal, "a record waiting", |view| view.unsent == 1).await;
        self.seal.fault(LinkFault::Restore).await.expect("a seal");
        self.world.drained(&self.seal).await;
        assert_eq!(self.world.records(self.seal.name()).await.len(), 2);
    }

    /// LOCK-1, REC-6.
    async fn locked_it_refuses_and_unlocked_it_works_again(&self) {
        self.order("lock", json!({ "reason": "lost on the way" }))
            .await;
        see(&self.seal, "locked", |view| view.locked).await;
        press(&self.seal).await;
        self.order("unlock", json!({})).await;
        see(&self.seal, "unlocked", |view| !view.locked).await;
        self.world.drained(&self.seal).await;
        let records = self.world.records(self.seal.name()).await;
        assert_eq!(records[2]["abnormal"], 4, "after a loss lock");
    }

    /// USE-9; before it, BIND-3 forbids unbinding.
    async fn its_grant_is_ended(&self, grant: &Value) {
        let early = format!("{}/unbind", self.device);
        let early = self.world.api.try_post(&early, json!({})).await;
        assert_eq!((early.status.as_u16(), early.rule()), (409, "BIND-3"));
        let path = format!("grants/{}", grant["id"].as_str().expect("an id"));
        self.world.api.post(&format!("{path}/end"), json!({})).await;
        until("the grant's end", || async {
            (self.world.api.get(&path).await["state"] == "ended").then_some(())
        })
        .await;
    }

    /// BIND-3.
    async fn it_is_unbound_and_its_records_stay(&self) {
        self.order("unbind", json!({})).await;
        see(&self.seal, "unbound", |view| !view.bound).await;
        assert_eq!(self.life().await, "unbound");
        let truth = self.seal.truth().await.expect("a seal");
        self.world.agrees_with(&truth).await;
    }

    async fn everything_is_in_the_audit(&self) {
        let audit = self.world.api.all("audit").await;
        for action in ["bind", "grant", "lock", "unlock", "unbind"] {
            let found = audit
                .iter()
                .any(|row| row["action"].as_str().is_some_and(|a| a.contains(action)));
            assert!(found, "{action} is not in the audit");
        }
    }
}
