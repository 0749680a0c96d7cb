//! API tokens: only the hash of a secret is here.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use sealgate_domain::{Millis, OrganizationId, TokenId};

use super::{Reader, StoreError, Tx, entity::api_token as table, rows};

/// A row.
pub use table::Model as Row;

impl Row {
    /// Its typed id.
    #[must_use]
    pub fn key(&self) -> TokenId {
        TokenId(self.id)
    }

    /// Is it good now?
    #[must_use]
    pub fn is_good(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now.0 < at)
    }
}

/// The token whose secret has this hash.
///
/// # Errors
/// The database.
pub async fn by_secret(r: &Reader, hash: &[u8; 32]) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find().filter(table::Column::SecretHash.eq(hash.to_vec()));
    Ok(query.one(r).await?)
}

/// One token.
///
/// # Errors
/// The database.
pub async fn find(r: &Reader, id: TokenId) -> Result<Option<Row>, StoreError> {
    Ok(table::Entity::find_by_id(id.0).one(r).await?)
}

/// Tokens behind `after`, in order of their ids; `only` narrows to those of an organization.
///
/// # Errors
/// The database.
pub async fn list(
    r: &Reader,
    only: Option<OrganizationId>,
    after: Option<TokenId>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    let mut query = table::Entity::find()
        .order_by_asc(table::Column::Id)
        .limit(limit);
    if let Some(only) = only {
        query = query.filter(table::Column::OrganizationId.eq(only.0));
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

/// Writes all columns.
///
/// # Errors
/// The database.
pub async fn save(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let key = table::Column::Id.eq(row.id);
    rows::save(tx, row, key).await?;
    Ok(())
}

/// Notes that it was used.
///
/// # Errors
/// The database.
pub async fn touch(tx: &Tx, id: TokenId, now: Millis) -> Result<(), StoreError> {
    table::Entity::update_many()
        .col_expr(table::Column::LastUsedAt, Expr::value(now.0))
        .filter(table::Column::Id.eq(id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}
