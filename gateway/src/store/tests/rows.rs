//! Rows of the nouns: what goes in comes out, and what is asked in SQL is what the domain says.

use sealgate_domain::{
    CommandId, DeviceId, MemberId, Millis, TokenId,
    command::{Domain, Event, Op, State},
    grant::GrantState,
    member::Roster,
    presence::Presence,
};

use crate::store::{
    Lane, Store, StoreError, command, device,
    device::DeviceFilter,
    fresh, grant,
    grant::GrantFilter,
    idempotency, member, organization, report,
    testing::{START, World, bound_device, device_row, give, grant_row, on_both, world},
    token,
};

fn command_row(device: DeviceId, op: Op, counter: u32) -> command::Row {
    command::Row {
        id: fresh::<CommandId>(START.plus(i64::from(counter))).0,
        device_id: device.to_key(),
        domain: i32::from(op.domain().number()),
        counter: i64::from(counter),
        op: op.as_str().to_owned(),
        supersede_key: op.supersede_key(0),
        priority: i32::from(op.priority()),
        args: serde_json::json!({}),
        ticket: None,
        state: State::Pending.as_str().to_owned(),
        error_code: None,
        generation: 0,
        expires_at: op.expires_at(START).map(|at| at.0),
        attempts: 0,
        created_by: "test".to_owned(),
        created_at: START.0,
        sent_at: None,
        acknowledged_at: None,
        applied_at: None,
        ended_at: None,
    }
}

async fn order(store: &Store, row: &command::Row) -> Vec<command::Row> {
    let superseded: Result<_, StoreError> = store
        .write(Lane::Priority, |tx| async move {
            command::insert(&tx, row, START).await
        })
        .await;
    superseded.unwrap()
}

#[test]
fn an_unlock_supersedes_the_lock_before_it_and_nothing_else() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let seal = bound_device(&store, &world, 1).await;
        let lock = command_row(seal.id, Op::Lock, 1);
        let locate = command_row(seal.id, Op::Locate, 1);
        assert!(order(&store, &lock).await.is_empty());
        assert!(order(&store, &locate).await.is_empty());
        let superseded = order(&store, &command_row(seal.id, Op::Unlock, 2)).await;
        assert_eq!(superseded.len(), 1);
        assert_eq!(superseded[0].key(), lock.key());
        let reader = store.read();
        let stored = command::find(&reader, lock.key()).await.unwrap().unwrap();
        assert_eq!(stored.state().unwrap(), State::Superseded);
        let live = command::live_of(&reader, seal.id).await.unwrap();
        let ops: Vec<_> = live.iter().map(|row| row.op().unwrap()).collect();
        assert_eq!(ops, [Op::Unlock, Op::Locate]);
        assert_eq!(command::unsigned(&reader, 10).await.unwrap(), live);
    });
}

#[test]
fn a_command_that_is_over_leaves_the_queue() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let seal = bound_device(&store, &world, 1).await;
        order(&store, &command_row(seal.id, Op::Locate, 1)).await;
        let overdue: Result<usize, StoreError> = store
            .write(Lane::Normal, |tx| async move {
                let early = command::lock_overdue(&tx, START, 10).await?;
                assert!(early.is_empty());
                let late = START.plus(Millis::HOUR);
                let mut rows = command::lock_overdue(&tx, late, 10).await?;
                for row in &mut rows {
                    assert!(row.advance(Event::Expired, late)?);
                    assert!(!row.advance(Event::Sent, late)?);
                    command::save(&tx, row).await?;
                }
                let answered = command::lock_by_counter(&tx, seal.id, Domain::Config, 1).await?;
                assert_eq!(answered.unwrap().state()?, State::Expired);
                Ok(rows.len())
            })
            .await;
        assert_eq!(overdue.unwrap(), 1);
        assert!(
            command::live_all(&store.read(), 10)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            command::list(&store.read(), seal.id, None, 10)
                .await
                .unwrap()
                .len(),
            1
        );
    });
}

/// Grants in every state, with times around [`START`].
fn grants_of_all_kinds(world: &World, device: DeviceId) -> Vec<grant::Row> {
    let mut rows = Vec::new();
    let some = |at: i64| [None, Some(START.0 + at)];
    for (ended_at, end_requested_at) in [(None, None), (None, Some(1)), (Some(1), Some(1))] {
        for delivered_at in some(-5) {
            for (max, used) in [(0, 7), (3, 2), (3, 3)] {
                for (from, to) in [(-10, 10), (5, 10), (-10, -5), (0, 1), (-1, 0)] {
                    let no = u32::try_from(rows.len()).unwrap() + 1;
                    rows.push(grant::Row {
                        used,
                        not_before: START.0 + from,
                        not_after: START.0 + to,
                        delivered_at,
                        end_requested_at,
                        ended_at,
                        ..grant_row(world, device, no, max)
                    });
                }
            }
        }
    }
    rows
}

#[test]
fn grants_asked_for_by_state_are_those_the_domain_says() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let seal = bound_device(&store, &world, 1).await;
        let rows = grants_of_all_kinds(&world, seal.id);
        for row in &rows {
            give(&store, row).await;
        }
        for state in GrantState::ALL {
            let filter = GrantFilter {
                state: Some((*state, START)),
                ..GrantFilter::default()
            };
            let mut found: Vec<_> = grant::list(&store.read(), &filter, None, 1_000)
                .await
                .unwrap()
                .iter()
                .map(|row| row.no)
                .collect();
            found.sort_unstable();
            let expected: Vec<_> = rows
                .iter()
                .filter(|row| row.state().state(START) == *state)
                .map(|row| row.no)
                .collect();
            assert!(!expected.is_empty());
            assert_eq!(found, expected, "{state}");
        }
        let open = grant::open_of(&store.read(), seal.id).await.unwrap();
        assert!(open.iter().all(|row| row.ended_at.is_none()));
        assert!(grant::holds_live(&store.read(), world.owner).await.unwrap());
    });
}

#[test]
fn lists_go_on_behind_their_last_row() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        for number in 1..=7 {
            bound_device(&store, &world, number).await;
        }
        let filter = DeviceFilter {
            organization: Some(world.organization),
            ..DeviceFilter::default()
        };
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = device::list(&store.read(), &filter, after, 3)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.key());
            seen.extend(page.iter().map(device::Row::key));
        }
        assert_eq!(seen.len(), 7);
        assert!(seen.is_sorted());
        assert_eq!(
            organization::bound_devices(&store.read(), world.organization)
                .await
                .unwrap(),
            7
        );
    });
}

#[test]
fn only_the_live_session_of_that_term_is_heard_and_never_backwards() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let seal = bound_device(&store, &world, 1).await;
        let heard: Result<Vec<bool>, StoreError> = store
            .write(Lane::Normal, |tx| async move {
                let mut heard = vec![report::heard(&tx, seal.id, 0, START).await?];
                let mut row = report::lock(&tx, seal.id).await?.unwrap();
                row.set_presence(row.presence().opened(3, START));
                report::save(&tx, &row).await?;
                for (term, after) in [(3, 5), (3, 4), (2, 6), (4, 6), (3, 6)] {
                    heard.push(report::heard(&tx, seal.id, term, START.plus(after)).await?);
                }
                Ok(heard)
            })
            .await;
        assert_eq!(heard.unwrap(), [false, true, false, false, false, true]);
        let row = report::find(&store.read(), seal.id).await.unwrap().unwrap();
        assert_eq!(row.last_contact_at, Some(START.plus(6).0));
    });
}

#[test]
fn a_session_opens_and_closes_simply_only_where_no_newer_one_is_known() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let seal = bound_device(&store, &world, 1).await;
        let place = ("a", "mqtt");
        let simple: Result<Vec<bool>, StoreError> = store
            .write(Lane::Normal, |tx| async move {
                let (id, at) = (seal.id, |after| START.plus(after));
                Ok(vec![
                    report::closed(&tx, id, 3, at(0), place).await?,
                    report::opened(&tx, id, 3, at(1), place).await?,
                    report::opened(&tx, id, 4, at(2), place).await?,
                    report::closed(&tx, id, 2, at(3), place).await?,
                    report::closed(&tx, id, 3, at(4), place).await?,
                    report::opened(&tx, id, 2, at(5), place).await?,
                    report::opened(&tx, id, 3, at(3), place).await?,
                ])
            })
            .await;
        let expected = [false, true, false, false, true, false, false];
        assert_eq!(simple.unwrap(), expected);
        let row = report::find(&store.read(), seal.id).await.unwrap().unwrap();
        assert_eq!((row.connected, row.term), (false, 3));
        assert_eq!(row.connected_at, Some(START.plus(1).0));
        assert_eq!(row.disconnected_at, Some(START.plus(4).0));
        assert_eq!(row.last_contact_at, row.disconnected_at);
        assert_eq!(
            (row.node.as_deref(), row.link.as_deref()),
            (Some("a"), Some("mqtt"))
        );
    });
}

#[test]
fn presence_is_stored_and_asked_for() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let seal = bound_device(&store, &world, 1).await;
        let done: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                let mut row = report::lock(&tx, seal.id).await?.unwrap();
                assert_eq!(row.presence(), Presence::default());
                row.set_presence(row.presence().opened(3, START));
                row.node = Some("a".to_owned());
                row.counted = Some(serde_json::json!([0, 1]));
                report::save(&tx, &row).await
            })
            .await;
        done.unwrap();
        let connected = |connected| DeviceFilter {
            connected: Some(connected),
            ..DeviceFilter::default()
        };
        let reader = store.read();
        assert_eq!(
            device::list(&reader, &connected(true), None, 10)
                .await
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            device::list(&reader, &connected(false), None, 10)
                .await
                .unwrap()
                .len(),
            0
        );
        let forgotten: Result<u64, StoreError> = store
            .write(Lane::Normal, |tx| async move {
                report::forget_sessions(&tx, "a", START).await
            })
            .await;
        assert_eq!(forgotten.unwrap(), 1);
        let row = report::of(&reader, &[seal.id])
            .await
            .unwrap()
            .pop()
            .unwrap();
        assert_eq!((row.presence().connected, row.presence().term), (false, 3));
        assert_eq!(row.counted, Some(serde_json::json!([0, 1])));
    });
}

#[test]
fn an_organization_has_one_owner_in_the_database_too() {
    on_both(|store| async move {
        let world = world(&store, true).await;
        let reader = store.read();
        let owner = member::owner(&reader, world.organization)
            .await
            .unwrap()
            .unwrap();
        let roster = member::roster(&reader, world.organization).await.unwrap();
        assert_eq!(
            roster,
            Roster {
                members: 1,
                owners: 1,
                admins: 0
            }
        );
        assert!(
            member::phone_taken(&reader, world.organization, &owner.phone)
                .await
                .unwrap()
        );
        assert_eq!(
            member::organizations_of(&reader, &owner.phone)
                .await
                .unwrap(),
            1
        );
        let second = &member::Row {
            id: fresh::<MemberId>(START).0,
            no: 2,
            phone: "13900139000".to_owned(),
            ..owner.clone()
        };
        let refused: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                member::insert(&tx, second).await
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Exists(_))));
    });
}

#[test]
fn a_token_is_found_by_the_hash_of_its_secret_and_a_key_is_taken_once() {
    on_both(|store| async move {
        let token = &token::Row {
            id: fresh::<TokenId>(START).0,
            name: "desk".to_owned(),
            secret_hash: vec![9; 32],
            scopes: "fleet:read".to_owned(),
            organization_id: None,
            expires_at: Some(START.plus(10).0),
            last_used_at: None,
            revoked_at: None,
            created_at: START.0,
        };
        let kept = &idempotency::Row {
            token_id: token.id,
            key: "k".to_owned(),
            route: "POST /x".to_owned(),
            body_hash: vec![1; 32],
            status: None,
            response: None,
            created_at: START.0,
            started_at: START.0,
        };
        let done: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                token::insert(&tx, token).await?;
                token::touch(&tx, token.key(), START).await?;
                idempotency::insert(&tx, kept).await?;
                let answer = serde_json::json!({"id": 1});
                let late = START.plus(-1);
                idempotency::finish(&tx, token.key(), "k", late, 500, None).await?;
                idempotency::finish(&tx, token.key(), "k", START, 202, Some(answer)).await
            })
            .await;
        done.unwrap();
        let reader = store.read();
        let found = token::by_secret(&reader, &[9; 32]).await.unwrap().unwrap();
        assert_eq!(found.last_used_at, Some(START.0));
        assert!(found.is_good(START) && !found.is_good(START.plus(10)));
        assert!(token::by_secret(&reader, &[8; 32]).await.unwrap().is_none());
        let answer = idempotency::find(&reader, token.key(), "k")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (answer.status, &answer.response),
            (Some(202), &Some(serde_json::json!({"id": 1})))
        );
        let again: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                idempotency::insert(&tx, kept).await
            })
            .await;
        assert!(matches!(again, Err(StoreError::Exists(_))));
    });
}

#[test]
fn a_key_found_free_is_taken_by_one() {
    on_both(|store| async move {
        let known = &idempotency::Row {
            token_id: fresh::<TokenId>(START).0,
            key: "k".to_owned(),
            route: "POST /x".to_owned(),
            body_hash: vec![1; 32],
            status: Some(0),
            response: None,
            created_at: START.0,
            started_at: START.0,
        };
        let next = &idempotency::Row {
            status: None,
            started_at: START.plus(5).0,
            ..known.clone()
        };
        let taken: Result<_, StoreError> = store
            .write(Lane::Normal, |tx| async move {
                idempotency::insert(&tx, known).await?;
                let first = idempotency::take(&tx, known, next).await?;
                Ok((first, idempotency::take(&tx, known, next).await?))
            })
            .await;
        assert_eq!(taken.unwrap(), (true, false));
    });
}

#[test]
fn every_column_of_a_device_survives() {
    on_both(|store| async move {
        let row = &device::Row {
            suspended_from: Some("bound".to_owned()),
            life: "suspended".to_owned(),
            cert_not_after: Some(1),
            revoked_at: Some(2),
            lock_issued_at: Some(3),
            lock_applied_at: Some(4),
            lock_lifted_at: Some(5),
            counter_firmware: i64::from(u32::MAX),
            ..device_row(u64::MAX)
        };
        let done: Result<(), StoreError> = store
            .write(
                Lane::Normal,
                |tx| async move { device::insert(&tx, row).await },
            )
            .await;
        done.unwrap();
        let found = device::find(&store.read(), DeviceId([0xff; 8]))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&found, row);
        let mut state = found.state().unwrap();
        state = state.resume().unwrap();
        let mut changed = found.clone();
        changed.set_state(state);
        assert_eq!(
            (changed.life.as_str(), changed.suspended_from),
            ("bound", None)
        );
    });
}
