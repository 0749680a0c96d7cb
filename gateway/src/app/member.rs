//! Members of an organization.

use sealgate_domain::{
    MemberId, OrganizationId, RuleError,
    member::{self as rules, Phone, Role},
    organization::ORGANIZATIONS_OF_A_PERSON,
};
use serde_json::json;

use crate::store::{Lane, Reader, Topic, grant, member, organization};

use super::{Actor, App, AppError, Change, access::Permission};

pub use crate::store::member::Row as Member;

/// A new member.
#[derive(Debug, Clone)]
pub struct NewMember {
    /// Of this organization.
    pub organization: OrganizationId,
    /// The person's name.
    pub name: String,
    /// The person's phone.
    pub phone: String,
    /// What the person will be.
    pub role: Role,
}

/// A person belongs to ten organizations at most (ORG-2).
pub(super) async fn check_person(r: &Reader, phone: &str) -> Result<(), AppError> {
    let of = member::organizations_of(r, phone).await?;
    if of >= ORGANIZATIONS_OF_A_PERSON {
        return Err(RuleError::TooManyOrganizations.into());
    }
    Ok(())
}

impl App {
    /// Adds a member (ORG-4).
    ///
    /// # Errors
    /// No access, no such organization, a rule, or the database.
    pub async fn add_member(&self, actor: &Actor, new: NewMember) -> Result<Member, AppError> {
        actor.may(Permission::ManageMembers)?;
        actor.must_see(Some(new.organization), "organization")?;
        let now = self.clock.now();
        let id = actor.new_id(now);
        let name = rules::name(&new.name)?;
        let phone = Phone::parse(&new.phone)?;
        self.change(Lane::Normal, |tx| {
            let (name, phone, actor) = (name.clone(), phone.clone(), actor.clone());
            async move {
                let found = organization::lock(&tx, new.organization).await?;
                let mut of = found.ok_or(AppError::NotFound("organization"))?;
                if let Some(made) = member::find(&tx, MemberId(id)).await? {
                    return Ok(made);
                }
                let roster = member::roster(&tx, new.organization).await?;
                let taken = member::phone_taken(&tx, new.organization, phone.as_str()).await?;
                rules::check_add(roster, new.role, taken)?;
                check_person(&tx, phone.as_str()).await?;
                let row = Member {
                    id,
                    organization_id: of.id,
                    no: of.next_member_no,
                    name,
                    phone: phone.as_str().to_owned(),
                    role: new.role.as_str().to_owned(),
                    removed_at: None,
                    created_at: now.0,
                };
                of.next_member_no += 1;
                organization::save(&tx, &mut of).await?;
                member::insert(&tx, &row).await?;
                let change = Change {
                    at: now,
                    organization: Some(new.organization),
                    device: None,
                    action: "member.add",
                    subject: row.id.to_string(),
                    detail: json!({"name": row.name, "phone": phone.masked(), "role": row.role}),
                };
                change.record(&tx, &actor, Topic::Organization).await?;
                Ok(row)
            }
        })
        .await
    }

    /// All present members: there are 100 at most (ORG-2).
    ///
    /// # Errors
    /// No access, no such organization, or the database.
    pub async fn members(
        &self,
        actor: &Actor,
        organization: OrganizationId,
    ) -> Result<Vec<Member>, AppError> {
        actor.may(Permission::ReadMembers)?;
        actor.must_see(Some(organization), "organization")?;
        let reader = self.store.read();
        let found = organization::find(&reader, organization).await?;
        found.ok_or(AppError::NotFound("organization"))?;
        let most = u64::from(sealgate_domain::organization::MEMBER_QUOTA);
        Ok(member::list(&reader, organization, None, most).await?)
    }

    /// Removes a member (ORG-4); doing so again changes nothing.
    ///
    /// # Errors
    /// No access, no such member, a rule, or the database.
    pub async fn remove_member(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: MemberId,
    ) -> Result<(), AppError> {
        actor.may(Permission::ManageMembers)?;
        actor.must_see(Some(organization), "organization")?;
        let now = self.clock.now();
        self.change(Lane::Normal, |tx| {
            let actor = actor.clone();
            async move {
                organization::lock(&tx, organization).await?;
                let found = member::find(&tx, id).await?;
                let mut row = found
                    .filter(|row| row.organization_id == organization.0)
                    .ok_or(AppError::NotFound("member"))?;
                if row.removed_at.is_some() {
                    return Ok(());
                }
                rules::check_remove(row.role()?, grant::holds_live(&tx, id).await?)?;
                row.removed_at = Some(now.0);
                member::save(&tx, &row).await?;
                let change = Change {
                    at: now,
                    organization: Some(organization),
                    device: None,
                    action: "member.remove",
                    subject: row.id.to_string(),
                    detail: json!({"name": row.name}),
                };
                Ok(change.record(&tx, &actor, Topic::Organization).await?)
            }
        })
        .await
    }
}
