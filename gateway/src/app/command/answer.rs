//! What devices answer, in words or by their counters, and what nobody answered in time.

use sealgate_domain::{
    CommandId, Millis,
    command::{Event as Step, Op, State},
};

use super::{Answer, DeviceAnswer, tell};
use crate::{
    app::{App, AppError, effect},
    store::{self, Lane, StoreError, Tx, command::Row, device},
};

/// The error code of a ticket whose counter the device had taken before.
const COUNTER_STALE: i32 = 0x0203;

/// Error codes of tickets that were not let in: no counter was taken, nothing was decided about the order.
pub(in crate::app) const NOT_LET_IN: std::ops::RangeInclusive<i32> = 0x0200..=0x02ff;

impl App {
    /// The device answered a command. True when that changed what the device may do.
    ///
    /// # Errors
    /// The database.
    pub async fn command_answered(&self, told: DeviceAnswer) -> Result<bool, AppError> {
        let now = self.clock.now();
        let changed = self
            .store
            .write(Lane::Priority, |tx| async move {
                answered(&tx, told, now).await
            })
            .await
            .map_err(|error: StoreError| AppError::from(error))?;
        self.wake.poke();
        if changed && matches!(told.answer, Answer::Rejected(_)) {
            // Free use goes on when its device was not unbound after all.
            self.wake.grants.notify_one();
        }
        Ok(changed)
    }

    /// Expires what is overdue; says how many commands that were.
    ///
    /// # Errors
    /// The database.
    pub async fn expire_commands(&self, limit: u64) -> Result<usize, AppError> {
        let now = self.clock.now();
        let overdue = store::command::has_overdue(&self.store.read(), now).await?;
        if !overdue {
            return Ok(0);
        }
        let expired = self
            .store
            .write(Lane::Normal, |tx| async move {
                let rows = store::command::lock_overdue(&tx, now, limit).await?;
                let count = rows.len();
                for mut row in rows {
                    if row.advance(Step::Expired, now)? {
                        store::command::save(&tx, &row).await?;
                        if let Some(device) = device::find(&tx, row.device()).await? {
                            tell(&tx, &device, &row, now).await?;
                        }
                    }
                }
                Ok::<_, StoreError>(count)
            })
            .await?;
        self.wake.outbox.notify_one();
        if expired > 0 {
            // Free use goes on when its device was not unbound after all.
            self.wake.grants.notify_one();
        }
        Ok(expired)
    }
}

async fn answered(tx: &Tx, told: DeviceAnswer, now: Millis) -> Result<bool, StoreError> {
    let Some(mut device) = device::lock(tx, told.device).await? else {
        return Ok(false);
    };
    let row = store::command::lock_by_counter(tx, told.device, told.domain, told.counter).await?;
    let Some(mut row) = row else {
        tracing::warn!(device = %told.device, counter = told.counter, "an answer to no command of ours");
        return Ok(false);
    };
    let step = match told.answer {
        Answer::Applied => Step::Applied,
        Answer::Accepted => Step::Acknowledged,
        Answer::Rejected(_) => Step::Rejected,
    };
    let before = row.state()?;
    if let Answer::Rejected(code) = told.answer
        && before.is_final()
        && NOT_LET_IN.contains(&i32::from(code))
    {
        // Too late to be let in: that says nothing about the time it was sent first.
        return Ok(false);
    }
    if !row.advance(step, now)? || before == row.state()? {
        return Ok(false);
    }
    if let Answer::Rejected(code) = told.answer {
        row.error_code = Some(i32::from(code));
    }
    store::command::save(tx, &row).await?;
    tell(tx, &device, &row, now).await?;
    match told.answer {
        Answer::Applied => {
            effect::applied(tx, &mut device, &row, now).await?;
            Ok(true)
        }
        Answer::Accepted => Ok(false),
        Answer::Rejected(_) => {
            effect::rejected(tx, &mut device, &row, now).await?;
            Ok(true)
        }
    }
}

/// What HELLO tells about commands.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Told<'a> {
    /// The newest counter of each domain the device took.
    pub(in crate::app) counters: [u32; 4],
    /// It is locked.
    pub(in crate::app) locked: bool,
    /// What it answered before it said HELLO.
    pub(in crate::app) early: &'a [DeviceAnswer],
}

/// Gives new counters to what the device can no longer take. A counter alone says that a ticket was taken, never what
/// became of it: the device keeps that and tells it when the same ticket comes again ([`unresolved`]).
///
/// After a restored backup a counter of ours may name an older command of the device. So a lock or unlock that is told
/// to be taken counts only if the device is as it says; otherwise it is ordered anew.
pub(in crate::app) async fn caught_up(
    tx: &Tx,
    device: &mut device::Row,
    told: Told<'_>,
    now: Millis,
) -> Result<(), StoreError> {
    for answer in told.early {
        let row = store::command::lock_by_counter(tx, device.key(), answer.domain, answer.counter)
            .await?;
        if row.is_some_and(|row| agrees(&row, told.locked)) {
            answered(tx, *answer, now).await?;
            reload(tx, device).await?;
        }
    }
    for row in store::command::live_of(tx, device.key()).await? {
        let reported = told.counters[usize::from(row.domain()?.number())];
        if row.counter() > reported {
            continue;
        }
        if row.sent_at.is_none() {
            recount(tx, device, row, now).await?;
        } else if row.counter() == reported {
            if !agrees(&row, told.locked) {
                misnamed(tx, device, row, now).await?;
            }
        } else if !row.op()?.one_shot() {
            recount(tx, device, row, now).await?;
        }
    }
    Ok(())
}

/// Tickets the device took last and whose outcome is not known here, also of commands that were given up meanwhile.
/// Sent again they change nothing and are answered with what became of them.
pub(in crate::app) async fn unresolved(
    tx: &Tx,
    device: &device::Row,
    told: Told<'_>,
) -> Result<Vec<Row>, StoreError> {
    let mut found = Vec::new();
    for row in store::command::lock_by_counters(tx, device.key(), told.counters).await? {
        let answered = matches!(row.state()?, State::Applied | State::Rejected);
        let taken = row.sent_at.is_some() && row.ticket.is_some();
        if taken && !answered && agrees(&row, told.locked) {
            found.push(row);
        }
    }
    Ok(found)
}

/// Can the device, being locked or not, have obeyed this command last?
fn agrees(row: &Row, locked: bool) -> bool {
    match row.op() {
        Ok(Op::Lock) => locked,
        Ok(Op::Unlock) => !locked,
        _ => true,
    }
}

async fn reload(tx: &Tx, device: &mut device::Row) -> Result<(), StoreError> {
    if let Some(newer) = device::lock(tx, device.key()).await? {
        *device = newer;
    }
    Ok(())
}

/// The device took this counter for something else: the command ends as refused, so that an answer for the other one
/// cannot pass for its own, and begins anew.
async fn misnamed(
    tx: &Tx,
    device: &mut device::Row,
    mut row: Row,
    now: Millis,
) -> Result<(), StoreError> {
    row.advance(Step::Rejected, now)?;
    row.error_code = Some(COUNTER_STALE);
    store::command::save(tx, &row).await?;
    tell(tx, device, &row, now).await?;
    again(tx, device, row, now).await
}

/// A new counter, and with it a new signature.
async fn recount(
    tx: &Tx,
    device: &mut device::Row,
    mut row: Row,
    now: Millis,
) -> Result<(), StoreError> {
    // A command that is on its way under a dead counter begins anew under another one: the old row ends truthfully.
    if row.state()? == State::Pending {
        row.counter = i64::from(device.next_counter(row.domain()?));
        device::save(tx, device).await?;
        row.ticket = None;
        return store::command::save(tx, &row).await;
    }
    row.advance(Step::Superseded, now)?;
    store::command::save(tx, &row).await?;
    tell(tx, device, &row, now).await?;
    again(tx, device, row, now).await
}

/// The same order as a new command, under the next counter.
async fn again(tx: &Tx, device: &mut device::Row, row: Row, now: Millis) -> Result<(), StoreError> {
    let counter = device.next_counter(row.domain()?);
    device::save(tx, device).await?;
    let again = Row {
        id: store::fresh::<CommandId>(now).0,
        counter: i64::from(counter),
        ticket: None,
        state: State::Pending.as_str().to_owned(),
        error_code: None,
        attempts: 0,
        sent_at: None,
        acknowledged_at: None,
        applied_at: None,
        ended_at: None,
        ..row
    };
    store::command::insert(tx, &again, now).await?;
    tell(tx, device, &again, now).await
}
