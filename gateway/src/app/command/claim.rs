//! Signatures, and what is sent next: the oldest signed command of each counter domain with nothing on its way.

use std::collections::HashMap;

use sealgate_domain::{
    DeviceId, Millis,
    command::{Domain, Event as Step, Op, State},
    device::Life,
};

use super::{Delivery, Ready, Signature, Unsigned, tell};
use crate::{
    app::{App, AppError, key_set, order::Order},
    store::{self, Lane, StoreError, Tx, command::Row, device},
};

/// The error code of a command the signer refused: "key or scope".
const REFUSED_BY_SIGNER: i32 = 0x0202;

/// May the device be sent this while it is in that part of its life?
#[must_use]
fn deliverable(op: Op, life: Life) -> bool {
    match life {
        Life::Bound => true,
        Life::Suspended => op.allowed_unbound() || matches!(op, Op::Lock | Op::Unlock | Op::End),
        Life::Unbound => op.allowed_unbound(),
        _ => false,
    }
}

/// Picks what is on its way already and, in domains with nothing on its way, the oldest that is signed; marks it sent.
pub(in crate::app) async fn claim(
    tx: &Tx,
    device: &device::Row,
    live: &mut [Row],
    resend: bool,
    now: Millis,
) -> Result<Vec<Ready>, StoreError> {
    let life = device.state()?.life;
    let mut claimed = Vec::new();
    for &domain in Domain::ALL {
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
        let Some(next) = next(live, domain, life, now)? else {
            continue;
        };
        if !next.advance(Step::Sent, now)? {
            continue;
        }
        store::command::save(tx, next).await?;
        tell(tx, device, next, now).await?;
        claimed.extend(Ready::of(next)?);
    }
    claimed.sort_by_key(|ready| (ready.priority, ready.counter));
    Ok(claimed)
}

/// What is next in a domain with nothing on its way: the oldest, once it is signed.
fn next(
    live: &mut [Row],
    domain: Domain,
    life: Life,
    now: Millis,
) -> Result<Option<&mut Row>, StoreError> {
    let number = i32::from(domain.number());
    let next = live
        .iter_mut()
        .filter(|row| row.domain == number && row.state == State::Pending.as_str())
        .min_by_key(|row| row.counter);
    let Some(next) = next.filter(|row| row.ticket.is_some()) else {
        return Ok(None);
    };
    let overdue = next.expires_at.is_some_and(|at| at <= now.0);
    Ok((!overdue && deliverable(next.op()?, life)).then_some(next))
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
        let claimed = self.claim_live(id, true, |row| row.domain == lock).await?;
        Ok(claimed.into_iter().next())
    }

    /// Commands that wait for their signature, most urgent first.
    ///
    /// # Errors
    /// The database.
    pub async fn unsigned_commands(&self, limit: u64) -> Result<Vec<Unsigned>, AppError> {
        let reader = self.store.read();
        let rows = store::command::unsigned(&reader, limit).await?;
        let mut devices: Vec<DeviceId> = rows.iter().map(Row::device).collect();
        devices.sort_unstable();
        devices.dedup();
        let known: HashMap<DeviceId, u32> = store::report::of(&reader, &devices)
            .await?
            .iter()
            .map(|report| (report.device(), report.key_set()))
            .collect();
        let unsigned = rows.into_iter().map(|row| Unsigned {
            id: row.key(),
            device: row.device(),
            counter: row.counter(),
            generation: u32::try_from(row.generation).unwrap_or(u32::MAX),
            key_set: known.get(&row.device()).copied().unwrap_or(key_set::FIRST),
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

    /// Marks as sent, and returns, what waits signed for devices with a session on `node` that takes commands.
    /// [`App::commands_returned`] is told what could not be sent after all.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_commands(
        &self,
        node: &str,
        limit: u64,
        takes: impl Fn(DeviceId) -> bool + Send,
    ) -> Result<Vec<Ready>, AppError> {
        let reader = self.store.read();
        let devices = store::command::waiting_devices(&reader, node, limit).await?;
        let mut claimed = Vec::new();
        for device in devices.into_iter().filter(|device| takes(*device)) {
            claimed.extend(self.claim_of(device, false).await?);
        }
        Ok(claimed)
    }

    /// What no session took waits again. Marked first and taken back, not marked afterwards: a crash in between must
    /// not leave a ticket that a device has as one that was never sent.
    ///
    /// # Errors
    /// The database.
    pub async fn commands_returned(&self, refused: &[Delivery]) -> Result<(), AppError> {
        if refused.is_empty() {
            return Ok(());
        }
        self.store
            .write(Lane::Priority, |tx| async move {
                for delivery in refused {
                    let row = store::command::lock(&tx, delivery.id).await?;
                    if let Some(mut row) = row
                        && row.counter() == delivery.counter
                        && row.take_back()?
                    {
                        store::command::save(&tx, &row).await?;
                    }
                }
                Ok::<_, StoreError>(())
            })
            .await
            .map_err(AppError::from)
    }

    /// Marks as sent, and returns, what one device can be sent now.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_of(&self, id: DeviceId, resend: bool) -> Result<Vec<Ready>, AppError> {
        let waiting = store::command::live_of(&self.store.read(), id).await?;
        let waits =
            |row: &Row| resend || row.ticket.is_some() && row.state == State::Pending.as_str();
        if !waiting.iter().any(waits) {
            return Ok(Vec::new());
        }
        let claimed = self.claim_live(id, resend, |_| true).await?;
        if !claimed.is_empty() {
            self.wake.outbox.notify_one();
        }
        Ok(claimed)
    }

    /// Claims among those of a device's commands that are `meant`, in a transaction of its own.
    async fn claim_live(
        &self,
        id: DeviceId,
        resend: bool,
        meant: impl Fn(&Row) -> bool + Send + Sync,
    ) -> Result<Vec<Ready>, AppError> {
        let meant = &meant;
        let now = self.clock.now();
        let claimed: Result<_, StoreError> = self
            .store
            .write(Lane::Priority, |tx| async move {
                let Some(device) = device::lock(&tx, id).await? else {
                    return Ok(Vec::new());
                };
                let mut live = store::command::live_of(&tx, id).await?;
                live.retain(meant);
                claim(&tx, &device, &mut live, resend, now).await
            })
            .await;
        Ok(claimed?)
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
    let signed = row.clone();
    live.retain(|row| row.domain == domain);
    let claimed = match signature.live {
        true => claim(tx, &device, &mut live, false, now).await?.pop(),
        false => None,
    };
    // What goes out at once was written as sent, with its ticket.
    if claimed
        .as_ref()
        .is_none_or(|ready| ready.id != signature.id)
    {
        store::command::save(tx, &signed).await?;
    }
    Ok(claimed)
}
