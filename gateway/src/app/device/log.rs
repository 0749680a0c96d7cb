//! The log of a device that can't go on by itself: records it freed are not stored here, or it contradicts what is.
//!
//! - What is stored stays: a log moves on, never back.
//! - Where it goes on is a person's choice, with a reason, in the audit. What is skipped is noted as given up.
//! - The same choice again changes nothing.

use sealgate_domain::{
    DeviceId,
    stamp::{Cursor, Hash, UNKNOWN_HEAD},
};
use serde_json::json;

use crate::store::{Lane, log, report};

use super::{
    super::{Actor, App, AppError, access::Permission},
    load, note_change, reason,
};

pub use crate::store::log::Row as DeviceLog;

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
    ) -> Result<DeviceLog, AppError> {
        actor.may(Permission::ReopenLog)?;
        let why = reason(why)?;
        if why.is_empty() {
            return Err(AppError::invalid("reason", "1 to 200 characters"));
        }
        let now = self.clock.now();
        let row = self.change(Lane::Priority, |tx| {
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
                    return Ok(row);
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
                Ok(row)
            }
        });
        let row = row.await?;
        self.wake.device_changed(id);
        Ok(row)
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
        let message = format!("what is stored stays: {next} or more");
        return Err(AppError::invalid("from_seq", message));
    }
    let made = made.map_or(next, |made| made.max(next));
    if from > made {
        let message = format!("the device has made no such record: {made} or less");
        return Err(AppError::invalid("from_seq", message));
    }
    Ok(from)
}
