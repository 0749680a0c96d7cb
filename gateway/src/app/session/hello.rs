//! HELLO in one transaction: counters and log are compared, lost answers made good, the twin updated.

use sealgate_domain::{
    Millis,
    command::{Domain, Op},
    stamp::{Cursor, UNKNOWN_HEAD},
};
use serde::{Deserialize, Serialize};

use super::{HelloAnswer, HelloReport, Known, Suspicion, alarm, standing, suspend};
use crate::{
    app::{
        command::{Ready, Told, caught_up, claim, unresolved},
        free_use, reconcile,
    },
    store::{StoreError, Tx, command, device, log, report},
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
    let commands = Told {
        counters: told.counters,
        locked: told.locked,
        early: &told.early,
    };
    caught_up(tx, &mut device, commands, now).await?;
    let unresolved = unresolved(tx, &device, commands).await?;
    // Effects of early answers are in the row now; the device's own word comes on top.
    let mut report = report::lock(tx, told.device).await?.unwrap_or(before);
    let same_generation = told.generation == device.state()?.generation;
    let unbinding = unresolved.iter().any(|row| row.op == Op::Unbind.as_str());
    let mut alarms = Alarms::of(&report, told.boot);
    if let Some(what) = log_differs(&cursor, told) {
        alarms.raise(tx, &device, what, now).await?;
    }
    if !same_generation && !unbinding {
        alarms.raise(tx, &device, "generation", now).await?;
    }
    alarms.keep(&mut report);
    twin(&mut report, told, now);
    report::save(tx, &report).await?;
    let known = Known {
        locked: told.locked,
        key_set: report.key_set(),
    };
    if same_generation {
        free_use::issue(tx, &mut device, now).await?;
        reconcile::again(tx, &mut device, &report, now).await?;
    }
    let mut live = command::live_of(tx, told.device).await?;
    let claimed = claim(tx, &device, &mut live, true, now).await?;
    let commands = in_order(&unresolved, claimed)?;
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

/// Commands that one device can have got from us without our remembering: those since the restored backup.
const MAX_JUMP: u32 = 1 << 24;
/// What a device may report: behind it there must be numbers left for us.
const LAST_COUNTER: u32 = 0xf000_0000;

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
    let mut impossible = false;
    for ((domain, reported), known) in DOMAINS.into_iter().zip(told.counters).zip(known) {
        behind |= !repeated && known.is_some_and(|known| i64::from(reported) < known);
        let ours = device.counter(domain);
        impossible |= reported > ours.saturating_add(MAX_JUMP) || reported > LAST_COUNTER;
        if reported > ours && !impossible {
            device.raise_counter(domain, reported);
            ahead = true;
        }
    }
    if ahead {
        device::save(tx, device).await?;
        alarm(tx, device, "counter_ahead", now).await?;
    }
    if impossible {
        suspend(tx, device, Suspicion::CounterImpossible, now).await?;
    }
    if behind {
        suspend(tx, device, Suspicion::CounterRollback, now).await?;
    }
    Ok(())
}

/// A lock before anything else. Then tickets that were taken before, ahead of newer ones of their domain: behind them
/// they would be stale.
fn in_order(unresolved: &[command::Row], claimed: Vec<Ready>) -> Result<Vec<Ready>, StoreError> {
    let mut commands: Vec<Ready> = Vec::with_capacity(unresolved.len() + claimed.len());
    for row in unresolved {
        commands.extend(Ready::of(row)?);
    }
    for ready in claimed {
        if commands.iter().all(|known| known.id != ready.id) {
            commands.push(ready);
        }
    }
    commands.sort_by_key(|ready| ready.domain != Domain::Lock);
    Ok(commands)
}

/// Differences of the log are alarms here and no decision: HELLO is not signed.
fn log_differs(cursor: &Cursor, told: &HelloReport) -> Option<&'static str> {
    if told.epoch != cursor.epoch {
        Some("log_epoch")
    } else if told.log_next < cursor.next {
        Some("log_behind")
    } else if told.log_first > cursor.next {
        // It freed what we do not have, as after a restored database: every batch is behind a gap until somebody
        // reopens the log.
        Some("log_freed")
    } else if told.log_next == cursor.next
        && cursor.head != UNKNOWN_HEAD
        && told.head != cursor.head[..16]
    {
        Some("log_head")
    } else {
        None
    }
}

/// What HELLOs of one boot have raised alarms about: each is raised once.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Alarms {
    boot: u32,
    kinds: Vec<String>,
}

impl Alarms {
    fn of(report: &report::Row, boot: u32) -> Self {
        let known: Option<Self> = report
            .alarmed
            .clone()
            .and_then(|stored| serde_json::from_value(stored).ok());
        known.filter(|known| known.boot == boot).unwrap_or(Self {
            boot,
            kinds: Vec::new(),
        })
    }

    async fn raise(
        &mut self,
        tx: &Tx,
        device: &device::Row,
        kind: &'static str,
        now: Millis,
    ) -> Result<(), StoreError> {
        if self.kinds.iter().any(|known| known == kind) {
            return Ok(());
        }
        self.kinds.push(kind.to_owned());
        alarm(tx, device, kind, now).await
    }

    fn keep(&self, report: &mut report::Row) {
        if !self.kinds.is_empty() {
            report.alarmed = serde_json::to_value(self).ok();
        }
    }
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
