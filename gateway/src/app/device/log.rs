//! The log of a device that can't go on by itself: records it freed are not stored here, or it contradicts what is.
//!
//! - What is stored stays: a log moves on, never back.
//! - Where it goes on is a person's choice, with a reason, in the audit. What is skipped is noted as given up.
//! - The same choice again changes nothing.

use sealgate_domain::{
    DeviceId, Millis,
    device::Life,
    stamp::{Cursor, Hash, UNKNOWN_HEAD},
};
use serde_json::json;

use crate::store::{Lane, Reader, audit, entity::log_quarantine, log, report};

use super::{
    super::{Actor, App, AppError, access::Permission},
    Device, load, note_change, reason,
};

use crate::store::log::Row as DeviceLog;

/// Contradictions shown at most.
const CONTRADICTIONS: u64 = 10;

/// How a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// The device has not told of a log yet.
    NotBegun,
    /// It takes records.
    Open,
    /// The device freed records that are not stored: nothing behind them is taken.
    Missing,
    /// It contradicts what is stored: nothing is taken.
    Forked,
    /// It takes records of a device that is suspended.
    Suspended,
}

impl LogState {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotBegun => "not_begun",
            Self::Open => "open",
            Self::Missing => "missing",
            Self::Forked => "forked",
            Self::Suspended => "suspended",
        }
    }
}

/// What a person has to do before a log goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStep {
    /// Nothing.
    Nothing,
    /// Decide, then reopen the log.
    Reopen,
    /// Decide, reopen the log, then resume the device.
    ReopenAndResume,
    /// Resume the device once the reason is settled.
    Resume,
}

/// The newest alarm about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAlarm {
    /// `log_fork`, `counter_rollback`, `log_freed` and so on; unknown for the oldest.
    pub kind: Option<String>,
    /// When.
    pub at: Millis,
}

/// A device's log, and what is the matter with it.
#[derive(Debug, Clone)]
pub struct LogShown {
    /// How it stands.
    pub state: LogState,
    /// What a person has to do.
    pub step: LogStep,
    /// How far it is stored; none before the device told of a log.
    pub log: Option<DeviceLog>,
    /// The oldest record the device still has, and the one it will make next.
    pub held: Option<(i64, i64)>,
    /// The newest alarm.
    pub alarm: Option<LastAlarm>,
    /// Records that contradict stored ones, oldest first: the first few.
    pub contradictions: Vec<log_quarantine::Model>,
}

/// A fork weighs more than missing records, and those more than a suspension.
fn judge(life: Life, row: Option<&DeviceLog>, held: Option<(i64, i64)>) -> (LogState, LogStep) {
    let suspended = life == Life::Suspended;
    let stands_still = match suspended {
        true => LogStep::ReopenAndResume,
        false => LogStep::Reopen,
    };
    match row {
        Some(row) if row.state != log::OK => (LogState::Forked, stands_still),
        Some(row) if held.is_some_and(|(first, _)| first > row.next_seq) => {
            (LogState::Missing, stands_still)
        }
        _ if suspended => (LogState::Suspended, LogStep::Resume),
        Some(_) => (LogState::Open, LogStep::Nothing),
        None => (LogState::NotBegun, LogStep::Nothing),
    }
}

async fn shown(r: &Reader, device: &Device) -> Result<LogShown, AppError> {
    let id = device.key();
    let newest = log::newest(r, id).await?;
    let told = report::find(r, id).await?;
    let held = told.and_then(|told| told.log_first.zip(told.log_next));
    let (state, step) = judge(device.state()?.life, newest.as_ref(), held);
    let alarm = audit::newest_of(r, id, device.organization(), audit::Mark::Alarm).await?;
    Ok(LogShown {
        state,
        step,
        log: newest,
        held,
        alarm: alarm.map(|row| LastAlarm {
            kind: match row.action.as_str() {
                "log.fork" => Some("log_fork".to_owned()),
                _ => row
                    .detail
                    .and_then(|detail| Some(detail["kind"].as_str()?.to_owned())),
            },
            at: Millis(row.at),
        }),
        contradictions: log::quarantined(r, id, CONTRADICTIONS).await?,
    })
}

/// Which chain head a reopened log goes on from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogHead {
    /// Ours where nothing is skipped, else the device's.
    #[default]
    Any,
    /// What the device's next signed checkpoint says.
    Device,
    /// This one.
    Given(Hash),
}

/// Where a log goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// The next number to store; the first that the device still has, unless given.
    pub from_seq: Option<u32>,
    /// The chain head before it.
    pub head: LogHead,
}

impl App {
    /// How far the newest log of a device is stored.
    ///
    /// # Errors
    /// The database.
    pub async fn log_cursor(&self, id: DeviceId) -> Result<Option<Cursor>, AppError> {
        let row = log::newest(&self.store.read(), id).await?;
        Ok(row.as_ref().map(DeviceLog::cursor).transpose()?)
    }

    /// How a device's log stands, and what has to be done about it.
    ///
    /// # Errors
    /// No access, no such device, or the database.
    pub async fn device_log(&self, actor: &Actor, id: DeviceId) -> Result<LogShown, AppError> {
        actor.may(Permission::ReadLog)?;
        let device = self.seen(actor, id).await?;
        shown(&self.store.read(), &device).await
    }

    /// Lets a log take records again from a chosen place.
    ///
    /// # Errors
    /// No access, no such device or log, no reason, a place behind or beyond it, or the database.
    pub async fn reopen_log(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
        place: LogPlace,
    ) -> Result<LogShown, AppError> {
        actor.may(Permission::ReopenLog)?;
        let why = reason(why)?;
        if why.is_empty() {
            return Err(AppError::invalid(
                "reason",
                ("须为1至200个字符", "1 to 200 characters"),
            ));
        }
        let now = self.clock.now();
        let changed = self.change(Lane::Priority, |tx| {
            let (actor, why) = (actor.clone(), why.clone());
            async move {
                let device = load(&tx, &actor, id).await?;
                let found = log::newest(&tx, id).await?;
                let mut row = found.ok_or(AppError::NotFound("log"))?;
                let before = row.clone();
                let told = report::find(&tx, id).await?;
                let kept = told.as_ref().and_then(|told| told.log_first);
                let made = told.as_ref().and_then(|told| told.log_next);
                let from = chosen(place, row.next_seq, kept, made)?;
                row.head = match place.head {
                    LogHead::Given(head) => head.to_vec(),
                    LogHead::Any if from == row.next_seq => row.head,
                    LogHead::Any | LogHead::Device => UNKNOWN_HEAD.to_vec(),
                };
                row.state = log::OK.to_owned();
                row.next_seq = from;
                if row == before {
                    return Ok(device);
                }
                let skipped = from - before.next_seq;
                if skipped > 0 {
                    log::give_up(&tx, &before, skipped, "reopened", now).await?;
                }
                log::save(&tx, &row).await?;
                let detail = json!({
                    "reason": why,
                    "epoch": row.epoch,
                    "from": before.next_seq,
                    "to": from,
                    "state": before.state,
                });
                note_change(&tx, &actor, &device, ("device.log_reopen", detail), now).await?;
                Ok(device)
            }
        });
        let device = changed.await?;
        self.wake.device_changed(id);
        shown(&self.store.read(), &device).await
    }
}

fn chosen(
    place: LogPlace,
    next: i64,
    kept: Option<i64>,
    made: Option<i64>,
) -> Result<i64, AppError> {
    let Some(from) = place.from_seq.map(i64::from) else {
        return Ok(next.max(kept.unwrap_or(next)));
    };
    if from < next {
        let message = (
            format!("已保存的记录不可更改：须为{next}或以上"),
            format!("what is stored stays: {next} or more"),
        );
        return Err(AppError::invalid("from_seq", message));
    }
    let made = made.map_or(next, |made| made.max(next));
    if from > made {
        let message = (
            format!("印章没有这条记录：须为{made}或以下"),
            format!("the device has made no such record: {made} or less"),
        );
        return Err(AppError::invalid("from_seq", message));
    }
    Ok(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str) -> DeviceLog {
        DeviceLog {
            device_id: 1,
            epoch: 1,
            next_seq: 120,
            head: vec![0; 32],
            state: state.to_owned(),
            last_at: None,
        }
    }

    #[test]
    fn a_fork_weighs_more_than_missing_records_and_those_more_than_a_suspension() {
        let (ok, forked) = (row(log::OK), row(log::AUDIT));
        let (whole, freed) = (Some((100, 150)), Some((121, 150)));
        let judged = |life, row, held| judge(life, row, held);
        for (life, row, held, expected) in [
            (
                Life::Bound,
                None,
                None,
                (LogState::NotBegun, LogStep::Nothing),
            ),
            (
                Life::Bound,
                Some(&ok),
                whole,
                (LogState::Open, LogStep::Nothing),
            ),
            (
                Life::Suspended,
                Some(&ok),
                whole,
                (LogState::Suspended, LogStep::Resume),
            ),
            (
                Life::Bound,
                Some(&ok),
                freed,
                (LogState::Missing, LogStep::Reopen),
            ),
            (
                Life::Suspended,
                Some(&ok),
                freed,
                (LogState::Missing, LogStep::ReopenAndResume),
            ),
            (
                Life::Bound,
                Some(&forked),
                freed,
                (LogState::Forked, LogStep::Reopen),
            ),
            (
                Life::Suspended,
                Some(&forked),
                whole,
                (LogState::Forked, LogStep::ReopenAndResume),
            ),
        ] {
            assert_eq!(judged(life, row, held), expected, "{life:?} {held:?}");
        }
    }
}
