//! How SQLite walks what is asked often, and every list: along an index, in order, without sorting and without walking
//! what it does not show. "SCAN" walks all of a table, "TEMP B-TREE" sorts all that was found.

use sea_orm::{ConnectionTrait, DbBackend, QuerySelect, QueryTrait, Statement};
use sealgate_domain::{
    DeviceId, GrantId, MemberId, Millis, OrganizationId, device::Life, grant::GrantState,
    stamp::AbnormalKind,
};
use uuid::Uuid;

use crate::store::{
    command,
    device::{self, DeviceFilter},
    grant::{self, GrantFilter},
    reading_mark, report,
    stamp::{self, StampFilter},
    testing::{START, TestStore},
};

const ORGANIZATION: Option<OrganizationId> = Some(OrganizationId(Uuid::from_u128(1)));
const MEMBER: Option<MemberId> = Some(MemberId(Uuid::from_u128(2)));
const GRANT: Option<GrantId> = Some(GrantId(Uuid::from_u128(3)));
const DEVICE: Option<DeviceId> = Some(DeviceId([1; 8]));

async fn plan(test: &TestStore, query: impl QueryTrait) -> String {
    explained(test, query.build(DbBackend::Sqlite)).await
}

async fn explained(test: &TestStore, mut statement: Statement) -> String {
    statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let rows = test.store.read().query_all_raw(statement).await.unwrap();
    let steps: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("", "detail").unwrap())
        .collect();
    steps.join("; ")
}

#[track_caller]
fn walks(plan: &str, index: &str) {
    let walked = plan.split(&[' ', ';']).any(|word| word == index);
    assert!(walked && !plan.contains("TEMP"), "{index}: {plan}");
}

fn by_time() -> Vec<(&'static str, StampFilter)> {
    let none = StampFilter::default;
    let of = || StampFilter {
        organization: ORGANIZATION,
        ..none()
    };
    let class = Some(AbnormalKind::ALL[0]);
    let (abnormal, member, grant) = (true, MEMBER, GRANT);
    vec![
        ("stamp_time", none()),
        ("stamp_abnormal_time", StampFilter { abnormal, ..none() }),
        ("stamp_class_time", StampFilter { class, ..none() }),
        ("stamp_organization", of()),
        ("stamp_abnormal", StampFilter { abnormal, ..of() }),
        ("stamp_class", StampFilter { class, ..of() }),
        ("stamp_member", StampFilter { member, ..of() }),
        ("stamp_member", StampFilter { member, ..none() }),
        (
            "stamp_member_abnormal",
            StampFilter {
                abnormal,
                member,
                ..of()
            },
        ),
        (
            "stamp_member_abnormal",
            StampFilter {
                class,
                member,
                ..none()
            },
        ),
        (
            "stamp_device",
            StampFilter {
                device: DEVICE,
                until: Some(START),
                ..of()
            },
        ),
        ("stamp_grant", StampFilter { grant, ..of() }),
        (
            "stamp_grant",
            StampFilter {
                grant,
                device: DEVICE,
                ..of()
            },
        ),
        ("stamp_grant", StampFilter { grant, ..none() }),
    ]
}

#[tokio::test]
async fn every_list_of_stamps_walks_an_index_in_order_and_sorts_nothing() {
    let test = TestStore::sqlite().await;
    for (index, filter) in by_time() {
        for (before, from) in [(None, None), (Some((1, 1)), Some(START))] {
            let filter = StampFilter {
                from,
                ..filter.clone()
            };
            let query = stamp::by_time(&filter, before, false).limit(50);
            walks(&plan(&test, query).await, index);
        }
    }
}

#[tokio::test]
async fn a_devices_stamps_are_walked_along_its_log() {
    let test = TestStore::sqlite().await;
    let all = StampFilter {
        device: DEVICE,
        organization: ORGANIZATION,
        ..StampFilter::default()
    };
    let abnormal = StampFilter {
        abnormal: true,
        ..all.clone()
    };
    for before in [None, Some((1, 9))] {
        let query = stamp::by_log(&all, before).limit(50);
        walks(&plan(&test, query).await, "stamp_key");
        let query = stamp::by_log(&abnormal, before).limit(50);
        walks(&plan(&test, query).await, "stamp_device_abnormal");
    }
}

#[tokio::test]
async fn what_is_unread_is_counted_along_an_index_of_nothing_else() {
    let test = TestStore::sqlite().await;
    let of_one = plan(&test, reading_mark::behind(ORGANIZATION, 7)).await;
    walks(&of_one, "stamp_unread");
    let of_all = plan(&test, reading_mark::behind(None, 7)).await;
    walks(&of_all, "stamp_unread_all");
}

#[tokio::test]
async fn grants_are_walked_along_an_index_and_open_ones_along_one_of_their_own() {
    let test = TestStore::sqlite().await;
    let none = GrantFilter::default;
    let cases = [
        (
            "use_grant_organization",
            "use_grant_open_organization",
            GrantFilter {
                organization: ORGANIZATION,
                ..none()
            },
        ),
        (
            "use_grant_device",
            "use_grant_open",
            GrantFilter {
                device: DEVICE,
                ..none()
            },
        ),
        (
            "use_grant_member",
            "use_grant_open_member",
            GrantFilter {
                member: MEMBER,
                ..none()
            },
        ),
    ];
    for (all, open, filter) in cases {
        for before in [None, GRANT] {
            walks(
                &plan(&test, grant::page(&filter, before).limit(50)).await,
                all,
            );
            let in_use = GrantFilter {
                state: Some((GrantState::InUse, START)),
                ..filter.clone()
            };
            walks(
                &plan(&test, grant::page(&in_use, before).limit(50)).await,
                open,
            );
        }
    }
    let open = plan(&test, grant::open(&[DeviceId([1; 8])])).await;
    walks(&open, "use_grant_open");
    let of_state = |state| GrantFilter {
        state: Some((state, START)),
        ..none()
    };
    let query = grant::page(&of_state(GrantState::InUse), None).limit(50);
    walks(&plan(&test, query).await, "use_grant_open_all");
    let query = grant::page(&of_state(GrantState::Ending), None).limit(50);
    walks(&plan(&test, query).await, "use_grant_ending");
}

#[tokio::test]
async fn an_organizations_devices_are_walked_by_life() {
    let test = TestStore::sqlite().await;
    let filter = DeviceFilter {
        organization: ORGANIZATION,
        life: Some(Life::Suspended),
        connected: None,
    };
    for after in [None, DEVICE] {
        let plan = plan(&test, device::page(&filter, after).limit(50)).await;
        walks(&plan, "device_organization_life");
    }
}

#[tokio::test]
async fn connected_devices_are_walked_along_their_sessions() {
    let test = TestStore::sqlite().await;
    let filter = DeviceFilter {
        connected: Some(true),
        ..DeviceFilter::default()
    };
    for after in [None, DEVICE] {
        let plan = plan(&test, device::page(&filter, after).limit(50)).await;
        walks(&plan, "device_report_connected");
    }
}

#[tokio::test]
async fn a_round_of_background_work_walks_what_is_due_and_not_what_waits() {
    let test = TestStore::sqlite().await;
    walks(
        &plan(&test, command::overdue(START)).await,
        "command_overdue",
    );
    let waiting = plan(&test, command::waiting("node-1")).await;
    walks(&waiting, "device_report_connected");
    walks(&waiting, "command_waiting");
    assert!(!waiting.contains("SCAN"), "{waiting}");
    let differing = plan(&test, report::differing("node-1", Millis(0))).await;
    walks(&differing, "device_report_connected");
    assert!(!differing.contains("SCAN"), "{differing}");
}
