//! Verification codes.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use sealgate_domain::{
    Millis, OrganizationId,
    code::{Code, Purpose},
};

use super::{Reader, StoreError, Tx, entity::verification_code as table};

/// A row.
pub use table::Model as Row;

impl Row {
    /// What deciding needs.
    #[must_use]
    pub fn state(&self) -> Code {
        Code {
            created_at: Millis(self.created_at),
            expires_at: Millis(self.expires_at),
            tries_left: u8::try_from(self.tries_left).unwrap_or(0),
            used_at: self.used_at.map(Millis),
        }
    }

    /// What was decided.
    pub fn set_state(&mut self, code: Code) {
        self.expires_at = code.expires_at.0;
        self.tries_left = i32::from(code.tries_left);
        self.used_at = code.used_at.map(|at| at.0);
    }
}

/// The newest code for a phone and purpose, kept from others until the commit.
///
/// # Errors
/// The database.
pub async fn newest(
    tx: &Tx,
    organization: OrganizationId,
    phone: &str,
    purpose: Purpose,
) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find()
        .filter(table::Column::OrganizationId.eq(organization.0))
        .filter(table::Column::Phone.eq(phone))
        .filter(table::Column::Purpose.eq(purpose.as_str()))
        .order_by_desc(table::Column::CreatedAt)
        .limit(1)
        .lock_exclusive();
    Ok(query.one(&**tx).await?)
}

/// The newest code for a phone and purpose.
///
/// # Errors
/// The database.
pub async fn find_newest(
    r: &Reader,
    organization: OrganizationId,
    phone: &str,
    purpose: Purpose,
) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find()
        .filter(table::Column::OrganizationId.eq(organization.0))
        .filter(table::Column::Phone.eq(phone))
        .filter(table::Column::Purpose.eq(purpose.as_str()))
        .order_by_desc(table::Column::CreatedAt);
    Ok(query.one(r).await?)
}

/// A new one.
///
/// # Errors
/// The database.
pub async fn insert(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let row = row.clone().into_active_model().reset_all();
    table::Entity::insert(row)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Writes all columns. A wrong try must be committed too: return the refusal as a value, not as an error.
///
/// # Errors
/// The database.
pub async fn save(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let all = row.clone().into_active_model().reset_all();
    table::Entity::update_many()
        .set(all)
        .filter(table::Column::Id.eq(row.id))
        .exec(&**tx)
        .await?;
    Ok(())
}
