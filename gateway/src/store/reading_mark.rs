//! How far abnormal use was read, and what is unread behind it.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
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

/// Abnormal records behind a mark.
///
/// # Errors
/// The database.
pub async fn unread(
    r: &Reader,
    organization: Option<OrganizationId>,
    mark: i64,
) -> Result<u64, StoreError> {
    let mut query = stamp::Entity::find()
        .filter(stamp::Column::Abnormal.is_not_null())
        .filter(stamp::Column::Position.gt(mark));
    if let Some(organization) = organization {
        query = query.filter(stamp::Column::OrganizationId.eq(organization.0));
    }
    Ok(query.count(r).await?)
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
