//! Members of organizations.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use sealgate_domain::{
    MemberId, OrganizationId,
    member::{Role, Roster},
};
use uuid::Uuid;

use super::{Reader, StoreError, Tx, entity::member as table, rows};

/// A row.
pub use table::Model as Row;

impl Row {
    /// Its typed id.
    #[must_use]
    pub fn key(&self) -> MemberId {
        MemberId(self.id)
    }

    /// What the member is.
    ///
    /// # Errors
    /// The stored text is no role.
    pub fn role(&self) -> Result<Role, StoreError> {
        let role = self.role.parse();
        role.map_err(|_| StoreError::unreadable("member.role", &self.role))
    }
}

/// One member, removed ones too.
///
/// # Errors
/// The database.
pub async fn find(r: &Reader, id: MemberId) -> Result<Option<Row>, StoreError> {
    Ok(table::Entity::find_by_id(id.0).one(r).await?)
}

/// Names by id, of removed members too.
///
/// # Errors
/// The database.
pub async fn names(
    r: &Reader,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<HashMap<Uuid, String>, StoreError> {
    let ids: HashSet<Uuid> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = table::Entity::find()
        .filter(table::Column::Id.is_in(ids))
        .all(r)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// The present owner.
///
/// # Errors
/// The database.
pub async fn owner(r: &Reader, organization: OrganizationId) -> Result<Option<Row>, StoreError> {
    let query = present(organization).filter(table::Column::Role.eq(Role::Owner.as_str()));
    Ok(query.one(r).await?)
}

/// Present members behind `after`, in order of their ids.
///
/// # Errors
/// The database.
pub async fn list(
    r: &Reader,
    organization: OrganizationId,
    after: Option<MemberId>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    let mut query = present(organization)
        .order_by_asc(table::Column::Id)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(table::Column::Id.gt(after.0));
    }
    Ok(query.all(r).await?)
}

/// How many members, owners and admins are present. Lock the organization first if the answer decides.
///
/// # Errors
/// The database.
pub async fn roster(r: &Reader, organization: OrganizationId) -> Result<Roster, StoreError> {
    let of = async |role: Option<Role>| {
        let mut query = present(organization);
        if let Some(role) = role {
            query = query.filter(table::Column::Role.eq(role.as_str()));
        }
        let count = query.count(r).await?;
        Ok::<_, StoreError>(u32::try_from(count).unwrap_or(u32::MAX))
    };
    Ok(Roster {
        members: of(None).await?,
        owners: of(Some(Role::Owner)).await?,
        admins: of(Some(Role::Admin)).await?,
    })
}

/// Does a present member have this phone number?
///
/// # Errors
/// The database.
pub async fn phone_taken(
    r: &Reader,
    organization: OrganizationId,
    phone: &str,
) -> Result<bool, StoreError> {
    let query = present(organization).filter(table::Column::Phone.eq(phone));
    Ok(query.one(r).await?.is_some())
}

/// Organizations a person is present in (ORG-2).
///
/// # Errors
/// The database.
pub async fn organizations_of(r: &Reader, phone: &str) -> Result<u32, StoreError> {
    let count = table::Entity::find()
        .filter(table::Column::Phone.eq(phone))
        .filter(table::Column::RemovedAt.is_null())
        .count(r)
        .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A new one.
///
/// # Errors
/// [`StoreError::Exists`] for a second owner or a phone number twice.
pub async fn insert(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    rows::insert(tx, row).await
}

/// Writes all columns.
///
/// # Errors
/// The database.
pub async fn save(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let key = table::Column::Id.eq(row.id);
    rows::save(tx, row, key).await?;
    Ok(())
}

fn present(organization: OrganizationId) -> sea_orm::Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::OrganizationId.eq(organization.0))
        .filter(table::Column::RemovedAt.is_null())
}
