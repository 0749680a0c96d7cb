//! Grants: given, ended, listed (USE-6, USE-7, USE-9).
//!
//! A grant is a row and an order in one transaction. Its state is worked out, never stored.

use sealgate_domain::{
    CommandId, DeviceId, GrantId, MemberId, Millis, RuleError,
    grant::{self as rules, EndReason, GrantState, Method, Region, Terms},
    organization::UseMode,
};
use serde_json::{Value, json};

use crate::store::{
    self, Lane, Reader, StoreError, Topic, Tx, command::Row as Command, device, grant, member,
    organization,
};

use super::{
    Actor, App, AppError, Change,
    access::Permission,
    command::{Issue, enqueue},
    device::load,
    order::{GrantOrder, Order, OrderRegion},
};

pub use crate::store::grant::{GrantFilter, Row as Grant};

/// A grant and what it is now.
#[derive(Debug, Clone)]
pub struct GrantShown {
    /// The row.
    pub grant: Grant,
    /// Worked out (USE-9).
    pub state: GrantState,
    /// The member's name, also when removed since; none for free use.
    pub member_name: Option<String>,
}

/// A direct grant.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// On this device.
    pub device: DeviceId,
    /// For this member.
    pub member: MemberId,
    /// What it allows.
    pub terms: Terms,
    /// What is stamped.
    pub document: Option<Value>,
    /// A remark.
    pub remark: String,
}

/// Grants as they are now, with names.
async fn shown(r: &Reader, rows: Vec<Grant>, now: Millis) -> Result<Vec<GrantShown>, AppError> {
    let names = member::names(r, rows.iter().filter_map(|row| row.member_id)).await?;
    let shown = rows.into_iter().map(|grant| GrantShown {
        state: grant.state().state(now),
        member_name: grant.member_id.and_then(|id| names.get(&id).cloned()),
        grant,
    });
    Ok(shown.collect())
}

/// Where a grant holds, as its row keeps it.
#[must_use]
pub fn region_of(grant: &Grant) -> Option<Region> {
    let stored: OrderRegion = serde_json::from_value(grant.region.clone()?).ok()?;
    Some(Region::from(&stored))
}

impl App {
    /// Gives a direct grant; the device gets it now or at its next connection (USE-7).
    ///
    /// # Errors
    /// No access, no such device or member, a rule, or the database.
    pub async fn give_grant(&self, actor: &Actor, new: NewGrant) -> Result<GrantShown, AppError> {
        actor.may(Permission::GiveGrant)?;
        let now = self.clock.now();
        let id = GrantId(actor.new_id(now));
        // Which fingers a device holds is not known here yet; without a match the seal stays closed.
        let terms = new.terms.clone().check(true, now)?;
        let remark = rules::remark(&new.remark)?;
        let given = self.change(Lane::Priority, |tx| {
            let actor = actor.clone();
            let new = NewGrant {
                terms: terms.clone(),
                remark: remark.clone(),
                ..new.clone()
            };
            async move { give(&tx, &actor, id, new, now).await }
        });
        self.grant_shown(given.await?, now).await
    }

    /// Grants before `before`, newest first.
    ///
    /// # Errors
    /// No access, a foreign organization, or the database.
    pub async fn grants(
        &self,
        actor: &Actor,
        filter: GrantFilter,
        before: Option<GrantId>,
        limit: u32,
    ) -> Result<Vec<GrantShown>, AppError> {
        actor.may(Permission::ReadGrants)?;
        let now = self.clock.now();
        let filter = GrantFilter {
            organization: actor.narrowed(filter.organization)?,
            state: filter.state.map(|(state, _)| (state, now)),
            ..filter
        };
        let reader = self.store.read();
        let rows = grant::list(&reader, &filter, before, limit.into()).await?;
        shown(&reader, rows, now).await
    }

    /// One grant.
    ///
    /// # Errors
    /// No access, no such grant, or the database.
    pub async fn grant(&self, actor: &Actor, id: GrantId) -> Result<GrantShown, AppError> {
        actor.may(Permission::ReadGrants)?;
        let found = grant::find(&self.store.read(), id).await?;
        let row = visible(found, actor)?;
        self.grant_shown(row, self.clock.now()).await
    }

    async fn grant_shown(&self, row: Grant, now: Millis) -> Result<GrantShown, AppError> {
        let one = shown(&self.store.read(), vec![row], now).await?;
        one.into_iter().next().ok_or(AppError::NotFound("grant"))
    }

    /// Ends a grant, also while the device is off (USE-9). Asking again changes nothing. The command that tells the
    /// device is `None` when a newer grant does so.
    ///
    /// # Errors
    /// No access, no such grant, a rule, or the database.
    pub async fn end_grant(
        &self,
        actor: &Actor,
        id: GrantId,
    ) -> Result<(GrantShown, Option<CommandId>), AppError> {
        actor.may(Permission::EndGrant)?;
        let now = self.clock.now();
        let device = visible(grant::find(&self.store.read(), id).await?, actor)?.device();
        let done = self.change(Lane::Priority, |tx| {
            let actor = actor.clone();
            async move {
                // The device first, always: whoever takes both takes them in this order.
                let mut on = load(&tx, &actor, device).await?;
                let mut row = visible(grant::lock(&tx, id).await?, &actor)?;
                if row.state().state(now) == GrantState::Ending {
                    let live = store::command::live_of(&tx, device).await?;
                    let telling = live.iter().find(|command| tells_end(command, id));
                    return Ok((row, telling.map(Command::key)));
                }
                row.state().request_end(now)?;
                let reason = EndReason::Manager;
                let command = end_on_device(&tx, &actor, &mut on, &mut row, reason, now).await?;
                Ok((row, Some(command.key())))
            }
        });
        let (row, command) = done.await?;
        Ok((self.grant_shown(row, now).await?, command))
    }
}

fn visible(found: Option<Grant>, actor: &Actor) -> Result<Grant, AppError> {
    let row = found.ok_or(AppError::NotFound("grant"))?;
    let organization = row.organization_id.into();
    actor.must_see(Some(organization), "grant")?;
    Ok(row)
}

fn tells_end(command: &Command, id: GrantId) -> bool {
    let order = Order::from_json(command.args.clone());
    matches!(order, Ok(Order::End { grant, .. }) if grant == id.0)
}

async fn give(
    tx: &Tx,
    actor: &Actor,
    id: GrantId,
    new: NewGrant,
    now: Millis,
) -> Result<Grant, AppError> {
    let mut on = load(tx, actor, new.device).await?;
    if let Some(made) = grant::find(tx, id).await? {
        return Ok(made);
    }
    on.state()?.check_bound()?;
    let organization = on.organization().ok_or(RuleError::DeviceNotDelivered)?;
    let of = organization::find(tx, organization).await?;
    let of = of.ok_or(AppError::NotFound("organization"))?;
    if of.use_mode() == UseMode::Free {
        return Err(RuleError::GrantsNotRequired.into());
    }
    let user = member::find(tx, new.member).await?;
    let user = user
        .filter(|user| user.organization_id == of.id)
        .ok_or(AppError::NotFound("member"))?;
    if user.removed_at.is_some() {
        return Err(RuleError::MemberRemoved.into());
    }
    check_previous(tx, new.device, now).await?;
    let row = fresh(actor, id, &new, (&mut on, &user), now);
    grant::insert(tx, &row).await?;
    let user_no = u32::try_from(user.no).unwrap_or(u32::MAX);
    let order = Order::Grant(GrantOrder::of(&row, &new.terms, user_no));
    enqueue(tx, &mut on, &order, &issue_of(actor, now)).await?;
    let detail =
        json!({"device": new.device.to_string(), "member": user.id, "count": new.terms.max});
    note(tx, actor, &row, ("grant.give", detail), now).await?;
    Ok(row)
}

/// The order of a grant has an id of its own: the request's names the grant.
fn issue_of(actor: &Actor, now: Millis) -> Issue {
    Issue {
        id: store::fresh(now),
        by: actor.label(),
        at: now,
    }
}

/// Implicit grants are no obstacle: the device drops them for the new one.
async fn check_previous(tx: &Tx, device: DeviceId, now: Millis) -> Result<(), AppError> {
    let open = grant::open_of(tx, device).await?;
    let direct = open
        .iter()
        .filter(|row| row.method != Method::Implicit.as_str());
    rules::may_grant(direct.map(|row| row.state().state(now)))?;
    Ok(())
}

fn fresh(
    actor: &Actor,
    id: GrantId,
    new: &NewGrant,
    (on, user): (&mut device::Row, &member::Row),
    now: Millis,
) -> Grant {
    let region = new.terms.region.as_ref().map(OrderRegion::from);
    Grant {
        id: id.0,
        device_id: on.id,
        no: i64::from(on.take_grant_no()),
        organization_id: user.organization_id,
        member_id: Some(user.id),
        max_count: i32::from(new.terms.max),
        used: 0,
        not_before: new.terms.not_before.0,
        not_after: new.terms.not_after.0,
        method: Method::Direct.as_str().to_owned(),
        flags: i32::from(new.terms.flags.0),
        region: region.map(|region| serde_json::to_value(region).expect("plain values")),
        document: new.document.clone(),
        remark: new.remark.clone(),
        created_by: actor.label(),
        created_at: now.0,
        delivered_at: None,
        exhausted_at: None,
        end_requested_at: None,
        ended_at: None,
        end_reason: None,
    }
}

/// Asks the device to end a grant: row, order, audit, event. `on` is kept from others by the caller.
///
/// Older grants of the device whose end it has not confirmed are named again, in orders of their own: the order that
/// was to end them may have been superseded by this grant.
pub(super) async fn end_on_device(
    tx: &Tx,
    actor: &Actor,
    on: &mut device::Row,
    row: &mut Grant,
    reason: EndReason,
    now: Millis,
) -> Result<Command, AppError> {
    row.set_state(row.state().request_end(now)?);
    row.end_reason = Some(reason.as_str().to_owned());
    grant::save(tx, row).await?;
    let mut command = None;
    store::command::keep_ends(tx, on.key()).await?;
    let live = store::command::live_of(tx, on.key()).await?;
    let open = grant::open_of(tx, on.key()).await?;
    let older = open
        .iter()
        .filter(|older| older.no < row.no && older.end_requested_at.is_some())
        .filter(|older| !live.iter().any(|command| tells_end(command, older.key())));
    for ended in older.chain([&*row]) {
        let order = Order::End {
            grant: ended.id,
            no: ended.number(),
        };
        let mut written = enqueue(tx, on, &order, &issue_of(actor, now)).await?;
        if ended.id != row.id {
            // Not to be superseded by the order behind it.
            written.supersede_key = None;
            store::command::save(tx, &written).await?;
        }
        command = Some(written);
    }
    let detail = json!({"device": on.key().to_string(), "reason": reason.as_str()});
    note(tx, actor, row, ("grant.end", detail), now).await?;
    command.ok_or(AppError::conflict("没有可结束的授权", "nothing to end"))
}

async fn note(
    tx: &Tx,
    actor: &Actor,
    row: &Grant,
    (action, detail): (&'static str, Value),
    at: Millis,
) -> Result<(), StoreError> {
    let change = Change {
        at,
        organization: Some(row.organization_id.into()),
        device: Some(row.device()),
        action,
        subject: row.id.to_string(),
        detail,
    };
    change.record(tx, actor, Topic::Grant).await
}
