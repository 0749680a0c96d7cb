//! Records: once each, in order, acknowledged after the commit and never before.

use sealgate_codec::{
    ErrorCode, Message,
    message::{Event, Stamps},
    record::{Entry, Facts, GrantState, Record},
};
use sealgate_domain::device::Life;

use super::world::World;
use crate::{
    app::{
        Actor,
        device::{LogPlace, LogState, LogStep},
    },
    devices::link::{CloseReason, Downlink, LinkKind, UplinkLane},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stamp_is_stored_then_acknowledged_then_accepted() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.ackto, 1);
    link.accepted(1).await;
    let mid = link.say(Message::Stamps(seal.press(1))).await;
    let Some(Downlink::Payload { payload, .. }) = link.next().await else {
        panic!("LOG-ACK first");
    };
    assert_eq!(world.stored(&seal).await, [1]);
    let frame = sealgate_codec::Frame::decode(&payload).unwrap();
    assert_eq!(frame.re, Some(mid));
    let Message::LogAck(ack) = frame.message else {
        panic!("LOG-ACK");
    };
    assert_eq!((ack.upto, ack.gaps.len(), ack.receipt), (2, 0, None));
    link.accepted(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_sent_twice_is_stored_once_and_acknowledged_twice() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let batch = seal.press(3);
    for _ in 0..2 {
        link.say(Message::Stamps(batch.clone())).await;
        assert_eq!(link.log_ack().await.upto, 4);
    }
    link.accepted(3).await;
    assert_eq!(world.stored(&seal).await, [1, 2, 3]);
    assert_eq!(world.metrics.stamps_duplicate.get(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_in_flight_are_acknowledged_in_their_order() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    link.accepted(1).await;
    let batches: Vec<Stamps> = (0..6).map(|_| seal.press(4)).collect();
    let mut mids = Vec::new();
    for (at, batch) in batches.into_iter().enumerate() {
        if at == 3 {
            // Something that needs no disk, between them.
            link.send_bytes(UplinkLane::Reliable, vec![0xff]).await;
        }
        mids.push(link.say(Message::Stamps(batch)).await);
    }
    let mut answers = Vec::new();
    while link.accepted < 8 {
        match link.next().await {
            Some(Downlink::Accepted) => link.accepted += 1,
            Some(Downlink::Payload { payload, .. }) => {
                let frame = sealgate_codec::Frame::decode(&payload).unwrap();
                if let Message::LogAck(ack) = frame.message {
                    // Before its acknowledgement and behind those of all before it.
                    let skipped = u32::from(answers.len() >= 3);
                    let before = u32::try_from(answers.len()).unwrap();
                    assert!(link.accepted <= 1 + before + skipped);
                    answers.push((frame.re.unwrap(), ack.upto));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let expected: Vec<(u16, u32)> = mids.into_iter().zip([5, 9, 13, 17, 21, 25]).collect();
    assert_eq!(answers, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_past_a_gap_is_not_stored_and_the_gap_is_named() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let missing = seal.press(2);
    let past = seal.press(1);
    link.say(Message::Stamps(past.clone())).await;
    let ack = link.log_ack().await;
    assert_eq!(ack.upto, 1);
    assert_eq!((ack.gaps[0].start, ack.gaps[0].count), (1, 2));
    assert!(world.stored(&seal).await.is_empty());
    link.say(Message::Stamps(missing)).await;
    assert_eq!(link.log_ack().await.upto, 3);
    link.say(Message::Stamps(past)).await;
    assert_eq!(link.log_ack().await.upto, 4);
    assert_eq!(world.stored(&seal).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_is_kept_aside_alarmed_and_suspends_the_seal() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let mut twin = super::world::Seal::new(1);
    link.say(Message::Stamps(seal.press(2))).await;
    link.log_ack().await;
    // The same certificate and key, another past.
    twin.up = 500;
    link.say(Message::Stamps(twin.press(3))).await;
    assert_eq!(link.error().await, ErrorCode::LogFork);
    link.accepted(3).await;
    assert_eq!(world.stored(&seal).await, [1, 2]);
    assert_eq!(world.device(&seal).await.life, Life::Suspended.as_str());
    assert!(world.alarms(&seal).await.contains(&"log_fork".to_owned()));
    let reader = world.app.store.read();
    let kept = crate::store::log::quarantined(&reader, seal.id, 10)
        .await
        .unwrap();
    assert!(!kept.is_empty());
    // From here on a person decides.
    let waits = seal.press(1);
    link.say(Message::Stamps(waits.clone())).await;
    assert_eq!(link.error().await, ErrorCode::LogFork);
    assert_eq!(world.stored(&seal).await, [1, 2]);

    let actor = Actor::cli();
    let ours = LogPlace::default();
    let reopen = || {
        world
            .app
            .reopen_log(&actor, seal.id, "a clone, scrapped", ours)
    };
    let forked = world.app.device_log(&actor, seal.id).await.unwrap();
    assert_eq!(forked.state, LogState::Forked);
    assert_eq!(forked.step, LogStep::ReopenAndResume);
    let alarm = forked.alarm.unwrap();
    assert_eq!(alarm.kind.as_deref(), Some("log_fork"));
    assert!(!forked.contradictions.is_empty());
    let shown = reopen().await.unwrap();
    assert_eq!(shown.state, LogState::Suspended);
    assert_eq!(shown.step, LogStep::Resume);
    let row = shown.log.unwrap();
    assert_eq!(row.next_seq, 3);
    assert_eq!(reopen().await.unwrap().log.unwrap(), row);
    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.ackto, 3);
    link.say(Message::Stamps(waits)).await;
    assert_eq!(link.log_ack().await.upto, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_freed_and_nowhere_stored_raise_an_alarm_and_a_person_lets_the_log_go_on() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    // Acknowledged by a database that was restored to an earlier day.
    seal.press(3);
    seal.first = 4;
    let (mut link, _) = world.greeted(&mut seal).await;
    link.hello(&mut seal).await;
    let freed = || async {
        let alarms = world.alarms(&seal).await;
        alarms.iter().filter(|kind| *kind == "log_freed").count()
    };
    world
        .eventually("one alarm", || async { freed().await == 1 })
        .await;
    let kept = seal.press(2);
    link.say(Message::Stamps(kept.clone())).await;
    let ack = link.log_ack().await;
    assert_eq!((ack.gaps[0].start, ack.gaps[0].count), (1, 3));

    let actor = Actor::cli();
    let reopen = |place| world.app.reopen_log(&actor, seal.id, "restored", place);
    let beyond = LogPlace {
        from_seq: Some(9),
        ..LogPlace::default()
    };
    assert!(reopen(beyond).await.is_err());
    let before = world.app.device_log(&actor, seal.id).await.unwrap();
    assert_eq!(
        (before.state, before.step),
        (LogState::Missing, LogStep::Reopen)
    );
    let shown = reopen(LogPlace::default()).await.unwrap();
    assert_eq!(
        (shown.state, shown.step),
        (LogState::Open, LogStep::Nothing)
    );
    assert_eq!(shown.log.unwrap().next_seq, 4);
    assert_eq!(link.close_reason().await, CloseReason::LogReopened);
    let gaps = crate::store::log::gaps(&world.app.store.read(), seal.id, 9)
        .await
        .unwrap();
    assert_eq!((gaps[0].from_seq, gaps[0].count), (1, 3));
    assert_eq!(gaps[0].reason, "reopened");

    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.ackto, 4);
    link.say(Message::Stamps(kept)).await;
    assert_eq!(link.log_ack().await.upto, 6);
    link.say(Message::Stamps(seal.press(1))).await;
    assert_eq!(link.log_ack().await.upto, 7);
    assert_eq!(world.stored(&seal).await, [4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_forged_or_altered_is_refused_for_good_and_changes_nothing() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let good = seal.press(2);

    let mut forged = good.clone();
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    forged.checkpoint = seal.checkpoint().sign(&stranger);
    link.say(Message::Stamps(forged)).await;
    assert_eq!(link.error().await, ErrorCode::Signature);

    let mut altered = good.clone();
    let record = altered.records[1].record;
    altered.records[1] = Entry::new(Record {
        facts: Facts::new().with_grant_state(GrantState::Active),
        ..record
    });
    link.say(Message::Stamps(altered)).await;
    assert_eq!(link.error().await, ErrorCode::Signature);

    let other = super::world::Seal::new(2);
    let mut foreign = good.clone();
    let mut checkpoint = seal.checkpoint();
    checkpoint.dev = other.wire();
    foreign.checkpoint = checkpoint.sign(&seal.key);
    link.say(Message::Stamps(foreign)).await;
    assert_eq!(link.error().await, ErrorCode::WrongDevice);

    let mut other_epoch = good.clone();
    other_epoch.epoch = 2;
    let mut checkpoint = seal.checkpoint();
    checkpoint.epoch = 2;
    other_epoch.checkpoint = checkpoint.sign(&seal.key);
    link.say(Message::Stamps(other_epoch)).await;
    assert_eq!(link.error().await, ErrorCode::Range);

    link.send_bytes(UplinkLane::Reliable, vec![0x83; 5_000])
        .await;
    link.error().await;

    assert!(world.stored(&seal).await.is_empty());
    assert_eq!(world.device(&seal).await.life, Life::Bound.as_str());
    link.say(Message::Stamps(good)).await;
    assert_eq!(link.log_ack().await.upto, 3);
    // Each of them was acknowledged: none is sent for ever.
    link.accepted(7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_store_acknowledges_nothing_and_the_records_come_again() {
    let world = World::on_sqlite().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    link.accepted(1).await;
    let batch = seal.press(5);
    let blocker = rusqlite::Connection::open(&world.file).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    link.say(Message::Stamps(batch.clone())).await;
    assert_eq!(link.close_reason().await, CloseReason::StoreFailed);
    assert_eq!(link.accepted, 1);
    blocker.execute_batch("ROLLBACK").unwrap();

    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(ack.ackto, 1);
    link.say(Message::Stamps(batch)).await;
    assert_eq!(link.log_ack().await.upto, 6);
    assert_eq!(world.stored(&seal).await, [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_anything_but_the_direct_link_an_acknowledgement_is_proven() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let mut link = world.open(&seal, LinkKind::Edge).await.unwrap();
    link.hello(&mut seal).await;
    link.say(Message::Stamps(seal.press(1))).await;
    assert!(link.log_ack().await.receipt.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_raises_its_alarm_once_and_stores_no_record() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let entry = seal.entry(GrantState::NoneNow);
    let event = Event {
        entry,
        signature: None,
        epoch: 1,
    };
    for _ in 0..3 {
        link.say(Message::Event(event.clone())).await;
    }
    link.accepted(4).await;
    assert!(world.stored(&seal).await.is_empty());
    assert_eq!(world.alarms(&seal).await, ["abnormal"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_abnormal_record_is_counted_once_by_its_kind() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let batch = seal.press(3);
    for _ in 0..2 {
        link.say(Message::Stamps(batch.clone())).await;
        link.log_ack().await;
    }
    let counted = || {
        let of = |kind: u8| {
            let abnormal = &world.metrics.stamps_abnormal;
            abnormal.with_label_values(&[&kind.to_string()]).get()
        };
        (1..=10).map(of).collect::<Vec<_>>()
    };
    world
        .eventually("three of one kind", || async {
            counted().iter().sum::<u64>() >= 3
        })
        .await;
    let counted = counted();
    assert_eq!(counted.iter().max(), Some(&3), "{counted:?}");
    assert_eq!(counted.iter().sum::<u64>(), 3, "{counted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_said_once_more_changes_nothing() {
    let world = World::start().await;
    let mut seal = world.bound_seal(1).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let hello = seal.hello();
    let stamps = seal.press(3);
    let lock = world.order(&seal, crate::app::order::Order::Lock {}).await;
    link.obey(&mut seal).await;
    world
        .until(&lock, sealgate_domain::command::State::Applied)
        .await;
    let said = [Message::Hello(hello), Message::Stamps(stamps)];
    let mut pictures = Vec::new();
    for _ in 0..3 {
        for message in &said {
            link.say(message.clone()).await;
        }
        let again = sealgate_codec::message::CmdAck {
            domain: sealgate_codec::ticket::CounterDomain::Lock,
            ctr: 1,
            status: sealgate_codec::message::CmdStatus::Applied,
            err: None,
        };
        link.say(Message::CmdAck(again)).await;
        let owed = link.accepted + 3;
        while link.accepted < owed {
            match link.next().await {
                Some(Downlink::Accepted) => link.accepted += 1,
                Some(Downlink::Payload { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        let device = world.device(&seal).await;
        pictures.push((
            world.stored(&seal).await,
            (device.life, device.counter_lock, device.generation),
            world.command(&lock).await,
        ));
    }
    assert_eq!(pictures[0], pictures[1]);
    assert_eq!(pictures[1], pictures[2]);
}
