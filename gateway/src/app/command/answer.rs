//! What devices answer, in words or by their counters, and what nobody answered in time.

use sealgate_domain::{
    CommandId, Millis,
    command::{Event as Step, State},
};

use super::{Answer, DeviceAnswer, tell};
use crate::{
    app::{App, AppError, effect},
    store::{self, Lane, StoreError, Tx, command::Row, device},
};

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

/// HELLO tells the newest counter of each domain the device took. Closes what it must have done although its answer was
/// lost, and gives new counters to what it can no longer take.
pub(in crate::app) async fn caught_up(
    tx: &Tx,
    device: &mut device::Row,
    counters: [u32; 4],
    now: Millis,
) -> Result<(), StoreError> {
    for row in store::command::live_of(tx, device.key()).await? {
        let domain = row.domain()?;
        let reported = counters[usize::from(domain.number())];
        if row.counter() > reported {
            continue;
        }
        let state = row.state()?;
        if row.counter() == reported && state != State::Pending {
            let told = DeviceAnswer {
                device: device.key(),
                domain,
                counter: reported,
                answer: Answer::Applied,
            };
            answered(tx, told, now).await?;
            *device = device::lock(tx, told.device)
                .await?
                .unwrap_or_else(|| device.clone());
        } else if !row.op()?.one_shot() {
            recount(tx, device, row, now).await?;
        }
    }
    Ok(())
}

/// A new counter, and with it a new signature.
async fn recount(
    tx: &Tx,
    device: &mut device::Row,
    mut row: Row,
    now: Millis,
) -> Result<(), StoreError> {
    let counter = device.next_counter(row.domain()?);
    device::save(tx, device).await?;
    // A command that is on its way under a dead counter begins anew under another one: the old row ends truthfully.
    if row.state()? == State::Pending {
        row.counter = i64::from(counter);
        row.ticket = None;
        return store::command::save(tx, &row).await;
    }
    row.advance(Step::Superseded, now)?;
    store::command::save(tx, &row).await?;
    tell(tx, device, &row, now).await?;
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
