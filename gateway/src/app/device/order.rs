//! What the device itself must do: lock, unlock, bind, unbind, tell its position, switch offline mode.

use sealgate_domain::{
    DeviceId, Millis, RuleError,
    device::{self as rules, BindFacts, Life, UnbindFacts},
    grant::{self as grants, EndReason, GrantState, Method},
};
use serde_json::json;

use crate::store::{Lane, Tx, command::Row as Command, grant, log, organization, report};

use super::{
    super::{Actor, App, AppError, access::Permission, code, grant::end_on_device, order::Order},
    Device, connected, issue, load, need_session, on_its_way, reason, repeated,
};

impl App {
    /// Locks a device that was lost (LOCK-1).
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn lock_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<Command, AppError> {
        self.set_lock(actor, id, why, true).await
    }

    /// Unlocks a device (LOCK-1).
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn unlock_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<Command, AppError> {
        self.set_lock(actor, id, why, false).await
    }

    async fn set_lock(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
        locked: bool,
    ) -> Result<Command, AppError> {
        actor.may(Permission::LockDevice)?;
        let why = reason(why)?;
        let now = self.clock.now();
        self.change(Lane::Priority, |tx| {
            let (actor, why) = (actor.clone(), why.clone());
            async move {
                let mut row = load(&tx, &actor, id).await?;
                if let Some(made) = repeated(&tx, &actor, now).await? {
                    return Ok(made);
                }
                check_lockable(&row)?;
                let (order, action) = match locked {
                    true => (Order::Lock {}, "device.lock"),
                    false => (Order::Unlock {}, "device.unlock"),
                };
                if let Some(made) = on_its_way(&tx, &row, &order).await? {
                    return Ok(made);
                }
                row.desired_locked = locked;
                if locked {
                    row.lock_issued_at = Some(now.0);
                    row.lock_applied_at = None;
                }
                row.lock_lifted_at = (!locked).then_some(now.0);
                let what = (action, json!({"reason": why}));
                issue(&tx, &actor, &mut row, &order, what, now).await
            }
        })
        .await
    }

    /// Binds a device (BIND-1).
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn bind_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        name: Option<String>,
    ) -> Result<Command, AppError> {
        actor.may(Permission::BindDevice)?;
        let name = name.as_deref().map(rules::name).transpose()?;
        let now = self.clock.now();
        self.change(Lane::Priority, |tx| {
            let (actor, name) = (actor.clone(), name.clone());
            async move {
                let mut row = load(&tx, &actor, id).await?;
                if let Some(made) = repeated(&tx, &actor, now).await? {
                    return Ok(made);
                }
                let facts = bind_facts(&tx, &row).await?;
                row.state()?.check_bind(&facts)?;
                let order = Order::Bind { name };
                if let Some(made) = on_its_way(&tx, &row, &order).await? {
                    return Ok(made);
                }
                let what = ("device.bind", json!({}));
                issue(&tx, &actor, &mut row, &order, what, now).await
            }
        })
        .await
    }

    /// Unbinds a device (BIND-3). Free use ends with it, so its implicit grant is ended first.
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn unbind_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<Command, AppError> {
        actor.may(Permission::BindDevice)?;
        let why = reason(why)?;
        let now = self.clock.now();
        self.change(Lane::Priority, |tx| {
            let (actor, why) = (actor.clone(), why.clone());
            async move {
                let mut row = load(&tx, &actor, id).await?;
                if let Some(made) = repeated(&tx, &actor, now).await? {
                    return Ok(made);
                }
                let facts = unbind_facts(&tx, &row, now).await?;
                row.state()?.check_unbind(&facts)?;
                let order = Order::Unbind {};
                if let Some(made) = on_its_way(&tx, &row, &order).await? {
                    return Ok(made);
                }
                for mut open in grant::open_of(&tx, id).await? {
                    if is_implicit(&open) {
                        let reason = EndReason::Unbound;
                        end_on_device(&tx, &actor, &mut row, &mut open, reason, now).await?;
                    }
                }
                let what = ("device.unbind", json!({"reason": why}));
                issue(&tx, &actor, &mut row, &order, what, now).await
            }
        })
        .await
    }

    /// Asks a device where it is (REC-3).
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn refresh_position(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<Command, AppError> {
        actor.may(Permission::LocateDevice)?;
        let why = reason(why)?;
        let now = self.clock.now();
        self.change(Lane::Priority, |tx| {
            let (actor, why) = (actor.clone(), why.clone());
            async move {
                let mut row = load(&tx, &actor, id).await?;
                if let Some(made) = repeated(&tx, &actor, now).await? {
                    return Ok(made);
                }
                row.state()?.check_bound()?;
                need_session(connected(&tx, id).await?)?;
                let order = Order::Locate {};
                if let Some(made) = on_its_way(&tx, &row, &order).await? {
                    return Ok(made);
                }
                let what = ("device.locate", json!({"reason": why}));
                issue(&tx, &actor, &mut row, &order, what, now).await
            }
        })
        .await
    }

    /// Switches offline mode (OFF-1). A wrong code counts even though nothing else happens.
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn set_offline_mode(
        &self,
        actor: &Actor,
        id: DeviceId,
        on: bool,
        digits: &str,
    ) -> Result<Command, AppError> {
        actor.may(Permission::SetOfflineMode)?;
        let now = self.clock.now();
        let secret = self.settings.secret;
        let decided = self.change(Lane::Priority, |tx| {
            let (actor, digits) = (actor.clone(), digits.to_owned());
            async move {
                let mut row = load(&tx, &actor, id).await?;
                if let Some(made) = repeated(&tx, &actor, now).await? {
                    return Ok(Ok(made));
                }
                row.state()?.check_bound()?;
                let open = grant::open_of(&tx, id).await?;
                let newest = open.last().ok_or(RuleError::OfflineModeNeedsGrant)?;
                let state = newest.state().state(now);
                let live = connected(&tx, id).await?;
                grants::check_offline_mode(Some(state), newest.flags(), live)?;
                let order = Order::Offline {
                    on,
                    no: u32::try_from(newest.no).unwrap_or(u32::MAX),
                    limit_s: None,
                };
                if let Some(made) = on_its_way(&tx, &row, &order).await? {
                    return Ok(Ok(made));
                }
                if let Err(rule) = code::enter(&tx, &secret, &row, &digits, now).await? {
                    return Ok(Err(rule));
                }
                let what = ("device.offline_mode", json!({"on": on}));
                issue(&tx, &actor, &mut row, &order, what, now)
                    .await
                    .map(Ok)
            }
        });
        decided.await?.map_err(AppError::from)
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
