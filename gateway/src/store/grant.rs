//! Grants.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use sealgate_domain::{
    DeviceId, GrantId, MemberId, Millis, OrganizationId,
    grant::{Flags, Grant, GrantState},
};

use super::{Reader, StoreError, Tx, device::number, entity::use_grant as table, rows};

/// A row.
pub use table::Model as Row;

impl Row {
    /// Its typed id.
    #[must_use]
    pub fn key(&self) -> GrantId {
        GrantId(self.id)
    }

    /// Its device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::from_key(self.device_id)
    }

    /// Its number on the device.
    #[must_use]
    pub fn number(&self) -> u32 {
        number(self.no)
    }

    /// Its rules.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags(u16::try_from(self.flags).unwrap_or(0))
    }

    /// What its state follows from.
    #[must_use]
    pub fn state(&self) -> Grant {
        Grant {
            not_before: Millis(self.not_before),
            not_after: Millis(self.not_after),
            max: u16::try_from(self.max_count).unwrap_or(u16::MAX),
            used: number(self.used),
            delivered_at: self.delivered_at.map(Millis),
            end_requested_at: self.end_requested_at.map(Millis),
            ended_at: self.ended_at.map(Millis),
        }
    }

    /// What was decided.
    pub fn set_state(&mut self, grant: Grant) {
        self.used = i64::from(grant.used);
        self.delivered_at = grant.delivered_at.map(|at| at.0);
        self.end_requested_at = grant.end_requested_at.map(|at| at.0);
        self.ended_at = grant.ended_at.map(|at| at.0);
    }
}

/// Which grants to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// On this device.
    pub device: Option<DeviceId>,
    /// For this member.
    pub member: Option<MemberId>,
    /// In this state at this time.
    pub state: Option<(GrantState, Millis)>,
    /// Not ended.
    pub open: bool,
}

/// One grant.
///
/// # Errors
/// The database.
pub async fn find(r: &Reader, id: GrantId) -> Result<Option<Row>, StoreError> {
    Ok(table::Entity::find_by_id(id.0).one(r).await?)
}

/// One grant, kept from others until the commit.
///
/// # Errors
/// The database.
pub async fn lock(tx: &Tx, id: GrantId) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find_by_id(id.0).lock_exclusive();
    Ok(query.one(&**tx).await?)
}

/// The grant a device knows by its number.
///
/// # Errors
/// The database.
pub async fn by_no(r: &Reader, device: DeviceId, no: u32) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(table::Column::No.eq(i64::from(no)));
    Ok(query.one(r).await?)
}

/// Grants of a device that have not ended, oldest first.
///
/// # Errors
/// The database.
pub async fn open_of(r: &Reader, device: DeviceId) -> Result<Vec<Row>, StoreError> {
    open_of_all(r, &[device]).await
}

/// Grants of several devices that have not ended, in order of their numbers.
///
/// # Errors
/// The database.
pub async fn open_of_all(r: &Reader, devices: &[DeviceId]) -> Result<Vec<Row>, StoreError> {
    let mut rows = open(devices).all(r).await?;
    rows.sort_unstable_by_key(|row| row.no);
    Ok(rows)
}

/// In no order: asked for one, SQLite walks all grants a device ever had along their numbers.
pub(super) fn open(devices: &[DeviceId]) -> sea_orm::Select<table::Entity> {
    let keys = devices.iter().map(|device| device.to_key());
    table::Entity::find()
        .filter(table::Column::DeviceId.is_in(keys))
        .filter(table::Column::EndedAt.is_null())
}

/// Does the member hold a grant that has not ended (ROLE-4)?
///
/// # Errors
/// The database.
pub async fn holds_live(r: &Reader, member: MemberId) -> Result<bool, StoreError> {
    let query = table::Entity::find()
        .filter(table::Column::MemberId.eq(member.0))
        .filter(table::Column::EndedAt.is_null());
    Ok(query.one(r).await?.is_some())
}

/// Grants before `before`, newest first.
///
/// # Errors
/// The database.
pub async fn list(
    r: &Reader,
    filter: &GrantFilter,
    before: Option<GrantId>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    Ok(page(filter, before).limit(limit).all(r).await?)
}

pub(super) fn page(
    filter: &GrantFilter,
    before: Option<GrantId>,
) -> sea_orm::Select<table::Entity> {
    let mut query = table::Entity::find().order_by_desc(table::Column::Id);
    if let Some(organization) = filter.organization {
        query = query.filter(table::Column::OrganizationId.eq(organization.0));
    }
    if let Some(device) = filter.device {
        query = query.filter(table::Column::DeviceId.eq(device.to_key()));
    }
    if let Some(member) = filter.member {
        query = query.filter(table::Column::MemberId.eq(member.0));
    }
    if let Some((state, now)) = filter.state {
        query = query.filter(in_state(state, now));
    }
    if filter.open {
        query = query.filter(table::Column::EndedAt.is_null());
    }
    if let Some(before) = before {
        query = query.filter(table::Column::Id.lt(before.0));
    }
    query
}

/// `domain::grant::Grant::state` as a condition; a test holds the two together.
fn in_state(state: GrantState, now: Millis) -> Condition {
    use table::Column;
    let live = || {
        Condition::all()
            .add(Column::EndedAt.is_null())
            .add(Column::EndRequestedAt.is_null())
    };
    let used_up = Condition::all()
        .add(Column::MaxCount.ne(0))
        .add(Expr::col(Column::Used).gte(Expr::col(Column::MaxCount)));
    let over = Condition::any()
        .add(Column::NotAfter.lte(now.0))
        .add(used_up);
    match state {
        GrantState::Ended => Condition::all().add(Column::EndedAt.is_not_null()),
        GrantState::Ending => Condition::all()
            .add(Column::EndedAt.is_null())
            .add(Column::EndRequestedAt.is_not_null()),
        GrantState::Expired => live().add(over),
        GrantState::ToBeDelivered => live().add(over.not()).add(Column::DeliveredAt.is_null()),
        GrantState::NotBegun => live()
            .add(over.not())
            .add(Column::DeliveredAt.is_not_null())
            .add(Column::NotBefore.gt(now.0)),
        GrantState::InUse => live()
            .add(over.not())
            .add(Column::DeliveredAt.is_not_null())
            .add(Column::NotBefore.lte(now.0)),
    }
}

/// A new one.
///
/// # Errors
/// The database.
pub async fn insert(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    rows::insert(tx, row).await
}

/// Writes what may change: delivery and end. Counts are ingest's alone.
///
/// # Errors
/// The database.
pub async fn save(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    table::Entity::update_many()
        .col_expr(table::Column::DeliveredAt, Expr::value(row.delivered_at))
        .col_expr(
            table::Column::EndRequestedAt,
            Expr::value(row.end_requested_at),
        )
        .col_expr(table::Column::EndedAt, Expr::value(row.ended_at))
        .col_expr(
            table::Column::EndReason,
            Expr::value(row.end_reason.clone()),
        )
        .filter(table::Column::Id.eq(row.id))
        .exec(&**tx)
        .await?;
    Ok(())
}
