//! Transactions: all or nothing, readers beside them, outages.

use sea_orm::ConnectionTrait;
use sealgate_domain::OrganizationId;

use crate::{
    config::StoreConfig,
    store::{
        Audit, Event, Lane, OutboxFilter, Store, StoreError, Topic, audit, device, organization,
        testing::{START, TestStore, device_row, on_both, on_postgres, world},
    },
};

fn note(organization: OrganizationId) -> Audit {
    Audit {
        at: START,
        organization: Some(organization),
        device: None,
        actor: "token:1".to_owned(),
        action: "organization.rename",
        subject: organization.to_string(),
        detail: Some(serde_json::json!({"name": "Harbour"})),
    }
}

fn event(organization: OrganizationId) -> Event {
    Event {
        topic: Topic::Organization,
        organization: Some(organization),
        device: None,
        payload: serde_json::json!({"change": "renamed"}),
        at: START,
    }
}

#[test]
fn a_change_its_audit_and_its_event_stand_or_fall_together() {
    on_both(|store| async move {
        let org = world(&store, true).await.organization;
        let change = async |fail: bool| {
            store
                .write(Lane::Normal, |tx| async move {
                    let mut row = organization::lock(&tx, org).await?.unwrap();
                    row.name = "Harbour".to_owned();
                    organization::save(&tx, &mut row).await?;
                    tx.audit(note(org)).await?;
                    tx.emit(event(org)).await?;
                    match fail {
                        true => Err(StoreError::Stale("on purpose")),
                        false => Ok(()),
                    }
                })
                .await
        };
        assert!(change(true).await.is_err());
        let reader = &store.read();
        let stored = async || {
            let row = organization::find(reader, org).await.unwrap().unwrap();
            let audit = audit::list(reader, Some(org), None, 10).await.unwrap();
            (row.name, audit.len())
        };
        assert_eq!(stored().await, ("Harbour Works".to_owned(), 0));
        assert_eq!(store.sequence().await.unwrap(), 0);

        change(false).await.unwrap();
        assert_eq!(stored().await, ("Harbour".to_owned(), 1));
        store.sequence().await.unwrap();
        let told = reader
            .outbox_after(0, 10, &OutboxFilter::default())
            .await
            .unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].payload, serde_json::json!({"change": "renamed"}));
    });
}

#[test]
fn whoever_saves_what_was_read_before_a_change_is_told() {
    on_both(|store| async move {
        let row = &device_row(1);
        let saved: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                device::insert(&tx, row).await?;
                let mut first = device::find(&tx, row.key()).await?.unwrap();
                let mut second = first.clone();
                device::save(&tx, &mut first).await?;
                second.name = "late".to_owned();
                device::save(&tx, &mut second).await
            })
            .await;
        assert!(matches!(saved, Err(StoreError::Stale(_))), "{saved:?}");
    });
}

#[test]
fn the_same_serial_number_twice_is_refused_as_such() {
    on_both(|store| async move {
        let rows = &[
            device_row(1),
            device::Row {
                serial: "SG-000001".to_owned(),
                ..device_row(2)
            },
        ];
        let written: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                for row in rows {
                    device::insert(&tx, row).await?;
                }
                Ok(())
            })
            .await;
        assert!(matches!(written, Err(StoreError::Exists(_))), "{written:?}");
        assert!(store.is_healthy());
    });
}

#[test]
fn counters_given_at_once_are_all_different() {
    on_both(|store| async move {
        let row = &device_row(1);
        let inserted: Result<(), StoreError> = store
            .write(
                Lane::Normal,
                |tx| async move { device::insert(&tx, row).await },
            )
            .await;
        inserted.unwrap();
        let give = async || {
            store
                .write(Lane::Priority, |tx| async move {
                    let mut row = device::lock(&tx, row.key()).await?.unwrap();
                    let counter = row.next_counter(sealgate_domain::command::Domain::Lock);
                    device::save(&tx, &mut row).await?;
                    Ok::<_, StoreError>(counter)
                })
                .await
                .unwrap()
        };
        let given = tokio::join!(give(), give(), give(), give());
        let mut given = [given.0, given.1, given.2, given.3];
        given.sort_unstable();
        assert_eq!(given, [1, 2, 3, 4]);
    });
}

#[test]
fn two_transactions_that_deadlock_both_come_through() {
    on_postgres(|store| async move {
        for number in [1, 2] {
            let row = &device_row(number);
            let inserted: Result<(), StoreError> = store
                .write(
                    Lane::Normal,
                    |tx| async move { device::insert(&tx, row).await },
                )
                .await;
            inserted.unwrap();
        }
        let barrier = &tokio::sync::Barrier::new(2);
        let first_time = &std::sync::atomic::AtomicU32::new(0);
        let both = async |order: [u64; 2]| {
            store
                .write(Lane::Normal, |tx| async move {
                    for (at, number) in order.into_iter().enumerate() {
                        let mut row = device::lock(&tx, device_row(number).key()).await?.unwrap();
                        row.note.push('x');
                        device::save(&tx, &mut row).await?;
                        let earlier = first_time.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        if at == 0 && earlier < 2 {
                            barrier.wait().await;
                        }
                    }
                    Ok::<_, StoreError>(())
                })
                .await
        };
        let (one, two) = tokio::join!(both([1, 2]), both([2, 1]));
        one.unwrap();
        two.unwrap();
        for number in [1, 2] {
            let row = device::find(&store.read(), device_row(number).key())
                .await
                .unwrap()
                .unwrap();
            assert_eq!(row.note, "xx");
        }
    });
}

#[tokio::test]
async fn readers_cannot_write() {
    let test = TestStore::sqlite().await;
    let refused = test
        .store
        .read()
        .execute_unprepared("DELETE FROM outbox")
        .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    let config = StoreConfig {
        url: "sqlite::memory:".to_owned(),
        ..StoreConfig::default()
    };
    assert!(matches!(
        Store::open(&config).await,
        Err(StoreError::Setup(_))
    ));
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_is_survived() {
    let test = TestStore::sqlite_with(|config| config.max_size_mb = 1).await;
    let fill = || {
        test.store.write(Lane::Normal, |tx| async move {
            let mut bulky = note(OrganizationId(uuid::Uuid::nil()));
            bulky.detail = Some("x".repeat(100_000).into());
            tx.audit(bulky).await
        })
    };
    let mut written = 0;
    let failure = loop {
        match fill().await {
            Ok(()) => written += 1,
            Err(failure) => break failure,
        }
        assert!(written < 100, "the limit holds");
    };
    assert!(matches!(failure, StoreError::Io(_)), "{failure:?}");
    assert!(!test.store.is_healthy());
    let rows = audit::list(&test.store.read(), None, None, 1_000)
        .await
        .unwrap();
    assert_eq!(rows.len(), written);

    let roomy = Store::open(&StoreConfig {
        max_size_mb: 0,
        ..test.config.clone()
    })
    .await
    .unwrap();
    roomy.probe().await.unwrap();
    assert!(roomy.is_healthy());
    let reader = roomy.read();
    assert_eq!(
        audit::list(&reader, None, None, 1_000).await.unwrap().len(),
        written
    );
}

#[tokio::test]
async fn an_outage_ends_with_the_first_write_that_succeeds() {
    let test = TestStore::sqlite().await;
    let broken = test
        .store
        .note(StoreError::Io("the disk is gone".to_owned()));
    assert!(broken.is_outage() && !test.store.is_healthy());
    test.store.probe().await.unwrap();
    assert!(test.store.is_healthy());
}

#[tokio::test]
async fn a_probe_of_a_full_disk_fails_until_there_is_room_again() {
    let test = TestStore::sqlite_with(|config| config.max_size_mb = 1).await;
    let fill = || {
        test.store.write(Lane::Normal, |tx| async move {
            let mut bulky = note(OrganizationId(uuid::Uuid::nil()));
            bulky.detail = Some("x".repeat(10_000).into());
            tx.audit(bulky).await
        })
    };
    let mut written = 0;
    while fill().await.is_ok() {
        written += 1;
        assert!(written < 1_000, "the limit holds");
    }
    for _ in 0..3 {
        assert!(matches!(test.store.probe().await, Err(StoreError::Io(_))));
        assert!(!test.store.is_healthy());
    }
    let freed: Result<(), StoreError> = test
        .store
        .write(Lane::Normal, |tx| async move {
            tx.execute_unprepared("DELETE FROM audit").await?;
            Ok(())
        })
        .await;
    freed.unwrap();
    test.store.note(StoreError::Io("as before".to_owned()));
    test.store.probe().await.unwrap();
    assert!(test.store.is_healthy());
}
