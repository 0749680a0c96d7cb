//! Table `log_gap`: sequence numbers that a device declared lost or a person gave up.

use sea_orm::entity::prelude::*;

/// Sequence numbers that a device declared lost or a person gave up.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "log_gap")]
pub struct Model {
    /// Which device, by key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub device_id: i64,
    /// Epoch of the log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i64,
    /// First number of the range.
    #[sea_orm(primary_key, auto_increment = false)]
    pub from_seq: i64,
    /// How many.
    pub count: i64,
    /// Why.
    pub reason: String,
    /// When it was noted.
    pub at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
