//! What an answered command changes: the device did it, so the platform's picture follows.
//!
//! Each effect may run again with the same result; an answer that comes late is still the truth.

use sealgate_domain::{GrantId, Millis, command::Event as Step, grant::EndReason};

use super::{
    command::{audit, tell},
    free_use, key_set,
    order::{GrantOrder, Order},
};
use crate::store::{
    self, Event, StoreError, Topic, Tx, command::Row, device, grant::Row as GrantRow, report,
};

/// The error code of an order about a grant the device does not hold.
const NO_GRANT: i32 = 0x0308;

/// The device did what was ordered.
pub(super) async fn applied(
    tx: &Tx,
    device: &mut device::Row,
    row: &Row,
    now: Millis,
) -> Result<(), StoreError> {
    let Ok(order) = Order::from_json(row.args.clone()) else {
        return Ok(());
    };
    let Some(mut report) = report::lock(tx, device.key()).await? else {
        return Ok(());
    };
    note_counter(&mut report, row);
    match &order {
        Order::Lock {} | Order::Unlock {} => {
            let locked = matches!(order, Order::Lock {});
            report.locked = Some(locked);
            report.locked_at = locked.then_some(now.0);
            if device.lock_issued_at.is_some() && locked {
                device.lock_applied_at = device.lock_applied_at.or(Some(now.0));
            }
            device::save(tx, device).await?;
        }
        Order::Grant(grant) => delivered(tx, device, grant, now).await?,
        Order::End { grant, .. } => {
            end_grant(tx, device, GrantId(*grant), EndReason::Manager, now).await?;
            offline_mode_off(tx, device, &mut report, now).await?;
        }
        Order::Config {
            version,
            backlight_s,
            auto_off_min,
        } => {
            report.config_version = Some(i64::from(*version));
            report.config = Some(serde_json::json!({
                "backlight_s": backlight_s,
                "auto_off_min": auto_off_min,
            }));
        }
        Order::Offline { on, .. } => {
            report.offline_mode = Some(*on);
            device.desired_offline = *on;
            device::save(tx, device).await?;
        }
        Order::Bind { name } => bound(tx, device, name.as_deref(), now).await?,
        Order::Unbind {} => unbound(tx, device, &mut report, row, now).await?,
        Order::KeySet { version, .. } => {
            report.key_set_version = report.key_set_version.max(i64::from(*version));
            key_set::sign_anew(tx, device).await?;
        }
        Order::Locate {} | Order::Reboot {} => {}
    }
    report::save(tx, &report).await?;
    tx.audit(audit(device, true, action(&order), now)).await?;
    changed(tx, device, order.op().as_str(), now).await
}

/// The device refused. What it keeps refusing is not asked again, and nothing stays *on its way* for ever.
pub(super) async fn rejected(
    tx: &Tx,
    device: &mut device::Row,
    row: &Row,
    now: Millis,
) -> Result<(), StoreError> {
    let mut audit = audit(device, true, "command.rejected", now);
    audit.detail = Some(serde_json::json!({"op": row.op, "error": row.error_code}));
    tx.audit(audit).await?;
    if row.error_code == Some(key_set::UNKNOWN_KEY) {
        key_set::refused(tx, device, row, now).await?;
    }
    if let Ok(Order::End { grant, .. }) = Order::from_json(row.args.clone())
        && row.error_code == Some(NO_GRANT)
    {
        // A grant the device does not hold (any more) has ended. Refused for another reason, it is still ending, and
        // its end is ordered again.
        end_grant(tx, device, GrantId(grant), EndReason::Manager, now).await?;
    }
    changed(tx, device, "command_rejected", now).await
}

/// The newest counter the device is known to have taken.
fn note_counter(report: &mut report::Row, row: &Row) {
    let known = match row.domain {
        0 => &mut report.counter_lock,
        1 => &mut report.counter_grant,
        2 => &mut report.counter_config,
        _ => &mut report.counter_firmware,
    };
    *known = (*known).max(Some(row.counter));
}

const fn action(order: &Order) -> &'static str {
    match order {
        Order::Lock {} => "device.locked",
        Order::Unlock {} => "device.unlocked",
        Order::Grant(_) => "grant.delivered",
        Order::End { .. } => "grant.ended",
        Order::Config { .. } => "device.configured",
        Order::Bind { .. } => "device.bound",
        Order::Unbind {} => "device.unbound",
        Order::Offline { .. } => "device.offline_mode",
        Order::Locate {} => "device.located",
        Order::Reboot {} => "device.restarted",
        Order::KeySet { .. } => "device.keys_changed",
    }
}

/// Tells that a device changed.
pub(super) async fn changed(
    tx: &Tx,
    device: &device::Row,
    change: &str,
    now: Millis,
) -> Result<(), StoreError> {
    tx.emit(Event {
        topic: Topic::Device,
        organization: device.organization(),
        device: Some(device.key()),
        payload: serde_json::json!({
            "device": device.key().to_string(),
            "change": change,
            "life": device.life,
        }),
        at: now,
    })
    .await
}

async fn tell_grant(
    tx: &Tx,
    device: &device::Row,
    row: &GrantRow,
    now: Millis,
) -> Result<(), StoreError> {
    tx.emit(Event {
        topic: Topic::Grant,
        organization: device.organization(),
        device: Some(device.key()),
        payload: serde_json::json!({
            "grant": row.id,
            "device": device.key().to_string(),
            "no": row.no,
            "method": row.method,
            "state": row.state().state(now).as_str(),
            "end_reason": row.end_reason,
        }),
        at: now,
    })
    .await
}

/// The device holds a grant: older ones are over, whatever became of their ends.
async fn delivered(
    tx: &Tx,
    device: &device::Row,
    order: &GrantOrder,
    now: Millis,
) -> Result<(), StoreError> {
    for mut row in store::grant::open_of(tx, device.key()).await? {
        if row.no < i64::from(order.no) {
            let reason = match row.end_requested_at {
                Some(_) => EndReason::Manager,
                None => EndReason::Replaced,
            };
            close_grant(tx, device, &mut row, reason, now).await?;
        } else if row.id == order.grant && row.delivered_at.is_none() {
            row.delivered_at = Some(now.0);
            store::grant::save(tx, &row).await?;
            tell_grant(tx, device, &row, now).await?;
        }
    }
    Ok(())
}

async fn end_grant(
    tx: &Tx,
    device: &device::Row,
    id: GrantId,
    reason: EndReason,
    now: Millis,
) -> Result<(), StoreError> {
    match store::grant::lock(tx, id).await? {
        Some(mut row) if row.ended_at.is_none() => {
            close_grant(tx, device, &mut row, reason, now).await
        }
        _ => Ok(()),
    }
}

async fn close_grant(
    tx: &Tx,
    device: &device::Row,
    row: &mut GrantRow,
    reason: EndReason,
    now: Millis,
) -> Result<(), StoreError> {
    row.set_state(row.state().ended(now));
    row.end_reason
        .get_or_insert_with(|| reason.as_str().to_owned());
    store::grant::save(tx, row).await?;
    tell_grant(tx, device, row, now).await
}

/// OFF-1: offline mode ends with its grant, and the owner is told.
async fn offline_mode_off(
    tx: &Tx,
    device: &mut device::Row,
    report: &mut report::Row,
    now: Millis,
) -> Result<(), StoreError> {
    if report.offline_mode != Some(true) && !device.desired_offline {
        return Ok(());
    }
    report.offline_mode = Some(false);
    // It may be over, and the owner told, since the grant's time was.
    match device.desired_offline {
        true => offline_mode_over(tx, device, now).await,
        false => Ok(()),
    }
}

/// OFF-1: offline mode is over on the platform, and the owner is told; the device hears of it next.
pub(super) async fn offline_mode_over(
    tx: &Tx,
    device: &mut device::Row,
    now: Millis,
) -> Result<(), StoreError> {
    device.desired_offline = false;
    device::save(tx, device).await?;
    tx.audit(audit(device, false, "device.offline_mode_ended", now))
        .await?;
    changed(tx, device, "offline_mode_ended", now).await
}

async fn bound(
    tx: &Tx,
    device: &mut device::Row,
    name: Option<&str>,
    now: Millis,
) -> Result<(), StoreError> {
    let Ok(state) = device.state()?.bound() else {
        tracing::warn!(device = %device.key(), life = %device.life, "a device says it is bound");
        return Ok(());
    };
    device.set_state(state);
    if let Some(name) = name {
        device.name = name.to_owned();
    }
    device::save(tx, device).await?;
    free_use::issue(tx, device, now).await?;
    Ok(())
}

/// BIND-3: a new generation; nothing of the old one stays.
async fn unbound(
    tx: &Tx,
    device: &mut device::Row,
    report: &mut report::Row,
    order: &Row,
    now: Millis,
) -> Result<(), StoreError> {
    let Ok(state) = device.state()?.unbound() else {
        tracing::warn!(device = %device.key(), life = %device.life, "a device says it is unbound");
        return Ok(());
    };
    device.set_state(state);
    device.desired_locked = false;
    device.desired_offline = false;
    device.lock_issued_at = None;
    device.lock_applied_at = None;
    device::save(tx, device).await?;
    report.locked = Some(false);
    report.offline_mode = Some(false);
    report.generation = Some(device.generation);
    for mut row in store::command::live_of(tx, device.key()).await? {
        if row.id != order.id && row.advance(Step::Superseded, now)? {
            store::command::save(tx, &row).await?;
            tell(tx, device, &row, now).await?;
        }
    }
    for mut row in store::grant::open_of(tx, device.key()).await? {
        close_grant(tx, device, &mut row, EndReason::Unbound, now).await?;
    }
    Ok(())
}
