//! Organizations: opened with their owner, and switched between free use and grants (USE-15).

use sealgate_domain::{
    Millis, OrganizationId,
    device::DEVICE_QUOTA,
    grant::{EndReason, Method},
    member::{self as rules, Phone, Role},
    organization as names,
};
use serde_json::json;

use crate::store::{Lane, Topic, Tx, device, grant, member, organization};

use super::{Actor, App, AppError, Change, access::Permission, grant::end_on_device};

pub use crate::store::organization::Row as Organization;

/// A new organization.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    /// Its name.
    pub name: String,
    /// The owner's name.
    pub owner_name: String,
    /// The owner's phone.
    pub owner_phone: String,
    /// Every stamp needs a grant.
    pub grants_required: bool,
}

/// What to change; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct OrganizationChange {
    /// Its name.
    pub name: Option<String>,
    /// Every stamp needs a grant.
    pub grants_required: Option<bool>,
}

impl App {
    /// Opens an organization with its owner (PLAT-1).
    ///
    /// # Errors
    /// No access, a rule, or the database.
    pub async fn create_organization(
        &self,
        actor: &Actor,
        new: NewOrganization,
    ) -> Result<Organization, AppError> {
        actor.may(Permission::CreateOrganization)?;
        let now = self.clock.now();
        let row = Organization {
            id: actor.new_id(now),
            name: names::name(&new.name)?,
            grants_required: new.grants_required,
            device_quota: i32::try_from(DEVICE_QUOTA).expect("a small number"),
            next_member_no: 2,
            version: 1,
            created_at: now.0,
            mode_switched_at: organization::NEVER.to_owned(),
        };
        let owner = member::Row {
            id: Actor::system().new_id(now),
            organization_id: row.id,
            no: 1,
            name: rules::name(&new.owner_name)?,
            phone: Phone::parse(&new.owner_phone)?.as_str().to_owned(),
            role: Role::Owner.as_str().to_owned(),
            removed_at: None,
            created_at: now.0,
        };
        self.change(Lane::Normal, |tx| {
            let (row, owner, actor) = (row.clone(), owner.clone(), actor.clone());
            async move {
                if let Some(made) = organization::find(&tx, row.key()).await? {
                    return Ok(made);
                }
                super::member::check_person(&tx, &owner.phone).await?;
                organization::insert(&tx, &row).await?;
                member::insert(&tx, &owner).await?;
                let detail = json!({"name": row.name, "grants_required": row.grants_required});
                let change = changed(&row, "organization.create", now, detail);
                change.record(&tx, &actor, Topic::Organization).await?;
                Ok(row)
            }
        })
        .await
    }

    /// Organizations behind `after`.
    ///
    /// # Errors
    /// No access, or the database.
    pub async fn list_organizations(
        &self,
        actor: &Actor,
        after: Option<OrganizationId>,
        limit: u32,
    ) -> Result<Vec<Organization>, AppError> {
        actor.may(Permission::ReadOrganizations)?;
        let reader = self.store.read();
        Ok(organization::list(&reader, actor.organization, after, limit.into()).await?)
    }

    /// One organization.
    ///
    /// # Errors
    /// No access, no such organization, or the database.
    pub async fn organization(
        &self,
        actor: &Actor,
        id: OrganizationId,
    ) -> Result<Organization, AppError> {
        actor.may(Permission::ReadOrganizations)?;
        actor.must_see(Some(id), "organization")?;
        let found = organization::find(&self.store.read(), id).await?;
        found.ok_or(AppError::NotFound("organization"))
    }

    /// Changes an organization that is at `version`. Requiring grants ends free use on its devices at once.
    ///
    /// # Errors
    /// No access, no such organization, another version, a rule, or the database.
    pub async fn update_organization(
        &self,
        actor: &Actor,
        id: OrganizationId,
        version: i64,
        change: OrganizationChange,
    ) -> Result<Organization, AppError> {
        actor.may(Permission::UpdateOrganization)?;
        actor.must_see(Some(id), "organization")?;
        let now = self.clock.now();
        let name = change.name.as_deref().map(names::name).transpose()?;
        let switch = change.grants_required;
        let updated = self
            .change(Lane::Normal, |tx| {
                let (actor, name) = (actor.clone(), name.clone());
                async move {
                    let found = organization::lock(&tx, id).await?;
                    let mut row = found.ok_or(AppError::NotFound("organization"))?;
                    if row.version != version {
                        return Err(AppError::Stale {
                            current: row.version,
                        });
                    }
                    let ends_free_use = switch == Some(true) && !row.grants_required;
                    row.name = name.unwrap_or(row.name);
                    row.switch(switch.unwrap_or(row.grants_required), now)?;
                    organization::save(&tx, &mut row).await?;
                    if ends_free_use {
                        end_free_use(&tx, &actor, id, now).await?;
                    }
                    let detail = json!({"name": row.name, "grants_required": row.grants_required});
                    let change = changed(&row, "organization.update", now, detail);
                    change.record(&tx, &actor, Topic::Organization).await?;
                    Ok(row)
                }
            })
            .await?;
        self.wake.grants.notify_one();
        Ok(updated)
    }
}

fn changed(
    row: &Organization,
    action: &'static str,
    at: Millis,
    detail: serde_json::Value,
) -> Change {
    Change {
        at,
        organization: Some(row.key()),
        device: None,
        action,
        subject: row.id.to_string(),
        detail,
    }
}

/// Ends the implicit grants of an organization's devices: from now on every stamp needs a grant (USE-15).
async fn end_free_use(
    tx: &Tx,
    actor: &Actor,
    id: OrganizationId,
    now: Millis,
) -> Result<(), AppError> {
    let filter = device::DeviceFilter {
        organization: Some(id),
        ..device::DeviceFilter::default()
    };
    for row in device::list(tx, &filter, None, u64::from(u32::MAX)).await? {
        let Some(mut row) = device::lock(tx, row.key()).await? else {
            continue;
        };
        let open = grant::open_of(tx, row.key()).await?;
        let implicit = |grant: &grant::Row| {
            grant.method == Method::Implicit.as_str() && grant.end_requested_at.is_none()
        };
        for mut found in open.into_iter().filter(implicit) {
            let reason = EndReason::GrantsRequired;
            end_on_device(tx, actor, &mut row, &mut found, reason, now).await?;
        }
    }
    Ok(())
}
