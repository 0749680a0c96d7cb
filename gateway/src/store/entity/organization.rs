//! Table `organization`: a customer.

use sea_orm::entity::prelude::*;

/// A customer.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "organization")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Every stamp needs a grant; off = free use (USE-15).
    pub grants_required: bool,
    /// Devices it may bind (BIND-4).
    pub device_quota: i32,
    /// The number the next member gets.
    pub next_member_no: i64,
    /// Counts changes, for If-Match.
    pub version: i64,
    /// When it was made.
    pub created_at: i64,
    /// When the switch was thrown: JSON list of times.
    pub mode_switched_at: String,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
