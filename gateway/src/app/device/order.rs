//! What people order of a device, step by step.
//!
//! Every order takes the same steps, in one transaction of the priority lane, and they stand here once: access, what was
//! written, the device, has this very request ordered it already, the code if it needs one, the rules, is it on its way,
//! what changes with it, the order with its audit row and event. What differs is a [`Wish`]. Nothing is answered before the
//! code was looked at: whoever guesses is counted, whatever the rules say and whatever is on its way meanwhile.

use sealgate_domain::{
    CommandId, DeviceId, Millis, RuleError, device as rules, settings::Settings,
};

use crate::store::{self, Lane, Tx, command::Row as Command};

use super::{
    super::{
        Actor, App, AppError,
        access::Permission,
        code::{self, Entry},
        command::{Issue, enqueue},
        order::Order,
    },
    Device, load, note_change, reason,
    wish::Wish,
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
        let wish = || Ok(Wish::Lock { why: reason(why)? });
        self.order(actor, Permission::LockDevice, id, wish).await
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
        let wish = || Ok(Wish::Unlock { why: reason(why)? });
        self.order(actor, Permission::LockDevice, id, wish).await
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
        let wish = || {
            let name = name.as_deref().map(rules::name).transpose()?;
            Ok(Wish::Bind { name })
        };
        self.order(actor, Permission::BindDevice, id, wish).await
    }

    /// Unbinds a device (BIND-3).
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn unbind_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<Command, AppError> {
        let wish = || Ok(Wish::Unbind { why: reason(why)? });
        self.order(actor, Permission::BindDevice, id, wish).await
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
        let wish = || Ok(Wish::Locate { why: reason(why)? });
        self.order(actor, Permission::LocateDevice, id, wish).await
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
        let digits = digits.to_owned();
        let wish = || Ok(Wish::OfflineMode { on, digits });
        let permission = Permission::SetOfflineMode;
        self.order(actor, permission, id, wish).await
    }

    /// Changes the wanted settings that are at `version`; they reach the device now or at its next connection. The
    /// device comes back as it is with the change.
    pub(super) async fn order_settings(
        &self,
        actor: &Actor,
        id: DeviceId,
        version: i64,
        wanted: Settings,
    ) -> Result<(Device, Command), AppError> {
        let wish = || {
            let wanted = wanted.check()?;
            Ok(Wish::Settings { version, wanted })
        };
        let permission = Permission::ConfigureDevice;
        self.ordered(actor, permission, id, wish).await
    }

    async fn order(
        &self,
        actor: &Actor,
        permission: Permission,
        id: DeviceId,
        wish: impl FnOnce() -> Result<Wish, AppError>,
    ) -> Result<Command, AppError> {
        let (_, command) = self.ordered(actor, permission, id, wish).await?;
        Ok(command)
    }

    /// The steps. `wish` is made, with what people wrote checked, once it is clear that the actor may.
    async fn ordered(
        &self,
        actor: &Actor,
        permission: Permission,
        id: DeviceId,
        wish: impl FnOnce() -> Result<Wish, AppError>,
    ) -> Result<(Device, Command), AppError> {
        actor.may(permission)?;
        let wish = &wish()?;
        let now = self.clock.now();
        let secret = &self.settings.secret;
        let decided = self.change(Lane::Priority, |tx| async move {
            let mut row = load(&tx, actor, id).await?;
            if let Some(made) = repeated(&tx, actor, now).await? {
                return Ok(Ok((row, made)));
            }
            let entry = match wish.code() {
                Some(digits) => code::enter(&tx, secret, &row, digits, now).await?,
                None => Entry::Right,
            };
            if let Entry::Refused(rule) = entry {
                // Not an error of the transaction: the try must be committed.
                return Ok(Err(rule));
            }
            let order = wish.decide(&tx, &row, now).await?;
            if entry == Entry::NoCode {
                return Ok(Err(RuleError::CodeWrong));
            }
            if let Some(made) = on_its_way(&tx, &row, &order).await? {
                return Ok(Ok((row, made)));
            }
            if entry == Entry::Again {
                return Ok(Err(RuleError::CodeUsed));
            }
            wish.take_effect(&tx, actor, &mut row, now).await?;
            let command = issue(&tx, actor, &mut row, (wish, &order), now).await?;
            Ok::<_, AppError>(Ok((row, command)))
        });
        decided.await?.map_err(AppError::from)
    }
}

/// The command this very request has written already, when it is sent again.
async fn repeated(tx: &Tx, actor: &Actor, now: Millis) -> Result<Option<Command>, AppError> {
    if actor.request.is_none() {
        return Ok(None);
    }
    let id = CommandId(actor.new_id(now));
    Ok(store::command::find(tx, id).await?)
}

/// The same order, still on its way: it is not given twice. Another one of the same kind is in the way, unless this one
/// takes its place.
async fn on_its_way(tx: &Tx, row: &Device, order: &Order) -> Result<Option<Command>, AppError> {
    let live = store::command::live_of(tx, row.key()).await?;
    let name = order.op().as_str();
    match live.into_iter().find(|command| command.op == name) {
        Some(found) if found.args == order.to_json() => Ok(Some(found)),
        Some(found) if found.supersede_key.is_none() => Err(AppError::conflict(
            "同类指令正在执行",
            "an order of this kind is on its way",
        )),
        _ => Ok(None),
    }
}

/// Writes an order down, with its audit row and event.
async fn issue(
    tx: &Tx,
    actor: &Actor,
    row: &mut Device,
    (wish, order): (&Wish, &Order),
    at: Millis,
) -> Result<Command, AppError> {
    let issue = Issue {
        id: CommandId(actor.new_id(at)),
        by: actor.label(),
        at,
    };
    let command = enqueue(tx, row, order, &issue).await?;
    note_change(tx, actor, row, wish.told(), at).await?;
    Ok(command)
}
