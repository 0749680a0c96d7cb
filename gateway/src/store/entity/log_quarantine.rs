//! Table `log_quarantine`: records that contradict stored ones.

use sea_orm::entity::prelude::*;

/// Records that contradict stored ones.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "log_quarantine")]
pub struct Model {
    /// Which device, by key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub device_id: i64,
    /// Epoch of the log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i64,
    /// Sequence number in the log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// SHA-256 of the record's bytes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: Vec<u8>,
    /// The record, verbatim.
    pub record: Vec<u8>,
    /// When it arrived.
    pub received_at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
