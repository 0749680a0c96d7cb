//! Table `api_token`: An API token, hashed.

use sea_orm::entity::prelude::*;

/// An API token, hashed.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "api_token")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_hash: Vec<u8>,
    /// Scope names, separated by spaces.
    pub scopes: String,
    /// Bound to this organization.
    pub organization_id: Option<Uuid>,
    /// Good until.
    pub expires_at: Option<i64>,
    /// When it was last used (roughly).
    pub last_used_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
