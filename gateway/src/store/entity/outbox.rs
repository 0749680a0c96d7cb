//! Table `outbox`: a committed event.

use sea_orm::entity::prelude::*;

/// A committed event.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Order of commits (PostgreSQL; on SQLite the id is the position).
    pub position: Option<i64>,
    /// `Topic`.
    pub topic: String,
    /// Whose.
    pub organization_id: Option<Uuid>,
    /// Which device, by key.
    pub device_id: Option<i64>,
    /// The event.
    #[sea_orm(column_type = "Json")]
    pub payload: Json,
    /// When it was made.
    pub created_at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
