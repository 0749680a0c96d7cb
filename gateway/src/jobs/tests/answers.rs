//! Answers that were lost, came early, or belong to something else; and what is ordered again.

use sealgate_codec::{
    ErrorCode, Message,
    message::{CmdAck, CmdStatus},
    ticket::Op,
};
use sealgate_domain::{command::State, device::Life};

use super::world::{NODE, World};
use crate::{
    app::order::Order,
    devices::link::LinkKind,
    store::{command, report},
};

fn refused(ack: CmdAck, code: ErrorCode) -> Message {
    Message::CmdAck(CmdAck {
        status: CmdStatus::Rejected,
        err: Some(code),
        ..ack
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_whose_answer_was_lost_stays_a_refusal() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let unbind = world.order(&seal, Order::Unbind {}).await;
    let cose = link.command().await;
    // The seal refuses: the counter is taken all the same, and the answer is lost.
    let (_, ack) = seal.obey(&cose);
    seal.generation = 0;
    link.lose().await;
    let (mut link, _) = world.greeted(&mut seal).await;
    assert_eq!(link.command().await, cose);
    assert_eq!(world.command(&unbind).await.state, State::Sent.as_str());
    link.say(refused(ack, ErrorCode::ActiveGrant)).await;
    let row = world.until(&unbind, State::Rejected).await;
    assert_eq!(row.error_code, Some(0x0304));
    assert_eq!(world.device(&seal).await.life, Life::Bound.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unbinding_that_outlived_its_order_is_found_out_at_the_next_hello() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let unbind = world.order(&seal, Order::Unbind {}).await;
    let cose = link.command().await;
    let (_, ack) = seal.obey(&cose);
    world.until(&unbind, State::Sent).await;
    link.lose().await;
    let id = unbind.key();
    world
        .write(move |tx| async move {
            let mut row = command::lock(&tx, id).await?.unwrap();
            row.expires_at = Some(1);
            command::save(&tx, &row).await
        })
        .await;
    world.until(&unbind, State::Expired).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    assert_eq!(link.command().await, cose);
    link.say(Message::CmdAck(ack)).await;
    world.until(&unbind, State::Applied).await;
    let device = world.device(&seal).await;
    assert_eq!((device.life.as_str(), device.generation), ("unbound", 1));
    let alarms = world.alarms(&seal).await;
    assert!(!alarms.contains(&"generation".to_owned()), "{alarms:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hello_contradicts_is_an_alarm_once_a_boot() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    world.greeted(&mut seal).await;
    seal.generation = 3;
    seal.epoch = 2;
    for _ in 0..3 {
        world.greeted(&mut seal).await;
    }
    let raised = || async {
        let mut alarms = world.alarms(&seal).await;
        alarms.sort();
        alarms
    };
    assert_eq!(raised().await, ["generation", "log_epoch"]);
    seal.boot += 1;
    world.greeted(&mut seal).await;
    assert_eq!(world.alarms(&seal).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_does_not_pass_for_applied_because_an_older_command_had_its_counter() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    // A restored backup has forgotten the unlock that took counter 1.
    seal.counters[0] = 1;
    let lock = world.order(&seal, Order::Lock {}).await;
    let signed = || async { world.command(&lock).await.ticket.is_some() };
    world.eventually("the lock is signed", signed).await;
    let mut link = world.open(&seal, LinkKind::Mqtt).await.unwrap();
    let cose = link.command().await;
    let (ticket, ack) = seal.obey(&cose);
    assert_eq!((ticket.op, ticket.ctr), (Op::Lock, 1));
    // The seal knows the counter and tells what became of its own command; it is not locked.
    seal.locked = false;
    link.say(Message::CmdAck(ack)).await;
    let hello = link.hello(&mut seal).await;
    assert_eq!(hello.lease, None);
    let ticket = link.obey(&mut seal).await;
    assert_eq!((ticket.op, ticket.ctr), (Op::Lock, 2));
    let locked = || async { world.report(&seal).await.locked == Some(true) };
    world.eventually("the seal is locked", locked).await;
    assert_eq!(world.command(&lock).await.state, State::Rejected.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_the_seal_refused_is_ordered_again_but_not_more_than_once_a_minute() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    world.connected(&seal).await;
    let long_ago = world.app.clock.now().plus(-70_000);
    let first = world.order_at(&seal, Order::Lock {}, long_ago).await;
    let (_, ack) = seal.obey(&link.command().await);
    seal.locked = false;
    link.say(refused(ack, ErrorCode::Flash)).await;
    world.until(&first, State::Rejected).await;
    world.app.reconcile(NODE).await.unwrap();
    let (ticket, ack) = seal.obey(&link.command().await);
    assert_eq!((ticket.op, ticket.ctr), (Op::Lock, 2));
    seal.locked = false;
    link.say(refused(ack, ErrorCode::Flash)).await;
    let id = seal.id;
    let over = || async {
        let reader = world.app.store.read();
        command::live_of(&reader, id).await.unwrap().is_empty()
    };
    world.eventually("the second is refused too", over).await;
    assert_eq!(world.app.reconcile(NODE).await.unwrap(), 0);
    // HELLO does not hurry it either.
    let (_link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.lease, None);
    assert!(over().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_locked_by_nobody_we_know_of_stays_locked() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    seal.locked = true;
    seal.counters[0] = 7;
    world.greeted(&mut seal).await;
    world.connected(&seal).await;
    assert_eq!(world.app.reconcile(NODE).await.unwrap(), 0);
    let reader = world.app.store.read();
    assert!(command::live_of(&reader, seal.id).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_the_seal_refused_are_ordered_again() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    world.connected(&seal).await;
    world
        .change(&seal, |row| row.desired_config_version = 2)
        .await;
    let order = Order::Config {
        version: 2,
        backlight_s: 20,
        auto_off_min: 5,
    };
    let long_ago = world.app.clock.now().plus(-70_000);
    let first = world.order_at(&seal, order, long_ago).await;
    let (_, ack) = seal.obey(&link.command().await);
    link.say(refused(ack, ErrorCode::Busy)).await;
    world.until(&first, State::Rejected).await;
    world.app.reconcile(NODE).await.unwrap();
    let ticket = link.obey(&mut seal).await;
    assert_eq!((ticket.op, ticket.ctr), (Op::Config, 2));
    let taken = || async { world.report(&seal).await.config_version == Some(2) };
    world.eventually("the seal has its settings", taken).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_no_session_could_take_does_not_count_as_sent() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let mut link = world.open(&seal, LinkKind::Mqtt).await.unwrap();
    world.connected(&seal).await;
    let reboot = world.order(&seal, Order::Reboot {}).await;
    let signed = || async { world.command(&reboot).await.ticket.is_some() };
    world.eventually("it is signed", signed).await;
    let row = world.command(&reboot).await;
    assert_eq!((row.state.as_str(), row.sent_at), ("pending", None));
    link.hello(&mut seal).await;
    assert_eq!(link.obey(&mut seal).await.op, Op::Reboot);
    world.until(&reboot, State::Applied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_mode_is_over_when_the_time_of_its_grant_is() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    world.connected(&seal).await;
    super::lifecycle::held(&world, &seal, 1, 1).await;
    let id = seal.id;
    world
        .write(move |tx| async move {
            let mut row = report::lock(&tx, id).await?.unwrap();
            row.offline_mode = Some(true);
            report::save(&tx, &row).await
        })
        .await;
    world.change(&seal, |row| row.desired_offline = true).await;
    world.app.end_offline_modes().await.unwrap();
    assert!(!world.device(&seal).await.desired_offline);
    let ticket = link.obey(&mut seal).await;
    assert_eq!(ticket.op, Op::Offline);
    let off = || async { world.report(&seal).await.offline_mode == Some(false) };
    world.eventually("the seal is told", off).await;
    // The owner is told once, by the event.
    assert_eq!(world.app.end_offline_modes().await.unwrap(), 0);
    let changes = world.changes(&seal).await;
    let told = changes.iter().filter(|what| *what == "offline_mode_ended");
    assert_eq!(told.count(), 1, "{changes:?}");
}
