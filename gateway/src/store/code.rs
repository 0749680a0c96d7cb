//! Verification codes.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sealgate_domain::{
    Millis, OrganizationId,
    code::{Code, Purpose},
};

use super::{StoreError, Tx, entity::verification_code as table, rows};

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

/// A new one.
///
/// # Errors
/// The database.
pub async fn insert(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    rows::insert(tx, row).await
}

/// Writes all columns. A wrong try must be committed too: return the refusal as a value, not as an error.
///
/// # Errors
/// The database.
pub async fn save(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let key = table::Column::Id.eq(row.id);
    rows::save(tx, row, key).await?;
    Ok(())
}
