//! The outbox: one order for everybody, nothing missed.

use std::sync::Arc;

use sealgate_domain::{DeviceId, Millis, OrganizationId};
use tokio::sync::Notify;

use crate::{
    store::{
        Event, Lane, OutboxFilter, Store, StoreError, Topic, fresh,
        retention::Aged,
        testing::{START, on_both, on_postgres},
    },
    tasks,
};

fn event(topic: Topic, organization: Option<OrganizationId>, number: u64) -> Event {
    Event {
        topic,
        organization,
        device: Some(DeviceId(number.to_be_bytes())),
        payload: serde_json::json!({ "number": number }),
        at: START.plus(number.cast_signed()),
    }
}

async fn tell(store: &Store, event: Event) {
    let event = &event;
    let told: Result<(), StoreError> = store
        .write(
            Lane::Normal,
            |tx| async move { tx.emit(event.clone()).await },
        )
        .await;
    told.unwrap();
}

async fn numbers(store: &Store, after: i64, filter: &OutboxFilter) -> Vec<u64> {
    let rows = store.read().outbox_after(after, 100, filter).await.unwrap();
    assert!(rows.is_sorted_by(|a, b| a.position < b.position));
    rows.iter()
        .map(|row| row.payload["number"].as_u64().unwrap())
        .collect()
}

#[test]
fn events_come_in_one_order_and_by_filter() {
    on_both(|store| async move {
        let organization: OrganizationId = fresh(START);
        tell(&store, event(Topic::Stamp, Some(organization), 1)).await;
        tell(&store, event(Topic::Alarm, None, 2)).await;
        tell(&store, event(Topic::Alarm, Some(organization), 3)).await;
        let head = store.sequence().await.unwrap();
        assert_eq!(head, store.read().outbox_head().await.unwrap());
        let all = OutboxFilter::default();
        assert_eq!(numbers(&store, 0, &all).await, [1, 2, 3]);
        assert_eq!(numbers(&store, head, &all).await, [0_u64; 0]);
        let of_organization = OutboxFilter {
            organization: Some(organization),
            ..all.clone()
        };
        assert_eq!(numbers(&store, 0, &of_organization).await, [1, 3]);
        let alarms = OutboxFilter {
            topics: vec![Topic::Alarm],
            ..of_organization
        };
        assert_eq!(numbers(&store, 0, &alarms).await, [3]);
        let of_device = OutboxFilter {
            device: Some(DeviceId(2_u64.to_be_bytes())),
            ..all
        };
        assert_eq!(numbers(&store, 0, &of_device).await, [2]);
    });
}

#[test]
fn a_position_is_never_given_twice_even_after_everything_was_deleted() {
    on_both(|store| async move {
        tell(&store, event(Topic::Stamp, None, 1)).await;
        let before = store.sequence().await.unwrap();
        assert_eq!(store.read().outbox_oldest().await.unwrap(), Some(before));
        let deleted = store
            .delete_aged(Aged::Outbox, START.plus(Millis::HOUR))
            .await
            .unwrap();
        assert_eq!(deleted, 1);
        assert_eq!(store.read().outbox_oldest().await.unwrap(), None);
        tell(&store, event(Topic::Stamp, None, 2)).await;
        assert!(store.sequence().await.unwrap() > before);
    });
}

#[test]
fn what_is_young_is_kept() {
    on_both(|store| async move {
        for number in [1, 2, 3] {
            tell(&store, event(Topic::Stamp, None, number)).await;
        }
        store.sequence().await.unwrap();
        assert_eq!(
            store
                .delete_aged(Aged::Outbox, START.plus(3))
                .await
                .unwrap(),
            2
        );
        assert_eq!(numbers(&store, 0, &OutboxFilter::default()).await, [3]);
        assert_eq!(store.delete_aged(Aged::Codes, START).await.unwrap(), 0);
        assert_eq!(
            store.delete_aged(Aged::Idempotency, START).await.unwrap(),
            0
        );
    });
}

#[test]
fn a_transaction_that_draws_its_id_first_and_commits_last_is_not_missed() {
    on_postgres(|store| async move {
        let (written, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = tasks::spawn("slow", {
            let (store, written, go) = (store.clone(), Arc::clone(&written), Arc::clone(&go));
            async move {
                let (written, go) = (&written, &go);
                let told: Result<(), StoreError> = store
                    .write(Lane::Normal, |tx| async move {
                        tx.emit(event(Topic::Stamp, None, 1)).await?;
                        written.notify_one();
                        go.notified().await;
                        Ok(())
                    })
                    .await;
                told.unwrap();
            }
        });
        written.notified().await;
        tell(&store, event(Topic::Stamp, None, 2)).await;

        let seen = store.sequence().await.unwrap();
        assert_eq!(numbers(&store, 0, &OutboxFilter::default()).await, [2]);
        go.notify_one();
        slow.await.unwrap();
        let head = store.sequence().await.unwrap();
        assert!(head > seen);
        assert_eq!(numbers(&store, seen, &OutboxFilter::default()).await, [1]);
    });
}

#[test]
fn several_sequencers_at_once_number_every_event_once() {
    on_postgres(|store| async move {
        for number in 0..50 {
            tell(&store, event(Topic::Stamp, None, number)).await;
        }
        let (a, b, c) = tokio::join!(store.sequence(), store.sequence(), store.sequence());
        let head = a.unwrap().max(b.unwrap()).max(c.unwrap());
        assert_eq!(head, 50);
        assert_eq!(numbers(&store, 0, &OutboxFilter::default()).await.len(), 50);
    });
}

#[test]
fn events_of_one_transaction_come_in_its_order_and_only_with_it() {
    on_both(|store| async move {
        let write = async |fails: bool| {
            let done: Result<(), StoreError> = store
                .write(Lane::Normal, |tx| async move {
                    for number in 0..1_200 {
                        tx.emit(event(Topic::Device, None, number)).await?;
                    }
                    match fails {
                        true => Err(StoreError::Stale("nothing")),
                        false => Ok(()),
                    }
                })
                .await;
            done
        };
        assert!(write(true).await.is_err());
        assert!(write(false).await.is_ok());
        store.sequence().await.unwrap();
        let all = OutboxFilter::default();
        let rows = store.read().outbox_after(0, 5_000, &all).await.unwrap();
        let numbers: Vec<_> = rows
            .iter()
            .map(|row| row.payload["number"].as_u64())
            .collect();
        assert_eq!(numbers, (0..1_200).map(Some).collect::<Vec<_>>());
    });
}

#[test]
fn a_page_of_few_among_many_looks_at_so_many_and_says_how_far_it_came() {
    on_both(|store| async move {
        let done: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                for number in 0..20_000 {
                    tx.emit(event(Topic::Stamp, None, number)).await?;
                }
                tx.emit(event(Topic::Alarm, None, 20_000)).await
            })
            .await;
        done.unwrap();
        let head = store.sequence().await.unwrap();
        let alarms = OutboxFilter {
            topics: vec![Topic::Alarm],
            ..OutboxFilter::default()
        };
        let reader = store.read();
        let first = reader.outbox_page(0, 10, &alarms).await.unwrap();
        assert!(first.events.is_empty(), "one page walked all");
        assert!((1..head).contains(&first.after));
        let (mut after, mut found) = (first.after, Vec::new());
        loop {
            let page = reader.outbox_page(after, 10, &alarms).await.unwrap();
            if page.after == after {
                break;
            }
            after = page.after;
            found.extend(page.events.iter().map(|row| row.position));
        }
        assert_eq!((found, after), (vec![head], head));
    });
}
