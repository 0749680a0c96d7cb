//! What can be ordered of a device: of each wish the rules, what changes with it, and how the audit tells it.

use sealgate_domain::{
    Millis, RuleError,
    device::{BindFacts, Life, UnbindFacts},
    grant::{self as grants, EndReason, GrantState, Method},
    settings::Settings,
};
use serde_json::{Value, json};

use crate::store::{Tx, grant, log, organization, report};

use super::{
    super::{Actor, AppError, grant::end_on_device, order::Order},
    Device, connected,
    settings::to_json,
};

/// What a person wants of a device, checked as far as it can be without the device.
#[derive(Debug)]
pub(super) enum Wish {
    /// Lock it (LOCK-1).
    Lock { why: String },
    /// Unlock it (LOCK-1).
    Unlock { why: String },
    /// Bind it (BIND-1).
    Bind { name: Option<String> },
    /// Unbind it (BIND-3).
    Unbind { why: String },
    /// Know where it is (REC-3).
    Locate { why: String },
    /// Offline mode on or off, with the digits of the owner's code (OFF-1).
    OfflineMode { on: bool, digits: String },
    /// Other settings than those at `version` (MGMT-1).
    Settings { version: i64, wanted: Settings },
}

impl Wish {
    /// The rules; and the order that goes to the device.
    pub(super) async fn decide(
        &self,
        tx: &Tx,
        row: &Device,
        now: Millis,
    ) -> Result<Order, AppError> {
        match self {
            Self::Lock { .. } => {
                check_lockable(row)?;
                Ok(Order::Lock {})
            }
            Self::Unlock { .. } => {
                check_lockable(row)?;
                Ok(Order::Unlock {})
            }
            Self::Bind { name } => {
                row.state()?.check_bind(&bind_facts(tx, row).await?)?;
                Ok(Order::Bind { name: name.clone() })
            }
            Self::Unbind { .. } => {
                let facts = unbind_facts(tx, row, now).await?;
                row.state()?.check_unbind(&facts)?;
                Ok(Order::Unbind {})
            }
            Self::Locate { .. } => {
                row.state()?.check_bound()?;
                match connected(tx, row.key()).await? {
                    true => Ok(Order::Locate {}),
                    false => Err(RuleError::DeviceOffline.into()),
                }
            }
            Self::OfflineMode { on, .. } => offline_mode(tx, row, *on, now).await,
            Self::Settings { version, wanted } => {
                let current = row.desired_config_version;
                if current != *version {
                    return Err(AppError::Stale { current });
                }
                row.state()?.check_bound()?;
                Ok(Order::Config {
                    version: u32::try_from(current + 1).unwrap_or(u32::MAX),
                    backlight_s: wanted.backlight_s,
                    auto_off_min: wanted.auto_off_min,
                })
            }
        }
    }

    /// The digits of a code, when it needs one.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::OfflineMode { digits, .. } => Some(digits),
            _ => None,
        }
    }

    /// What changes with it; the row is saved with the order.
    pub(super) async fn take_effect(
        &self,
        tx: &Tx,
        actor: &Actor,
        row: &mut Device,
        now: Millis,
    ) -> Result<(), AppError> {
        match self {
            Self::Lock { .. } => {
                row.desired_locked = true;
                row.lock_issued_at = Some(now.0);
                row.lock_applied_at = None;
                row.lock_lifted_at = None;
            }
            Self::Unlock { .. } => {
                row.desired_locked = false;
                row.lock_lifted_at = Some(now.0);
            }
            Self::Unbind { .. } => {
                // Free use ends with it, so its implicit grant is ended first.
                for mut open in grant::open_of(tx, row.key()).await? {
                    if is_implicit(&open) {
                        let reason = EndReason::Unbound;
                        end_on_device(tx, actor, row, &mut open, reason, now).await?;
                    }
                }
            }
            Self::Settings { wanted, .. } => {
                row.desired_config = to_json(*wanted);
                row.desired_config_version += 1;
            }
            Self::Bind { .. } | Self::Locate { .. } | Self::OfflineMode { .. } => {}
        }
        Ok(())
    }

    /// How the audit tells it.
    pub(super) fn told(&self) -> (&'static str, Value) {
        match self {
            Self::Lock { why } => ("device.lock", json!({"reason": why})),
            Self::Unlock { why } => ("device.unlock", json!({"reason": why})),
            Self::Bind { .. } => ("device.bind", json!({})),
            Self::Unbind { why } => ("device.unbind", json!({"reason": why})),
            Self::Locate { why } => ("device.locate", json!({"reason": why})),
            Self::OfflineMode { on, .. } => ("device.offline_mode", json!({"on": on})),
            Self::Settings { wanted, .. } => ("device.configure", to_json(*wanted)),
        }
    }
}

/// A seal that is lost can be locked even when it was suspended meanwhile.
fn check_lockable(row: &Device) -> Result<(), AppError> {
    let state = row.state()?;
    match (state.life, state.suspended_from) {
        (Life::Suspended, Some(Life::Bound)) => Ok(()),
        _ => Ok(state.check_bound()?),
    }
}

async fn offline_mode(tx: &Tx, row: &Device, on: bool, now: Millis) -> Result<Order, AppError> {
    row.state()?.check_bound()?;
    let open = grant::open_of(tx, row.key()).await?;
    let newest = open.last().ok_or(RuleError::OfflineModeNeedsGrant)?;
    let state = newest.state().state(now);
    let live = connected(tx, row.key()).await?;
    grants::check_offline_mode(Some(state), newest.flags(), live)?;
    Ok(Order::Offline {
        on,
        no: newest.number(),
        limit_s: None,
    })
}

fn is_implicit(row: &grant::Row) -> bool {
    row.method == Method::Implicit.as_str()
}

async fn bind_facts(tx: &Tx, row: &Device) -> Result<BindFacts, AppError> {
    let (bound_devices, quota) = match row.organization() {
        None => (0, 0),
        Some(id) => {
            // Kept until the commit, so that two devices do not take the last place of the quota.
            let organization = organization::lock(tx, id).await?;
            let quota = organization.map_or(0, |row| row.device_quota);
            let bound = organization::bound_devices(tx, id).await?;
            (bound, u32::try_from(quota).unwrap_or(0))
        }
    };
    Ok(BindFacts {
        connected: connected(tx, row.key()).await?,
        bound_devices,
        // A device nobody has is refused for that, not for a quota.
        quota: if row.organization_id.is_none() {
            1
        } else {
            quota
        },
    })
}

async fn unbind_facts(tx: &Tx, row: &Device, now: Millis) -> Result<UnbindFacts, AppError> {
    let id = row.key();
    let report = report::find(tx, id).await?;
    let stored = log::newest(tx, id).await?.map(|log| log.next_seq);
    let told = report.as_ref().and_then(|report| report.log_next);
    let open = grant::open_of(tx, id).await?;
    let over = |row: &grant::Row| {
        matches!(
            row.state().state(now),
            GrantState::Ended | GrantState::Ending
        )
    };
    Ok(UnbindFacts {
        connected: report.as_ref().is_some_and(|report| report.connected),
        grant_open: open.iter().any(|row| !is_implicit(row) && !over(row)),
        locked: row.desired_locked || report.and_then(|report| report.locked) == Some(true),
        records_pending: told.is_some_and(|told| told > stored.unwrap_or(1)),
    })
}
