//! Ingest: every record once, forks kept apart, one bad group harms no other. On both databases.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{RngAlgorithm, TestRng},
};
use sea_orm::ConnectionTrait;
use sealgate_domain::{
    Millis,
    organization::{UseMode, UseModes},
    stamp::{AbnormalKind, Cursor},
};

use super::{IngestBatch, IngestOutcome, IngestRefusal, decide};
use crate::{
    config::StoreConfig,
    store::{
        Lane, OutboxFilter, Store, StoreError, Topic, audit, device, fresh, grant, log,
        organization, stamp,
        testing::{START, Seal, TestStore, World, bound_device, give, grant_row, on_both, world},
    },
};

async fn one(store: &Store, batch: IngestBatch) -> IngestOutcome {
    store.ingest(vec![batch]).await.unwrap()[0]
}

fn stored(outcome: IngestOutcome) -> (u32, u32, u32) {
    match outcome {
        IngestOutcome::Stored {
            cursor,
            inserted,
            duplicates,
            ..
        } => (cursor.next, inserted, duplicates),
        other => panic!("{other:?}"),
    }
}

async fn sequences(store: &Store, seal: &Seal) -> Vec<u32> {
    let rows = stamp::range(&store.read(), seal.id, 1, 0, u32::MAX)
        .await
        .unwrap();
    rows.iter().map(stamp::Row::seq).collect()
}

/// A bound seal whose organization needs grants, with a grant of ten stamps.
async fn granted(store: &Store) -> (World, Seal, grant::Row) {
    let world = world(store, true).await;
    let mut seal = bound_device(store, &world, 1).await;
    let row = grant_row(&world, seal.id, 1, 10);
    give(store, &row).await;
    for n in 1..=6 {
        seal.press(1, n, |_| {});
    }
    (world, seal, row)
}

#[test]
fn a_record_sent_twice_is_stored_once() {
    on_both(|store| async move {
        let (_, seal, row) = granted(&store).await;
        assert_eq!(stored(one(&store, seal.batch(0, 3, 0)).await), (4, 3, 0));
        assert_eq!(stored(one(&store, seal.batch(0, 3, 0)).await), (4, 0, 3));
        assert_eq!(stored(one(&store, seal.batch(0, 2, 0)).await), (4, 0, 2));
        assert_eq!(
            stored(one(&store, seal.batch(1, 6, 3)).await),
            (7, 4 - 1, 2)
        );
        assert_eq!(sequences(&store, &seal).await, [1, 2, 3, 4, 5, 6]);
        let used = grant::find(&store.read(), row.key())
            .await
            .unwrap()
            .unwrap()
            .used;
        assert_eq!(used, 6);
    });
}

#[test]
fn what_is_stored_is_what_came() {
    on_both(|store| async move {
        let (world, mut seal, row) = granted(&store).await;
        seal.records.truncate(0);
        seal = bound_device(&store, &world, 2).await;
        seal.press(0, 0, |record| {
            record.boot = u32::MAX;
            record.facts = u32::MAX;
            record.clock_quality = 2;
            record.wall_trusted = false;
            record.position = Some(super::RecordPosition {
                place: sealgate_domain::grant::Place {
                    lat_e7: -900_000_000,
                    lon_e7: 1_800_000_000,
                },
                accuracy_m: u16::MAX,
            });
        });
        one(&store, seal.batch(0, 1, 0)).await;
        let found = stamp::find(&store.read(), seal.id, 1, 1)
            .await
            .unwrap()
            .unwrap();
        let sent = &seal.records[0].0;
        assert_eq!(found.record, sent.record);
        assert_eq!(found.hash, sent.hash);
        assert_eq!(found.boot, i64::from(u32::MAX));
        assert_eq!(found.facts, i64::from(u32::MAX));
        assert_eq!(
            (found.lat_e7, found.lon_e7),
            (Some(-900_000_000), Some(1_800_000_000))
        );
        assert_eq!(found.organization_id, Some(world.organization.0));
        assert_eq!((found.grant_id, found.battery), (None, Some(80)));
        assert_eq!(found.abnormal_kind(), Some(AbnormalKind::WithoutGrant));
        assert_eq!(
            grant::find(&store.read(), row.key())
                .await
                .unwrap()
                .unwrap()
                .used,
            0
        );
    });
}

#[test]
fn a_batch_past_a_gap_is_not_stored() {
    on_both(|store| async move {
        let (_, seal, _) = granted(&store).await;
        let outcome = one(&store, seal.batch(2, 4, 2)).await;
        assert_eq!(outcome, IngestOutcome::Gap { from: 1, count: 2 });
        assert_eq!(sequences(&store, &seal).await, [0_u32; 0]);
    });
}

#[test]
fn a_session_that_knows_an_old_cursor_is_told_the_new_one() {
    on_both(|store| async move {
        let (_, seal, _) = granted(&store).await;
        one(&store, seal.batch(0, 3, 0)).await;
        let outcome = one(&store, seal.batch(0, 5, 0)).await;
        let IngestOutcome::Stale { cursor } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(cursor.next, 4);
        assert_eq!(stored(one(&store, seal.batch(0, 5, 3)).await), (6, 2, 3));
    });
}

#[test]
fn other_content_under_the_same_number_is_a_fork_and_never_written_over() {
    on_both(|store| async move {
        let (world, seal, _) = granted(&store).await;
        one(&store, seal.batch(0, 4, 0)).await;
        let mut other = seal.batch(0, 2, 0);
        other.records[1].record = Bytes::from_static(b"other");
        other.records[1].hash = [9; 32];
        assert_eq!(one(&store, other.clone()).await, IngestOutcome::Fork);

        let reader = store.read();
        let kept = stamp::find(&reader, seal.id, 1, 2).await.unwrap().unwrap();
        assert_eq!(kept.hash, seal.records[1].0.hash);
        let aside = log::quarantined(&reader, seal.id, 10).await.unwrap();
        assert_eq!(aside.len(), 1);
        assert_eq!(aside[0].record, b"other");
        let next = one(&store, seal.batch(4, 6, 4)).await;
        assert_eq!(next, IngestOutcome::Refused(IngestRefusal::Audit));

        store.sequence().await.unwrap();
        let alarms = OutboxFilter {
            topics: vec![Topic::Alarm],
            ..OutboxFilter::default()
        };
        let alarms = reader.outbox_after(0, 10, &alarms).await.unwrap();
        assert_eq!(alarms.len(), 1);
        assert_eq!(alarms[0].payload["kind"], "log_fork");
        let rows = audit::list(&reader, Some(world.organization), None, 10)
            .await
            .unwrap();
        assert_eq!(rows[0].action, "log.fork");
    });
}

#[test]
fn a_chain_that_does_not_continue_ours_is_a_fork() {
    on_both(|store| async move {
        let (_, seal, _) = granted(&store).await;
        one(&store, seal.batch(0, 4, 0)).await;
        let mut other = seal.batch(4, 6, 4);
        other.prev_head = [1; 32];
        assert_eq!(one(&store, other).await, IngestOutcome::Fork);
        assert_eq!(
            log::quarantined(&store.read(), seal.id, 10)
                .await
                .unwrap()
                .len(),
            2
        );
    });
}

#[test]
fn a_declared_loss_takes_its_range_of_numbers() {
    on_both(|store| async move {
        let (_, mut seal, row) = granted(&store).await;
        seal.press(40, 0, |record| {
            record.kind = 250;
            record.lost = 40;
            record.grant_active = false;
        });
        seal.press(1, 7, |_| {});
        assert_eq!(stored(one(&store, seal.batch(0, 8, 0)).await), (48, 8, 0));
        let reader = store.read();
        let gaps = log::gaps(&reader, seal.id, 10).await.unwrap();
        assert_eq!((gaps[0].from_seq, gaps[0].count), (7, 40));
        let lost = stamp::find(&reader, seal.id, 1, 7).await.unwrap().unwrap();
        assert_eq!((lost.kind, lost.abnormal, lost.grant_no), (250, None, 0));
        assert_eq!(
            grant::find(&reader, row.key()).await.unwrap().unwrap().used,
            7
        );
    });
}

#[test]
fn one_bad_group_harms_no_other() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let mut seals = Vec::new();
        for number in 1..=4 {
            let mut seal = bound_device(&store, &world, number).await;
            seal.press(0, 0, |_| {});
            seals.push(seal);
        }
        let mut unknown = seals[0].batch(0, 1, 0);
        unknown.device = sealgate_domain::DeviceId([0xee; 8]);
        let mut epoch = seals[1].batch(0, 1, 0);
        epoch.epoch = 7;
        let mut malformed = seals[2].batch(0, 1, 0);
        malformed.records[0].seq = 9;
        let groups = vec![
            seals[0].batch(0, 1, 0),
            unknown,
            epoch,
            malformed,
            seals[3].batch(0, 1, 0),
        ];
        let outcomes = store.ingest(groups).await.unwrap();
        assert_eq!(stored(outcomes[0]).1, 1);
        assert_eq!(
            outcomes[1],
            IngestOutcome::Refused(IngestRefusal::UnknownDevice)
        );
        assert_eq!(
            outcomes[2],
            IngestOutcome::Refused(IngestRefusal::UnknownEpoch)
        );
        assert_eq!(
            outcomes[3],
            IngestOutcome::Refused(IngestRefusal::Malformed)
        );
        assert_eq!(stored(outcomes[4]).1, 1);
    });
}

#[test]
fn a_row_the_cursor_knows_nothing_of_is_compared_before_anything_is_said() {
    on_both(|store| async move {
        let (world, seal, _) = granted(&store).await;
        let mut neighbour = bound_device(&store, &world, 2).await;
        neighbour.press(0, 0, |_| {});
        one(&store, seal.batch(0, 3, 0)).await;
        // A cursor restored from an older copy than the records.
        let (id, genesis) = (seal.id, seal.batch(0, 1, 0).prev_head);
        let back: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                let mut row = log::newest(&tx, id).await?.unwrap();
                row.next_seq = 1;
                row.head = genesis.to_vec();
                log::save(&tx, &row).await
            })
            .await;
        back.unwrap();
        let outcomes = store
            .ingest(vec![seal.batch(0, 5, 0), neighbour.batch(0, 1, 0)])
            .await
            .unwrap();
        assert_eq!(stored(outcomes[0]), (6, 2, 3));
        assert_eq!(stored(outcomes[1]), (2, 1, 0));
        assert_eq!(sequences(&store, &seal).await, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn two_groups_of_one_seal_in_one_call_are_stored_in_order() {
    on_both(|store| async move {
        let (_, seal, row) = granted(&store).await;
        let groups = vec![
            seal.batch(0, 2, 0),
            seal.batch(2, 4, 2),
            seal.batch(0, 2, 4),
        ];
        let outcomes = store.ingest(groups).await.unwrap();
        assert_eq!(stored(outcomes[0]), (3, 2, 0));
        assert_eq!(stored(outcomes[1]), (5, 2, 0));
        assert_eq!(stored(outcomes[2]), (5, 0, 2));
        let found = grant::find(&store.read(), row.key())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.used, 4);
    });
}

#[test]
fn the_last_stamp_of_a_grant_uses_it_up_and_one_more_is_over_count() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let mut seal = bound_device(&store, &world, 1).await;
        let row = grant_row(&world, seal.id, 1, 2);
        give(&store, &row).await;
        for n in 1..=3 {
            seal.press(1, n, |_| {});
        }
        one(&store, seal.batch(0, 3, 0)).await;
        let reader = store.read();
        let rows = stamp::range(&reader, seal.id, 1, 0, 9).await.unwrap();
        let classes: Vec<_> = rows.iter().map(stamp::Row::abnormal_kind).collect();
        assert_eq!(classes, [None, None, Some(AbnormalKind::OverCount)]);
        let found = grant::find(&reader, row.key()).await.unwrap().unwrap();
        assert_eq!(found.used, 3);
        assert!(found.exhausted_at.is_some());
        store.sequence().await.unwrap();
        let told = reader
            .outbox_after(0, 10, &OutboxFilter::default())
            .await
            .unwrap();
        let topics: Vec<_> = told.iter().map(|row| row.topic).collect();
        assert_eq!(topics, [Topic::Stamp, Topic::Alarm, Topic::Grant]);
        assert_eq!(
            told[0].payload,
            serde_json::json!({"epoch": 1, "from": 1, "upto": 4})
        );
        assert_eq!(
            told[1].payload["stamps"],
            serde_json::json!([{"seq": 3, "class": 1}])
        );
    });
}

#[test]
fn free_use_knows_no_stamp_without_a_grant() {
    on_both(|store| async move {
        let world = world(&store, false).await;
        let mut seal = bound_device(&store, &world, 1).await;
        seal.press(0, 0, |_| {});
        seal.press(0, 0, |record| record.class = Some(AbnormalKind::AfterLock));
        one(&store, seal.batch(0, 2, 0)).await;
        let rows = stamp::range(&store.read(), seal.id, 1, 0, 9).await.unwrap();
        let classes: Vec<_> = rows.iter().map(stamp::Row::abnormal_kind).collect();
        assert_eq!(classes, [None, Some(AbnormalKind::AfterLock)]);
    });
}

#[test]
fn a_press_is_judged_by_the_switch_of_its_time_and_not_of_its_upload() {
    on_both(|store| async move {
        let world = world(&store, false).await;
        let mut seal = bound_device(&store, &world, 1).await;
        let id = world.organization;
        let switched: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                let mut row = organization::lock(&tx, id).await?.unwrap();
                row.switch(true, START.plus(Millis::MINUTE))?;
                row.switch(false, START.plus(2 * Millis::MINUTE))?;
                organization::save(&tx, &mut row).await
            })
            .await;
        switched.unwrap();
        // Uptime 600 is a minute after the start.
        for uptime in [590, 610, 670] {
            seal.press(0, 0, |record| record.uptime_s = uptime);
        }
        one(&store, seal.batch(0, 3, 0)).await;
        let rows = stamp::range(&store.read(), seal.id, 1, 0, 9).await.unwrap();
        let classes: Vec<_> = rows.iter().map(stamp::Row::abnormal_kind).collect();
        assert_eq!(classes, [None, Some(AbnormalKind::WithoutGrant), None]);
    });
}

#[test]
fn a_fork_counts_no_stamp_of_its_group() {
    on_both(|store| async move {
        let (_, seal, row) = granted(&store).await;
        one(&store, seal.batch(0, 2, 0)).await;
        // A cursor that knows nothing of what is stored, and the first of two rows.
        let id = seal.id;
        let begun = seal.batch(0, 1, 0).prev_head;
        let lost: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                let mut log = log::newest(&tx, id).await?.unwrap();
                log.next_seq = 1;
                log.head = begun.to_vec();
                log::save(&tx, &log).await?;
                tx.execute_unprepared("DELETE FROM stamp WHERE seq = 1")
                    .await?;
                Ok(())
            })
            .await;
        lost.unwrap();
        let mut other = seal.batch(0, 2, 0);
        other.records[1].record = Bytes::from_static(b"other");
        other.records[1].hash = [9; 32];
        other.new_head = [9; 32];
        assert_eq!(one(&store, other).await, IngestOutcome::Fork);
        assert_eq!(sequences(&store, &seal).await, [2]);
        let kept = grant::find(&store.read(), row.key()).await.unwrap();
        assert_eq!(kept.unwrap().used, 2);
    });
}

#[test]
fn a_press_right_after_power_on_with_a_lock_under_way_is_kind_10() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let mut seal = bound_device(&store, &world, 1).await;
        let id = seal.id;
        let locked: Result<(), StoreError> = store
            .write(Lane::Priority, |tx| async move {
                let mut row = device::lock(&tx, id).await?.unwrap();
                row.desired_locked = true;
                row.lock_issued_at = Some(START.plus(-Millis::HOUR).0);
                device::save(&tx, &mut row).await
            })
            .await;
        locked.unwrap();
        seal.press(0, 0, |record| {
            record.booting = true;
            record.uptime_s = 20;
        });
        one(&store, seal.batch(0, 1, 0)).await;
        let found = stamp::find(&store.read(), id, 1, 1).await.unwrap().unwrap();
        assert_eq!(found.abnormal_kind(), Some(AbnormalKind::LockedWhileOff));
    });
}

#[test]
fn each_group_leaves_one_row_in_the_audit_bound_to_its_bytes() {
    on_both(|store| async move {
        let (world, seal, _) = granted(&store).await;
        one(&store, seal.batch(0, 2, 0)).await;
        one(&store, seal.batch(2, 6, 2)).await;
        one(&store, seal.batch(2, 6, 2)).await;
        let rows = audit::list(&store.read(), Some(world.organization), None, 10)
            .await
            .unwrap();
        let subjects: Vec<_> = rows.iter().map(|row| row.subject.as_str()).collect();
        assert_eq!(subjects, ["1/3-6", "1/1-2"]);
        assert_ne!(rows[0].hash, rows[1].hash);
    });
}

/// A seal with six stamps under its grant and four without.
async fn ten_stamps(store: &Store) -> (World, Seal, grant::Row) {
    let (world, mut seal, row) = granted(store).await;
    for _ in 0..4 {
        seal.press(0, 0, |_| {});
    }
    one(store, seal.batch(0, 10, 0)).await;
    (world, seal, row)
}

#[test]
fn lists_of_stamps_go_on_behind_their_last_row() {
    on_both(|store| async move {
        let (world, seal, _) = ten_stamps(&store).await;
        let reader = &store.read();
        let organization = Some(world.organization);
        for device in [None, Some(seal.id)] {
            let filter = stamp::StampFilter {
                organization,
                device,
                ..Default::default()
            };
            let (mut before, mut seen) = (None, Vec::new());
            loop {
                let page = stamp::list(reader, &filter, before, 3).await.unwrap();
                let Some(last) = page.last() else { break };
                before = Some(last.time_key());
                seen.extend(page.iter().map(stamp::Row::seq));
            }
            assert_eq!(seen, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        }
        let newest = stamp::log_of(reader, seal.id, None, None, 2).await.unwrap();
        let last = Some((1, newest[1].seq()));
        let older = stamp::log_of(reader, seal.id, None, last, 2).await.unwrap();
        let seqs: Vec<_> = newest.iter().chain(&older).map(stamp::Row::seq).collect();
        assert_eq!(seqs, [10, 9, 8, 7]);
    });
}

#[test]
fn lists_of_stamps_show_what_was_asked_for() {
    on_both(|store| async move {
        let (world, _, row) = ten_stamps(&store).await;
        let reader = &store.read();
        let count = async |change: &dyn Fn(&mut stamp::StampFilter)| {
            let mut filter = stamp::StampFilter {
                organization: Some(world.organization),
                ..Default::default()
            };
            change(&mut filter);
            stamp::list(reader, &filter, None, 100).await.unwrap().len()
        };
        let over = Some(AbnormalKind::OverCount);
        assert_eq!(count(&|filter| filter.abnormal = true).await, 4);
        assert_eq!(count(&|filter| filter.class = over).await, 0);
        assert_eq!(count(&|filter| filter.until = Some(START)).await, 0);
        assert_eq!(count(&|filter| filter.from = Some(START)).await, 10);
        assert_eq!(count(&|filter| filter.grant = Some(row.key())).await, 6);
        assert_eq!(count(&|filter| filter.member = Some(world.owner)).await, 6);
        assert_eq!(count(&|filter| filter.member = Some(fresh(START))).await, 0);
        let other = fresh(START);
        assert_eq!(count(&|filter| filter.organization = Some(other)).await, 0);
        let both = |filter: &mut stamp::StampFilter| {
            filter.organization = Some(other);
            filter.member = Some(world.owner);
        };
        assert_eq!(count(&both).await, 0);
    });
}

#[tokio::test]
async fn when_the_disk_is_full_no_group_is_acknowledged() {
    let test = TestStore::sqlite().await;
    let world = world(&test.store, false).await;
    let mut seal = bound_device(&test.store, &world, 1).await;
    let small = Store::open(&StoreConfig {
        max_size_mb: 1,
        ..test.config.clone()
    })
    .await
    .unwrap();
    let mut acknowledged = 0;
    let failure = loop {
        seal.press(0, 0, |_| {});
        let last = seal.records.len();
        let mut batch = seal.batch(last - 1, last, last - 1);
        batch.records[0].record = Bytes::from(vec![7; 20_000]);
        match small.ingest(vec![batch]).await {
            Ok(outcomes) => acknowledged += stored(outcomes[0]).1,
            Err(failure) => break failure,
        }
        assert!(acknowledged < 200, "the limit holds");
    };
    assert!(matches!(failure, StoreError::Io(_)), "{failure:?}");
    assert!(!small.is_healthy());
    assert_eq!(
        sequences(&test.store, &seal).await.len(),
        acknowledged as usize
    );
    // Room again: the same record, sent again, is stored.
    let last = seal.records.len();
    let outcome = one(&test.store, seal.batch(last - 1, last, last - 1)).await;
    assert_eq!(stored(outcome).1, 1);
}

/// Deliveries as a bad network makes them: any sub-range, again and again, from whatever cursor the session knew.
fn deliveries() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    proptest::collection::vec((0..20_usize, 1..8_usize, any::<bool>()), 1..40)
}

#[test]
fn however_records_are_delivered_each_is_stored_once() {
    let seed = std::env::var("SEALGATE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    eprintln!("SEALGATE_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(Default::default(), rng);
    let schedules: Vec<_> = (0..12)
        .map(|_| deliveries().new_tree(&mut runner).unwrap().current())
        .collect();
    let schedules = &schedules;
    on_both(|store| async move {
        let world = world(&store, true).await;
        for (number, schedule) in (1..).zip(schedules) {
            let mut seal = bound_device(&store, &world, number).await;
            let row = grant_row(&world, seal.id, 1, 0);
            give(&store, &row).await;
            for n in 1..=20 {
                seal.press(1, n, |_| {});
            }
            play(&store, &seal, schedule, row.key()).await;
        }
    });
}

async fn play(
    store: &Store,
    seal: &Seal,
    schedule: &[(usize, usize, bool)],
    grant: sealgate_domain::GrantId,
) {
    let mut next = 0;
    for (from, length, old_cursor) in schedule {
        let to = (from + length).min(20);
        let known = if *old_cursor { *from } else { next.min(to) };
        match one(store, seal.batch(*from, to, known)).await {
            IngestOutcome::Stored {
                cursor, inserted, ..
            } => {
                let moved = cursor.next as usize - 1 - next;
                assert_eq!(inserted as usize, moved);
                next += moved;
            }
            IngestOutcome::Gap { from: missing, .. } => {
                assert_eq!(missing as usize, next + 1);
                assert!(*from > next);
            }
            IngestOutcome::Stale { cursor } => assert_eq!(cursor.next as usize, next + 1),
            other => panic!("{other:?}"),
        }
    }
    let found = sequences(store, seal).await;
    let unique: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!((found.len(), unique.len()), (next, next));
    let used = grant::find(&store.read(), grant)
        .await
        .unwrap()
        .unwrap()
        .used;
    assert_eq!(used, i64::try_from(next).unwrap());
}

#[test]
fn what_the_database_refuses_of_one_group_is_refused_alone() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let mut seals = Vec::new();
        for number in 1..=3 {
            let mut seal = bound_device(&store, &world, number).await;
            seal.press(0, 0, |_| {});
            seals.push(seal);
        }
        // A rule that only the middle one breaks.
        let middle = seals[1].id.to_key();
        let rule: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                let sql = match tx.is_postgres() {
                    true => format!(
                        "ALTER TABLE stamp ADD CONSTRAINT odd CHECK (device_id <> {middle})"
                    ),
                    false => format!(
                        "CREATE TRIGGER odd BEFORE INSERT ON stamp WHEN NEW.device_id = {middle} \
                         BEGIN SELECT RAISE(ABORT, 'odd'); END"
                    ),
                };
                tx.execute_unprepared(&sql).await?;
                Ok(())
            })
            .await;
        rule.unwrap();
        let groups = seals.iter().map(|seal| seal.batch(0, 1, 0)).collect();
        let outcomes = store.ingest(groups).await.unwrap();
        assert_eq!(stored(outcomes[0]).1, 1);
        assert_eq!(outcomes[1], IngestOutcome::Refused(IngestRefusal::Content));
        assert_eq!(stored(outcomes[2]).1, 1);
        let cursor = log::newest(&store.read(), seals[1].id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(cursor.next_seq, 1);
    });
}

#[test]
fn a_log_that_waits_for_a_decision_compares_nothing() {
    on_both(|store| async move {
        let (_, seal, _) = granted(&store).await;
        let batch = seal.batch(0, 2, 0);
        let mut context = decide::Context {
            organization: None,
            modes: UseModes::always(UseMode::GrantsRequired),
            lock: None,
            log: Some(decide::Log {
                cursor: Cursor {
                    epoch: batch.epoch,
                    next: 9,
                    head: [7; 32],
                },
                audit: false,
                last_at: None,
            }),
        };
        assert!(decide::must_compare(Some(&context), &batch));
        context.log = context.log.map(|log| decide::Log { audit: true, ..log });
        assert!(!decide::must_compare(Some(&context), &batch));
    });
}

#[test]
fn a_loss_that_denies_what_is_stored_is_a_fork_by_its_own_number() {
    on_both(|store| async move {
        let (_, seal, _) = granted(&store).await;
        one(&store, seal.batch(0, 6, 0)).await;
        let mut denial = seal.batch(0, 1, 0);
        denial.records[0].lost = 4;
        denial.records[0].hash = [9; 32];
        assert_eq!(one(&store, denial).await, IngestOutcome::Fork);
        assert_eq!(sequences(&store, &seal).await, [1, 2, 3, 4, 5, 6]);
    });
}
