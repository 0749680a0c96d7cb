//! Table `reading_mark`: how far abnormal use was read.

use sea_orm::entity::prelude::*;

/// How far abnormal use was read.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "reading_mark")]
pub struct Model {
    /// By this token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_id: Uuid,
    /// Of this organization; nil = all.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: Uuid,
    /// Up to this stamp.
    pub position: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
