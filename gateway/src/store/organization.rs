//! Organizations.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sealgate_domain::{
    Millis, OrganizationId,
    device::Life,
    organization::{UseMode, UseModes},
};

use super::{
    Reader, StoreError, Tx,
    entity::{device, organization as table},
    rows,
};

/// A row.
pub use table::Model as Row;

impl Row {
    /// Its typed id.
    #[must_use]
    pub fn key(&self) -> OrganizationId {
        OrganizationId(self.id)
    }

    /// How its devices are used.
    #[must_use]
    pub fn use_mode(&self) -> UseMode {
        UseMode::from_switch(self.grants_required)
    }

    /// Throws the switch, or leaves it; remembers when.
    ///
    /// # Errors
    /// What is stored can't be read.
    pub fn switch(&mut self, grants_required: bool, at: Millis) -> Result<(), StoreError> {
        let mut modes = modes(self.grants_required, &self.mode_switched_at)?;
        modes.switch(UseMode::from_switch(grants_required), at);
        let times: Vec<i64> = modes.switched_at.iter().map(|at| at.0).collect();
        self.mode_switched_at = serde_json::json!(times).to_string();
        self.grants_required = grants_required;
        Ok(())
    }
}

/// What ingest judges presses by.
pub(super) fn modes(grants_required: bool, switched_at: &str) -> Result<UseModes, StoreError> {
    let now = UseMode::from_switch(grants_required);
    if switched_at == NEVER {
        return Ok(UseModes::always(now));
    }
    let times: Vec<i64> = serde_json::from_str(switched_at).map_err(|error| {
        StoreError::unreadable("organization.mode_switched_at", error.to_string())
    })?;
    Ok(UseModes {
        now,
        switched_at: times.into_iter().map(Millis).collect(),
    })
}

/// The switch was never thrown.
pub const NEVER: &str = "[]";

/// One organization.
///
/// # Errors
/// The database.
pub async fn find(r: &Reader, id: OrganizationId) -> Result<Option<Row>, StoreError> {
    Ok(table::Entity::find_by_id(id.0).one(r).await?)
}

/// One organization, kept from others until the commit.
///
/// # Errors
/// The database.
pub async fn lock(tx: &Tx, id: OrganizationId) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find_by_id(id.0).lock_exclusive();
    Ok(query.one(&**tx).await?)
}

/// Organizations behind `after`, in order of their ids; `only` narrows to one.
///
/// # Errors
/// The database.
pub async fn list(
    r: &Reader,
    only: Option<OrganizationId>,
    after: Option<OrganizationId>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    let mut query = table::Entity::find()
        .order_by_asc(table::Column::Id)
        .limit(limit);
    if let Some(only) = only {
        query = query.filter(table::Column::Id.eq(only.0));
    }
    if let Some(after) = after {
        query = query.filter(table::Column::Id.gt(after.0));
    }
    Ok(query.all(r).await?)
}

/// A new one.
///
/// # Errors
/// The database.
pub async fn insert(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    rows::insert(tx, row).await
}

/// Writes all columns and counts the change.
///
/// # Errors
/// [`StoreError::Stale`] if somebody else did so since `row` was read.
pub async fn save(tx: &Tx, row: &mut Row) -> Result<(), StoreError> {
    let as_read = Condition::all()
        .add(table::Column::Id.eq(row.id))
        .add(table::Column::Version.eq(row.version));
    let next = Row {
        version: row.version + 1,
        ..row.clone()
    };
    if !rows::save(tx, &next, as_read).await? {
        return Err(StoreError::Stale("the organization"));
    }
    *row = next;
    Ok(())
}

/// Devices it has bound (BIND-4, ORG-7); suspended ones count.
///
/// # Errors
/// The database.
pub async fn bound_devices(r: &Reader, id: OrganizationId) -> Result<u32, StoreError> {
    let bound = [Life::Bound.as_str(), Life::Suspended.as_str()];
    let count = device::Entity::find()
        .filter(device::Column::OrganizationId.eq(id.0))
        .filter(device::Column::Life.is_in(bound))
        .count(r)
        .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}
