//! HELLO in one transaction: counters and log are compared, lost answers made good, the twin updated.

use sealgate_domain::{
    Millis,
    command::Domain,
    stamp::{Cursor, UNKNOWN_HEAD},
};

use super::{HelloAnswer, HelloReport, Known, Suspicion, alarm, standing, suspend};
use crate::{
    app::{
        command::{caught_up, claim},
        effect,
    },
    store::{self, StoreError, Tx, device, log, report},
};

pub(super) async fn hello(
    tx: &Tx,
    told: &HelloReport,
    now: Millis,
) -> Result<Option<HelloAnswer>, StoreError> {
    let Some(mut device) = device::lock(tx, told.device).await? else {
        return Ok(None);
    };
    let Some(before) = report::lock(tx, told.device).await? else {
        return Ok(None);
    };
    let log = match log::newest(tx, told.device).await? {
        Some(log) => log,
        None => log::open(tx, told.device, told.epoch, told.genesis).await?,
    };
    let cursor = log.cursor()?;
    check_counters(tx, &mut device, &before, told, now).await?;
    check_log(tx, &device, (&cursor, &before), told, now).await?;
    caught_up(tx, &mut device, told.counters, now).await?;
    // Effects of caught-up commands are in the row now; the device's own word comes on top.
    let mut report = report::lock(tx, told.device).await?.unwrap_or(before);
    twin(&mut report, told, now);
    report::save(tx, &report).await?;
    let known = Known {
        locked: told.locked,
        key_set: report.key_set(),
    };
    effect::free_use(tx, &mut device, now).await?;
    let mut live = store::command::live_of(tx, told.device).await?;
    let commands = claim(tx, &device, &mut live, true, now).await?;
    Ok(Some(HelloAnswer {
        standing: standing(tx, &device, known, &live, now).await?,
        cursor,
        pending: u8::try_from(live.len()).unwrap_or(u8::MAX),
        commands,
    }))
}

const DOMAINS: [Domain; 4] = [
    Domain::Lock,
    Domain::Grant,
    Domain::Config,
    Domain::Firmware,
];

async fn check_counters(
    tx: &Tx,
    device: &mut device::Row,
    report: &report::Row,
    told: &HelloReport,
    now: Millis,
) -> Result<(), StoreError> {
    let known = [
        report.counter_lock,
        report.counter_grant,
        report.counter_config,
        report.counter_firmware,
    ];
    // The same HELLO again, byte for byte, is a repetition and proves nothing.
    let repeated = report.boot == Some(i64::from(told.boot))
        && report.uptime_s == Some(i64::from(told.uptime_s));
    let mut ahead = false;
    let mut behind = false;
    for ((domain, reported), known) in DOMAINS.into_iter().zip(told.counters).zip(known) {
        behind |= !repeated && known.is_some_and(|known| i64::from(reported) < known);
        if reported > device.counter(domain) {
            device.raise_counter(domain, reported);
            ahead = true;
        }
    }
    if ahead {
        device::save(tx, device).await?;
        alarm(tx, device, "counter_ahead", now).await?;
    }
    if behind {
        suspend(tx, device, Suspicion::CounterRollback, now).await?;
    }
    Ok(())
}

/// Differences of the log are alarms here and no decision: HELLO is not signed.
async fn check_log(
    tx: &Tx,
    device: &device::Row,
    (cursor, before): (&Cursor, &report::Row),
    told: &HelloReport,
    now: Millis,
) -> Result<(), StoreError> {
    let what = if told.epoch != cursor.epoch {
        "log_epoch"
    } else if told.log_next < cursor.next {
        "log_behind"
    } else if told.log_first > cursor.next {
        // It freed what we do not have, as after a restored database: every batch is behind a gap until somebody
        // reopens the log.
        let noted = before.boot == Some(i64::from(told.boot))
            && before.log_first > Some(i64::from(cursor.next));
        if noted {
            return Ok(());
        }
        "log_freed"
    } else if told.log_next == cursor.next
        && cursor.head != UNKNOWN_HEAD
        && told.head != cursor.head[..16]
    {
        "log_head"
    } else {
        return Ok(());
    };
    alarm(tx, device, what, now).await
}

fn twin(report: &mut report::Row, told: &HelloReport, now: Millis) {
    report.fw = Some(i64::from(told.firmware));
    report.hw = Some(i32::from(told.hardware));
    report.boot = Some(i64::from(told.boot));
    report.uptime_s = Some(i64::from(told.uptime_s));
    report.battery = Some(i32::from(told.battery));
    report.rssi = told.rssi.map(i32::from).or(report.rssi);
    if report.locked != Some(told.locked) {
        report.locked = Some(told.locked);
        report.locked_at = told.locked.then_some(now.0);
    }
    report.config_version = Some(i64::from(told.config_version));
    report.log_first = Some(i64::from(told.log_first));
    report.log_next = Some(i64::from(told.log_next));
    report.log_capacity = Some(i64::from(told.log_capacity));
    report.generation = Some(i64::from(told.generation));
    let counters = [
        &mut report.counter_lock,
        &mut report.counter_grant,
        &mut report.counter_config,
        &mut report.counter_firmware,
    ];
    for (known, reported) in counters.into_iter().zip(told.counters) {
        *known = (*known).max(Some(i64::from(reported)));
    }
    report.counted = Some(serde_json::json!(told.counted));
    report.last_contact_at = report.last_contact_at.max(Some(now.0));
}
