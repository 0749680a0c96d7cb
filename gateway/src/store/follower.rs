//! How far readers of the outbox have come that must not forget an event over a restart.

use sea_orm::{ActiveValue::Set, EntityTrait, sea_query::OnConflict};

use super::{Reader, StoreError, Tx, entity::follower as table};

/// The last position `name` is done with; `None` = it never ran.
///
/// # Errors
/// The database.
pub async fn position(r: &Reader, name: &str) -> Result<Option<i64>, StoreError> {
    let row = table::Entity::find_by_id(name).one(r).await?;
    Ok(row.map(|row| row.position))
}

/// Remembers it.
///
/// # Errors
/// The database.
pub async fn set(tx: &Tx, name: &str, position: i64) -> Result<(), StoreError> {
    let row = table::ActiveModel {
        name: Set(name.to_owned()),
        position: Set(position),
    };
    let update = OnConflict::column(table::Column::Name)
        .update_column(table::Column::Position)
        .to_owned();
    table::Entity::insert(row)
        .on_conflict(update)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}
