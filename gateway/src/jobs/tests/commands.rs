//! Commands: sent once they are signed, until the device answers; states tell what is known.

use sealgate_codec::{
    ErrorCode, Message,
    message::{CmdAck, CmdStatus},
    ticket::Op,
};
use sealgate_domain::{Millis, command::State, device::Life};

use super::world::World;
use crate::{
    app::order::Order,
    devices::link::{CloseReason, LinkKind},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_reaches_a_connected_seal_and_its_answer_closes_it() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let lock = world.order(&seal, Order::Lock {}).await;
    let ticket = link.obey(&mut seal).await;
    assert_eq!((ticket.op, ticket.ctr), (Op::Lock, 1));
    world.until(&lock, State::Applied).await;
    assert_eq!(world.report(&seal).await.locked, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_lock_comes_before_hello_is_even_said() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let lock = world.order(&seal, Order::Lock {}).await;
    let signed = || async { world.command(&lock).await.ticket.is_some() };
    world.eventually("the lock is signed", signed).await;
    let mut link = world.open(&seal, LinkKind::Mqtt).await.unwrap();
    let ticket = link.obey(&mut seal).await;
    assert_eq!(ticket.op, Op::Lock);
    // A lease would have let it go on: HELLO confirms the lock, so now it may have one.
    let ack = link.hello(&mut seal).await;
    assert!(ack.lease.is_some());
    world.until(&lock, State::Applied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lease_before_a_waiting_lock_is_applied_and_one_right_after() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    world.order(&seal, Order::Lock {}).await;
    let mut link = world.open(&seal, LinkKind::Mqtt).await.unwrap();
    let hello = seal.hello();
    link.say(Message::Hello(hello)).await;
    let (mut lease, mut locks) = (None, Vec::new());
    while lease.is_none() {
        match link.message().await.message {
            Message::HelloAck(ack) => assert_eq!(ack.lease, None),
            Message::Cmd(cose) => {
                let (ticket, ack) = seal.obey(&cose);
                locks.push(ticket.op);
                link.say(Message::CmdAck(ack)).await;
            }
            Message::Lease(down) => lease = Some(down.lease),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(locks, [Op::Lock]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unanswered_command_is_sent_again_and_a_silent_lock_closes_the_link() {
    let world = World::with(|config| {
        config.commands.retry_ms = 30;
        config.commands.unresponsive_ms = 80;
    })
    .await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    link.accepted(1).await;
    world.order(&seal, Order::Reboot {}).await;
    let first = link.command().await;
    for _ in 0..3 {
        assert_eq!(link.command().await, first);
    }
    world.order(&seal, Order::Lock {}).await;
    link.command().await;
    assert_eq!(link.close_reason().await, CloseReason::Unresponsive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_given_again_when_hello_tells_that_the_ticket_was_taken() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let lock = world.order(&seal, Order::Lock {}).await;
    let cose = link.command().await;
    seal.obey(&cose);
    link.lose().await;
    assert_eq!(world.command(&lock).await.state, State::Sent.as_str());
    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.lease, None);
    let again = link.command().await;
    assert_eq!(again, cose);
    let (_, ack) = seal.obey(&again);
    link.say(Message::CmdAck(ack)).await;
    world.until(&lock, State::Applied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_lost_is_sent_again_at_the_next_hello() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let config = world
        .order(
            &seal,
            Order::Config {
                version: 2,
                backlight_s: 20,
                auto_off_min: 5,
            },
        )
        .await;
    let first = link.command().await;
    link.lose().await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let again = link.command().await;
    assert_eq!(again, first);
    let (_, ack) = seal.obey(&again);
    link.say(Message::CmdAck(ack)).await;
    world.until(&config, State::Applied).await;
    assert_eq!(world.report(&seal).await.config_version, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_counter_domain_has_one_command_on_its_way_and_the_next_follows_its_answer() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let locate = world.order(&seal, Order::Locate {}).await;
    let reboot = world.order(&seal, Order::Reboot {}).await;
    assert_eq!(
        link.command().await,
        world.command(&locate).await.ticket.unwrap()
    );
    assert_eq!(world.until(&reboot, State::Pending).await.sent_at, None);
    let locate_row = world.command(&locate).await;
    let (_, ack) = seal.obey(&locate_row.ticket.unwrap());
    link.say(Message::CmdAck(ack)).await;
    let ticket = link.obey(&mut seal).await;
    assert_eq!((ticket.op, ticket.ctr), (Op::Reboot, 2));
    world.until(&reboot, State::Applied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superseded_command_is_never_sent() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let lock = world.order(&seal, Order::Lock {}).await;
    let unlock = world.order(&seal, Order::Unlock {}).await;
    assert_eq!(world.command(&lock).await.state, State::Superseded.as_str());
    let (mut link, _) = world.greeted(&mut seal).await;
    let ticket = link.obey(&mut seal).await;
    assert_eq!((ticket.op, ticket.ctr), (Op::Unlock, 2));
    world.until(&unlock, State::Applied).await;
    assert!(!seal.locked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_command_says_so_with_its_code() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let locate = world.order(&seal, Order::Locate {}).await;
    let cose = link.command().await;
    let (_, ack) = seal.obey(&cose);
    let refused = CmdAck {
        status: CmdStatus::Rejected,
        err: Some(ErrorCode::Busy),
        ..ack
    };
    link.say(Message::CmdAck(refused)).await;
    let row = world.until(&locate, State::Rejected).await;
    assert_eq!(row.error_code, Some(0x0303));
    // The device's word came; a later one changes nothing.
    link.say(Message::CmdAck(ack)).await;
    link.accepted(3).await;
    assert_eq!(world.command(&locate).await.state, State::Rejected.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overdue_one_shot_expires() {
    let world = World::start().await;
    let seal = world.bound_seal(1).await;
    // Issued long ago, and the seal is off.
    let long_ago = Millis(1_790_000_000_000);
    let locate = world.order_at(&seal, Order::Locate {}, long_ago).await;
    world.until(&locate, State::Expired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_ahead_of_ours_raise_ours_and_what_waits_is_signed_anew() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let lock = world.order(&seal, Order::Lock {}).await;
    seal.counters[0] = 40;
    let (mut link, _) = world.greeted(&mut seal).await;
    let mut ticket = link.obey(&mut seal).await;
    if ticket.ctr <= 40 {
        // The ticket that left before HELLO; the device refuses its counter.
        ticket = link.obey(&mut seal).await;
    }
    assert_eq!((ticket.op, ticket.ctr), (Op::Lock, 41));
    assert_eq!(world.device(&seal).await.counter_lock, 41);
    assert!(
        world
            .alarms(&seal)
            .await
            .contains(&"counter_ahead".to_owned())
    );
    let _ = lock;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_below_what_was_taken_suspend_the_seal() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let lock = world.order(&seal, Order::Lock {}).await;
    link.obey(&mut seal).await;
    world.until(&lock, State::Applied).await;
    link.lose().await;
    seal.counters = [0; 4];
    let (_link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.lease, None);
    assert_eq!(world.device(&seal).await.life, Life::Suspended.as_str());
    assert!(
        world
            .alarms(&seal)
            .await
            .contains(&"counter_rollback".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_of_erased_flash_are_not_followed_and_suspend_the_seal() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let before = world.device(&seal).await.counter_lock;
    seal.counters = [u32::MAX; 4];
    for _ in 0..2 {
        let (link, ack) = world.greeted(&mut seal).await;
        assert_eq!(ack.lease, None);
        link.lose().await;
    }
    let device = world.device(&seal).await;
    assert_eq!(device.life, Life::Suspended.as_str());
    assert_eq!(device.counter_lock, before);
    let alarms = world.alarms(&seal).await;
    assert!(
        alarms.contains(&"counter_impossible".to_owned()),
        "{alarms:?}"
    );
}
