//! Table `audit`: who did what; never changed.

use sea_orm::entity::prelude::*;

/// Who did what; never changed.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Whose.
    pub organization_id: Option<Uuid>,
    /// Which device, by key.
    pub device_id: Option<i64>,
    /// Who.
    pub actor: String,
    /// Did what.
    pub action: String,
    /// To what.
    pub subject: String,
    /// More of it.
    #[sea_orm(column_type = "Json")]
    pub detail: Option<Json>,
    /// SHA-256 of the canonical bytes.
    pub hash: Vec<u8>,
    /// When.
    pub at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
