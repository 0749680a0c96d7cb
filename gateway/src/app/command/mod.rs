//! Commands from the order to the device's answer: counters, superseding, what an answer changes. States only move
//! forward, and only as far as is known.
//!
//! What waits for its turn waits here, in the database: a counter domain has one command on its way at a time, and one
//! that was superseded meanwhile is never sent.

use sealgate_domain::{
    CommandId, DeviceId, Millis,
    command::{Domain, Op, State},
};

use super::order::Order;
use crate::store::{self, Audit, Event, StoreError, Topic, Tx, command::Row, device};

mod answer;
mod claim;

pub(super) use answer::{NOT_LET_IN, Told, caught_up, unresolved};
pub(super) use claim::claim;

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
/// Saves `device`. After the commit the caller pokes [`crate::app::Wake`].
///
/// A grant supersedes the grant before it but no end: while an old grant is ending the device gets no lease, and
/// without one it may be unable to take the new grant, which therefore queues behind the end.
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
    if op == Op::Grant {
        store::command::keep_ends(tx, device.key()).await?;
    }
    for older in store::command::insert(tx, &row, issue.at).await? {
        tell(tx, device, &older, issue.at).await?;
    }
    tell(tx, device, &row, issue.at).await?;
    Ok(row)
}

/// The event of a command's new state.
pub(in crate::app) async fn tell(
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
    pub(in crate::app) fn of(row: &Row) -> Result<Option<Self>, StoreError> {
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
    /// The newest key set the device is known to hold.
    pub key_set: u32,
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

/// A command on its way to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The command.
    pub id: CommandId,
    /// The counter of its ticket.
    pub counter: u32,
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
