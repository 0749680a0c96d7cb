//! Table `device_log`: how far a seal's log is stored.

use sea_orm::entity::prelude::*;

/// How far a seal's log is stored.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "device_log")]
pub struct Model {
    /// Which device, by key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub device_id: i64,
    /// Epoch of the log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i64,
    /// First sequence number not stored.
    pub next_seq: i64,
    /// Chain head before it.
    pub head: Vec<u8>,
    /// `ok`, or `audit` after a fork.
    pub state: String,
    /// When the last stored record was made.
    pub last_at: Option<i64>,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
