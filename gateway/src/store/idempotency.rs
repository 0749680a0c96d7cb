//! Answers kept for requests that carry an Idempotency-Key.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, sea_query::Expr};
use sealgate_domain::{Millis, TokenId};

use super::{Reader, StoreError, Tx, entity::idempotency as table, rows};

/// A row.
pub use table::Model as Row;

/// What is known under a token's key.
///
/// # Errors
/// The database.
pub async fn find(r: &Reader, token: TokenId, key: &str) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find_by_id((token.0, key.to_owned()));
    Ok(query.one(r).await?)
}

/// Takes the key. In the transaction of the change itself, key and change stand or fall together.
///
/// # Errors
/// [`StoreError::Exists`] if it is taken.
pub async fn insert(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    rows::insert(tx, row).await
}

/// Forgets the key.
///
/// # Errors
/// The database.
pub async fn remove(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let key = (row.token_id, row.key.clone());
    table::Entity::delete_by_id(key).exec(&**tx).await?;
    Ok(())
}

/// Notes the answer of the try that began at `started`; a try whose key was taken by a later one notes nothing.
///
/// # Errors
/// The database.
pub async fn finish(
    tx: &Tx,
    token: TokenId,
    key: &str,
    started: Millis,
    status: u16,
    response: Option<serde_json::Value>,
) -> Result<(), StoreError> {
    table::Entity::update_many()
        .col_expr(table::Column::Status, Expr::value(i32::from(status)))
        .col_expr(table::Column::Response, Expr::value(response))
        .filter(table::Column::TokenId.eq(token.0))
        .filter(table::Column::Key.eq(key))
        .filter(table::Column::Status.is_null())
        .filter(table::Column::StartedAt.eq(started.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Takes a key anew, as it was found in `known`. Says whether nobody else did so first.
///
/// # Errors
/// The database.
pub async fn take(tx: &Tx, known: &Row, row: &Row) -> Result<bool, StoreError> {
    let as_found = match known.status {
        Some(status) => table::Column::Status.eq(status),
        None => table::Column::Status.is_null(),
    };
    let known = Condition::all()
        .add(table::Column::TokenId.eq(known.token_id))
        .add(table::Column::Key.eq(known.key.clone()))
        .add(table::Column::CreatedAt.eq(known.created_at))
        .add(table::Column::StartedAt.eq(known.started_at))
        .add(as_found);
    rows::save(tx, row, known).await
}
