//! How far abnormal use was read, and what is unread behind it.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::OnConflict,
};
use sealgate_domain::{OrganizationId, TokenId};
use uuid::Uuid;

use super::{
    Reader, StoreError, Tx,
    entity::{reading_mark as table, stamp},
};

fn whose(organization: Option<OrganizationId>) -> Uuid {
    organization.map_or(Uuid::nil(), |id| id.0)
}

/// Up to where a token has read; 0 = nothing.
///
/// # Errors
/// The database.
pub async fn find(
    r: &Reader,
    token: TokenId,
    organization: Option<OrganizationId>,
) -> Result<i64, StoreError> {
    let row = table::Entity::find_by_id((token.0, whose(organization)))
        .one(r)
        .await?;
    Ok(row.map_or(0, |row| row.position))
}

/// Moves the mark.
///
/// # Errors
/// The database.
pub async fn set(
    tx: &Tx,
    token: TokenId,
    organization: Option<OrganizationId>,
    position: i64,
) -> Result<(), StoreError> {
    let row = table::ActiveModel {
        token_id: Set(token.0),
        organization_id: Set(whose(organization)),
        position: Set(position),
    };
    let key = [table::Column::TokenId, table::Column::OrganizationId];
    let moved = OnConflict::columns(key)
        .update_column(table::Column::Position)
        .to_owned();
    table::Entity::insert(row)
        .on_conflict(moved)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// So many are counted at most.
pub const MOST_COUNTED: u64 = 1_000;

/// Abnormal records behind a mark, counted up to [`MOST_COUNTED`].
///
/// # Errors
/// The database.
pub async fn unread(
    r: &Reader,
    organization: Option<OrganizationId>,
    mark: i64,
) -> Result<u64, StoreError> {
    let behind = behind(organization, mark).into_tuple::<i64>();
    Ok(behind.all(r).await?.len() as u64)
}

/// Positions, in order: that keeps to the index of the unread, which has nothing else in it.
pub(super) fn behind(
    organization: Option<OrganizationId>,
    mark: i64,
) -> sea_orm::Select<stamp::Entity> {
    let mut query = stamp::Entity::find()
        .select_only()
        .column(stamp::Column::Position)
        .filter(stamp::Column::Abnormal.is_not_null())
        .filter(stamp::Column::Position.gt(mark))
        .order_by_asc(stamp::Column::Position)
        .limit(MOST_COUNTED);
    if let Some(organization) = organization {
        query = query.filter(stamp::Column::OrganizationId.eq(organization.0));
    }
    query
}

/// The newest record's position; 0 = none yet.
///
/// # Errors
/// The database.
pub async fn newest(r: &Reader) -> Result<i64, StoreError> {
    let row = stamp::Entity::find()
        .order_by_desc(stamp::Column::Position)
        .one(r)
        .await?;
    Ok(row.map_or(0, |row| row.position))
}
