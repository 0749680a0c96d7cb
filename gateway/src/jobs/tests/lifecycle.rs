//! A seal's life: unbound, bound, granted, ended, unbound; free use.

use sealgate_codec::{
    ErrorCode, Message,
    message::{CmdAck, CmdStatus, Life as WireLife},
    ticket::Op,
};
use sealgate_domain::{GrantId, Millis, command::State, device::Life, grant::GrantState};
use uuid::Uuid;

use super::world::{NODE, Seal, World};
use crate::{
    app::order::{GrantOrder, Order},
    store::{self, grant},
};

const NOT_AFTER: i64 = 4_000_000_000_000;

/// A grant that the seal holds already.
pub(super) async fn held(world: &World, seal: &Seal, no: u32, not_after: i64) -> GrantId {
    let mut row = row(world, seal, no, not_after);
    row.delivered_at = Some(1);
    let id = row.key();
    world
        .write(move |tx| {
            let row = row.clone();
            async move { grant::insert(&tx, &row).await }
        })
        .await;
    id
}

/// Somebody wants the grant to end; the order is another matter.
async fn request_end(world: &World, id: GrantId) {
    world
        .write(move |tx| async move {
            let mut row = grant::lock(&tx, id).await?.unwrap();
            row.end_requested_at = Some(2);
            grant::save(&tx, &row).await
        })
        .await;
}

fn row(world: &World, seal: &Seal, no: u32, not_after: i64) -> grant::Row {
    let id = GrantId(Uuid::from_u128(u128::from(no) + 100));
    grant::Row {
        id: id.0,
        device_id: seal.id.to_key(),
        no: i64::from(no),
        organization_id: world.organization.0,
        member_id: None,
        max_count: 3,
        used: 0,
        not_before: 0,
        not_after,
        method: "direct".to_owned(),
        flags: 0,
        region: None,
        document: None,
        remark: String::new(),
        created_by: "test".to_owned(),
        created_at: 0,
        delivered_at: None,
        exhausted_at: None,
        end_requested_at: None,
        ended_at: None,
        end_reason: None,
    }
}

/// A direct grant's row and its order.
async fn give(world: &World, seal: &Seal, no: u32) -> (GrantId, store::command::Row) {
    let row = row(world, seal, no, NOT_AFTER);
    let id = row.key();
    world
        .write(move |tx| {
            let row = row.clone();
            async move { grant::insert(&tx, &row).await }
        })
        .await;
    let order = Order::Grant(GrantOrder {
        grant: id.0,
        no,
        user: 1,
        max: 3,
        flags: 0,
        not_before: 0,
        not_after: NOT_AFTER,
        region: None,
    });
    (id, world.order(seal, order).await)
}

async fn state(world: &World, id: GrantId) -> GrantState {
    let reader = world.app.store.read();
    let row = grant::find(&reader, id).await.unwrap().unwrap();
    row.state().state(Millis(1_790_000_000_000))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unbound_seal_may_greet_and_be_bound_and_nothing_else() {
    let world = World::start().await;
    let mut seal = world.seal(1).await;
    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.life, WireLife::Unbound);
    // Signed time, without which it could take no command.
    assert!(ack.lease.is_some());
    link.say(Message::Stamps(seal.press(1))).await;
    assert_eq!(link.error().await, ErrorCode::Unbound);
    assert!(world.stored(&seal).await.is_empty());

    let bind = world.order(&seal, Order::Bind { name: None }).await;
    let ticket = link.obey(&mut seal).await;
    assert_eq!(ticket.op, Op::Bind);
    world.until(&bind, State::Applied).await;
    assert_eq!(world.device(&seal).await.life, Life::Bound.as_str());
    // What it had kept is taken now.
    let mut again = Seal::new(1);
    again.up = 11;
    link.say(Message::Stamps(again.press(1))).await;
    assert_eq!(link.log_ack().await.upto, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_is_delivered_and_ended_and_a_newer_one_ends_the_older() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let (first, command) = give(&world, &seal, 1).await;
    assert_eq!(state(&world, first).await, GrantState::ToBeDelivered);
    assert_eq!(link.obey(&mut seal).await.op, Op::Grant);
    world.until(&command, State::Applied).await;
    assert_eq!(state(&world, first).await, GrantState::InUse);

    let (second, command) = give(&world, &seal, 2).await;
    link.obey(&mut seal).await;
    world.until(&command, State::Applied).await;
    assert_eq!(state(&world, first).await, GrantState::Ended);

    let order = Order::End {
        grant: second.0,
        no: 2,
    };
    let end = world.order(&seal, order).await;
    assert_eq!(link.obey(&mut seal).await.op, Op::End);
    world.until(&end, State::Applied).await;
    assert_eq!(state(&world, second).await, GrantState::Ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_ended_before_delivery_never_reaches_the_seal() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (id, granted) = give(&world, &seal, 1).await;
    let order = Order::End { grant: id.0, no: 1 };
    let end = world.order(&seal, order).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let ticket = link.obey(&mut seal).await;
    assert_eq!((ticket.op, ticket.ctr), (Op::End, 2));
    world.until(&end, State::Applied).await;
    assert_eq!(
        world.command(&granted).await.state,
        State::Superseded.as_str()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_whose_end_was_refused_is_still_ending_and_its_end_is_ordered_again() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    world.connected(&seal).await;
    let id = held(&world, &seal, 1, NOT_AFTER).await;
    let long_ago = world.app.clock.now().plus(-70_000);
    let order = Order::End { grant: id.0, no: 1 };
    let end = world.order_at(&seal, order, long_ago).await;
    request_end(&world, id).await;
    let (_, ack) = seal.obey(&link.command().await);
    link.say(Message::CmdAck(CmdAck {
        status: CmdStatus::Rejected,
        err: Some(ErrorCode::Busy),
        ..ack
    }))
    .await;
    world.until(&end, State::Rejected).await;
    assert_eq!(state(&world, id).await, GrantState::Ending);
    world.app.reconcile(NODE).await.unwrap();
    let ticket = link.obey(&mut seal).await;
    assert_eq!((ticket.op, ticket.ctr), (Op::End, 2));
    let ended = || async { state(&world, id).await == GrantState::Ended };
    world.eventually("it has ended", ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_knows_no_such_grant_has_ended_it() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let id = held(&world, &seal, 1, NOT_AFTER).await;
    request_end(&world, id).await;
    let end = world.order(&seal, Order::End { grant: id.0, no: 1 }).await;
    let (_, ack) = seal.obey(&link.command().await);
    link.say(Message::CmdAck(CmdAck {
        status: CmdStatus::Rejected,
        err: Some(ErrorCode::NoGrant),
        ..ack
    }))
    .await;
    world.until(&end, State::Rejected).await;
    assert_eq!(state(&world, id).await, GrantState::Ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_grant_queues_behind_the_end_of_the_old_and_no_lease_goes_before_that_end() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let old = held(&world, &seal, 1, NOT_AFTER).await;
    request_end(&world, old).await;
    let order = Order::End {
        grant: old.0,
        no: 1,
    };
    world.order(&seal, order).await;
    let (new, _) = give(&world, &seal, 2).await;
    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.lease, None);
    assert_eq!(link.obey(&mut seal).await.op, Op::End);
    // Signed time first: without it the seal could not take the grant.
    let next = link.message().await.message;
    assert!(matches!(next, Message::Lease(_)), "{next:?}");
    assert_eq!(link.obey(&mut seal).await.op, Op::Grant);
    assert_eq!(state(&world, old).await, GrantState::Ended);
    let used = || async { state(&world, new).await == GrantState::InUse };
    world.eventually("the new grant is in use", used).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lease_goes_out_while_a_grant_is_ending_without_an_order_on_its_way() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let id = held(&world, &seal, 1, NOT_AFTER).await;
    request_end(&world, id).await;
    let standing = world.app.device_standing(seal.id).await.unwrap().unwrap();
    assert!(!standing.lease);
    // HELLO finds that nothing is on its way and orders the end.
    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.lease, None);
    assert_eq!(link.obey(&mut seal).await.op, Op::End);
    let next = link.message().await.message;
    assert!(matches!(next, Message::Lease(_)), "{next:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_use_waits_while_the_seal_is_being_unbound_and_goes_on_when_it_refuses() {
    let world = World::start().await;
    world.require_no_grants().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    world.connected(&seal).await;
    assert_eq!(link.obey(&mut seal).await.op, Op::Grant);
    let actor = crate::app::Actor::system();
    let unbinding = world.app.unbind_device(&actor, seal.id, "moved").await;
    let unbind = unbinding.unwrap();
    let mut refusal = None;
    for _ in 0..2 {
        let (ticket, ack) = seal.obey(&link.command().await);
        match ticket.op {
            Op::Unbind => refusal = Some(ack),
            _ => {
                link.say(Message::CmdAck(ack)).await;
            }
        }
        assert_eq!(world.renew_free_use().await.unwrap(), 0);
    }
    seal.generation = 0;
    link.say(Message::CmdAck(CmdAck {
        status: CmdStatus::Rejected,
        err: Some(ErrorCode::LogFull),
        ..refusal.unwrap()
    }))
    .await;
    world.until(&unbind, State::Rejected).await;
    assert_eq!(link.obey(&mut seal).await.op, Op::Grant);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_mode_ends_with_its_grant() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let (id, _) = give(&world, &seal, 1).await;
    link.obey(&mut seal).await;
    world.change(&seal, |row| row.desired_offline = true).await;
    let end = world.order(&seal, Order::End { grant: id.0, no: 1 }).await;
    link.obey(&mut seal).await;
    world.until(&end, State::Applied).await;
    assert!(!world.device(&seal).await.desired_offline);
    assert_eq!(world.report(&seal).await.offline_mode, Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unbinding_begins_a_new_generation_and_clears_the_old() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let unbind = world.order(&seal, Order::Unbind {}).await;
    assert_eq!(link.obey(&mut seal).await.op, Op::Unbind);
    world.until(&unbind, State::Applied).await;
    let device = world.device(&seal).await;
    assert_eq!((device.life.as_str(), device.generation), ("unbound", 1));
    link.say(Message::Stamps(seal.press(1))).await;
    assert_eq!(link.error().await, ErrorCode::Unbound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_of_free_use_always_holds_an_implicit_grant() {
    let world = World::start().await;
    world.require_no_grants().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let ticket = link.obey(&mut seal).await;
    assert_eq!(ticket.op, Op::Grant);
    // A day from the decision; the signature may be seconds younger.
    let life = ticket.exp.unwrap() - ticket.iat;
    assert!((86_400 - 60..=86_400).contains(&life), "good for {life} s");
    // It is good for hours: nothing to renew now, or at the next HELLO.
    assert_eq!(world.renew_free_use().await.unwrap(), 0);
    let open = grant::open_of(&world.app.store.read(), seal.id)
        .await
        .unwrap();
    assert_eq!((open.len(), open[0].method.as_str()), (1, "implicit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binding_goes_on_by_what_wakes_and_waits_for_no_tick() {
    const SEALS: u8 = 12;
    // A tick that were waited for would come when the test has long given up.
    let world = World::with(|config| config.commands.poll_ms = 3_600_000).await;
    world.require_no_grants().await;
    let mut bound = Vec::new();
    for number in 1..=SEALS {
        let mut seal = world.seal(number).await;
        let (link, _) = world.greeted(&mut seal).await;
        bound.push((seal, link));
    }
    // All are ordered before the first one answers.
    let mut orders = Vec::new();
    for (seal, _) in &bound {
        orders.push(world.order(seal, Order::Bind { name: None }).await);
    }
    for (seal, link) in &mut bound {
        assert_eq!(link.obey(seal).await.op, Op::Bind);
        assert_eq!(link.obey(seal).await.op, Op::Grant);
    }
    for order in &orders {
        world.until(order, State::Applied).await;
    }
}
