//! Commands from the order to the device's answer: counters, superseding, what an answer changes. States only move
//! forward, and only as far as is known.
//!
//! What waits for its turn waits here, in the database: a counter domain has one command on its way at a time, and one
//! that was superseded meanwhile is never sent.

use sealgate_domain::{
    CommandId, DeviceId, Millis,
    command::{Domain, Event as Step, Op, State},
    device::Life,
};

use super::{App, AppError, effect, order::Order};
use crate::store::{self, Audit, Event, Lane, StoreError, Topic, Tx, command::Row, device};

/// Who issued a command, under which id, when.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The command's id: the same for a request sent again.
    pub id: CommandId,
    /// The actor, as audit rows name it.
    pub by: String,
    /// When.
    pub at: Millis,
}

impl Issue {
    /// Issued by the platform itself.
    #[must_use]
    pub fn system(at: Millis) -> Self {
        Self {
            id: store::fresh(at),
            by: "system".to_owned(),
            at,
        }
    }
}

/// Writes an order down in the caller's transaction: takes the next counter, supersedes older orders of its key, tells.
/// Saves `device`. After the commit the caller pokes [`super::Wake`].
///
/// # Errors
/// The database.
pub async fn enqueue(
    tx: &Tx,
    device: &mut device::Row,
    order: &Order,
    issue: &Issue,
) -> Result<Row, StoreError> {
    let op = order.op();
    let counter = device.next_counter(op.domain());
    device::save(tx, device).await?;
    let row = Row {
        id: issue.id.0,
        device_id: device.id,
        domain: i32::from(op.domain().number()),
        counter: i64::from(counter),
        op: op.as_str().to_owned(),
        supersede_key: op.supersede_key(0),
        priority: i32::from(op.priority()),
        args: order.to_json(),
        ticket: None,
        state: State::Pending.as_str().to_owned(),
        error_code: None,
        generation: device.generation,
        expires_at: order.expires_at(issue.at).map(|at| at.0),
        attempts: 0,
        created_by: issue.by.clone(),
        created_at: issue.at.0,
        sent_at: None,
        acknowledged_at: None,
        applied_at: None,
        ended_at: None,
    };
    for older in store::command::insert(tx, &row, issue.at).await? {
        tell(tx, device, &older, issue.at).await?;
    }
    tell(tx, device, &row, issue.at).await?;
    Ok(row)
}

/// The event of a command's new state.
pub(super) async fn tell(
    tx: &Tx,
    device: &device::Row,
    row: &Row,
    now: Millis,
) -> Result<(), StoreError> {
    let payload = serde_json::json!({
        "command": row.id,
        "device": device.key().to_string(),
        "op": row.op,
        "state": row.state,
        "error": row.error_code,
        "attempts": row.attempts,
        "created_at": row.created_at,
    });
    tx.emit(Event {
        topic: Topic::Command,
        organization: device.organization(),
        device: Some(device.key()),
        payload,
        at: now,
    })
    .await
}

/// A row of the audit about a device, by the device itself or by the platform.
pub(super) fn audit(
    device: &device::Row,
    by_device: bool,
    action: &'static str,
    now: Millis,
) -> Audit {
    let key = device.key();
    Audit {
        at: now,
        organization: device.organization(),
        device: Some(key),
        actor: match by_device {
            true => format!("device:{key}"),
            false => "system".to_owned(),
        },
        action,
        subject: key.to_string(),
        detail: None,
    }
}

/// A command whose ticket is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The command.
    pub id: CommandId,
    /// For whom.
    pub device: DeviceId,
    /// Counter domain.
    pub domain: Domain,
    /// Counter.
    pub counter: u32,
    /// Lower is sooner.
    pub priority: u8,
    /// The signed ticket.
    pub ticket: Vec<u8>,
}

impl Ready {
    fn of(row: &Row) -> Result<Option<Self>, StoreError> {
        let Some(ticket) = row.ticket.clone() else {
            return Ok(None);
        };
        Ok(Some(Self {
            id: row.key(),
            device: row.device(),
            domain: row.domain()?,
            counter: row.counter(),
            priority: u8::try_from(row.priority).unwrap_or(u8::MAX),
            ticket,
        }))
    }
}

/// A command that waits for its signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsigned {
    /// The command.
    pub id: CommandId,
    /// For whom.
    pub device: DeviceId,
    /// Counter.
    pub counter: u32,
    /// Binding generation it is for.
    pub generation: u32,
    /// When it may no longer be taken.
    pub expires_at: Option<Millis>,
    /// What is ordered; none when this version cannot read the row.
    pub order: Option<Order>,
}

/// A signature for a command, or the final refusal of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The command.
    pub id: CommandId,
    /// The counter that was signed.
    pub counter: u32,
    /// The ticket; none when the signer refuses it for good.
    pub ticket: Option<Vec<u8>>,
    /// Whether the device has a session here, so that it can be sent now.
    pub live: bool,
}

/// What a device says about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceAnswer {
    /// The device.
    pub device: DeviceId,
    /// Counter domain.
    pub domain: Domain,
    /// Counter.
    pub counter: u32,
    /// Its answer.
    pub answer: Answer,
}

/// The answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Applied,
    /// It has it; the result follows.
    Accepted,
    /// Refused, with its error code.
    Rejected(u16),
}

/// The error code of a command the signer refused: "key or scope".
const REFUSED_BY_SIGNER: i32 = 0x0202;

/// May the device be sent this while it is in that part of its life?
#[must_use]
pub(super) fn deliverable(op: Op, life: Life) -> bool {
    match life {
        Life::Bound => true,
        Life::Suspended => op.allowed_unbound() || matches!(op, Op::Lock | Op::Unlock | Op::End),
        Life::Unbound => op.allowed_unbound(),
        _ => false,
    }
}

/// Picks what is on its way already and, in domains with nothing on its way, the oldest that is signed; marks it sent.
pub(super) async fn claim(
    tx: &Tx,
    device: &device::Row,
    live: &mut [Row],
    resend: bool,
    now: Millis,
) -> Result<Vec<Ready>, StoreError> {
    let life = device.state()?.life;
    let mut claimed = Vec::new();
    for domain in [
        Domain::Lock,
        Domain::Grant,
        Domain::Config,
        Domain::Firmware,
    ] {
        let number = i32::from(domain.number());
        let sent = live
            .iter()
            .filter(|row| row.domain == number && row.state == State::Sent.as_str())
            .max_by_key(|row| row.counter);
        if let Some(sent) = sent {
            if resend {
                claimed.extend(Ready::of(sent)?);
            }
            continue;
        }
        let next = live
            .iter_mut()
            .filter(|row| row.domain == number && row.state == State::Pending.as_str())
            .min_by_key(|row| row.counter);
        let Some(next) = next.filter(|row| row.ticket.is_some()) else {
            continue;
        };
        let overdue = next.expires_at.is_some_and(|at| at <= now.0);
        if overdue || !deliverable(next.op()?, life) || !next.advance(Step::Sent, now)? {
            continue;
        }
        store::command::save(tx, next).await?;
        tell(tx, device, next, now).await?;
        claimed.extend(Ready::of(next)?);
    }
    claimed.sort_by_key(|ready| (ready.priority, ready.counter));
    Ok(claimed)
}

impl App {
    /// The lock (or unlock) that waits for the device, to be sent before anything else.
    ///
    /// # Errors
    /// The database.
    pub async fn pending_lock(&self, id: DeviceId) -> Result<Option<Ready>, AppError> {
        let live = store::command::live_of(&self.store.read(), id).await?;
        let lock = i32::from(Domain::Lock.number());
        if !live
            .iter()
            .any(|row| row.domain == lock && row.ticket.is_some())
        {
            return Ok(None);
        }
        let now = self.clock.now();
        let claimed = self
            .store
            .write(Lane::Priority, |tx| async move {
                let Some(device) = device::lock(&tx, id).await? else {
                    return Ok(Vec::new());
                };
                let mut live = store::command::live_of(&tx, id).await?;
                live.retain(|row| row.domain == lock);
                claim(&tx, &device, &mut live, true, now).await
            })
            .await
            .map_err(|error: StoreError| AppError::from(error))?;
        Ok(claimed.into_iter().next())
    }

    /// Commands that wait for their signature, most urgent first.
    ///
    /// # Errors
    /// The database.
    pub async fn unsigned_commands(&self, limit: u64) -> Result<Vec<Unsigned>, AppError> {
        let rows = store::command::unsigned(&self.store.read(), limit).await?;
        let unsigned = rows.into_iter().map(|row| Unsigned {
            id: row.key(),
            device: row.device(),
            counter: row.counter(),
            generation: u32::try_from(row.generation).unwrap_or(u32::MAX),
            expires_at: row.expires_at.map(Millis),
            order: Order::from_json(row.args)
                .inspect_err(
                    |error| tracing::error!(command = %row.id, %error, "an order cannot be read"),
                )
                .ok(),
        });
        Ok(unsigned.collect())
    }

    /// Stores signatures, and marks as sent what can be sent now, which it returns.
    ///
    /// # Errors
    /// The database.
    pub async fn commands_signed(&self, signed: &[Signature]) -> Result<Vec<Ready>, AppError> {
        let now = self.clock.now();
        let result = self
            .store
            .write(Lane::Priority, |tx| async move {
                let mut ready = Vec::new();
                for signature in signed {
                    ready.extend(store_signature(&tx, signature, now).await?);
                }
                Ok::<_, StoreError>(ready)
            })
            .await?;
        self.wake.outbox.notify_one();
        Ok(result)
    }

    /// Marks as sent, and returns, what waits signed for devices with a session on `node`.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_commands(&self, node: &str, limit: u64) -> Result<Vec<Ready>, AppError> {
        let reader = self.store.read();
        let devices = store::command::waiting_devices(&reader, node, limit).await?;
        let mut claimed = Vec::new();
        for device in devices {
            claimed.extend(self.claim_of(device, false).await?);
        }
        Ok(claimed)
    }

    /// Marks as sent, and returns, what one device can be sent now.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_of(&self, id: DeviceId, resend: bool) -> Result<Vec<Ready>, AppError> {
        let now = self.clock.now();
        let claimed = self
            .store
            .write(Lane::Priority, |tx| async move {
                let Some(device) = device::lock(&tx, id).await? else {
                    return Ok(Vec::new());
                };
                let mut live = store::command::live_of(&tx, id).await?;
                claim(&tx, &device, &mut live, resend, now).await
            })
            .await
            .map_err(|error: StoreError| AppError::from(error))?;
        if !claimed.is_empty() {
            self.wake.outbox.notify_one();
        }
        Ok(claimed)
    }

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

async fn store_signature(
    tx: &Tx,
    signature: &Signature,
    now: Millis,
) -> Result<Option<Ready>, StoreError> {
    let Some(row) = store::command::find(tx, signature.id).await? else {
        return Ok(None);
    };
    let Some(device) = device::lock(tx, row.device()).await? else {
        return Ok(None);
    };
    let mut live = store::command::live_of(tx, row.device()).await?;
    let Some(row) = live.iter_mut().find(|row| row.key() == signature.id) else {
        return Ok(None);
    };
    // A counter that moved on meanwhile needs another signature.
    if row.counter() != signature.counter || row.ticket.is_some() {
        return Ok(None);
    }
    let domain = row.domain;
    match &signature.ticket {
        Some(ticket) => row.ticket = Some(ticket.clone()),
        None => {
            row.advance(Step::Rejected, now)?;
            row.error_code = Some(REFUSED_BY_SIGNER);
            tell(tx, &device, row, now).await?;
        }
    }
    store::command::save(tx, row).await?;
    if !signature.live {
        return Ok(None);
    }
    live.retain(|row| row.domain == domain);
    Ok(claim(tx, &device, &mut live, false, now).await?.pop())
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
pub(super) async fn caught_up(
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
