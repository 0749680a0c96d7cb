//! Table `command`: an order to a device.

use sea_orm::entity::prelude::*;

/// An order to a device.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "command")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Which device, by key.
    pub device_id: i64,
    /// Counter domain.
    pub domain: i32,
    /// Counter within it.
    pub counter: i64,
    /// `domain::command::Op`.
    pub op: String,
    /// Newer ones of the same key supersede it.
    pub supersede_key: Option<String>,
    /// 0 first.
    pub priority: i32,
    /// Arguments.
    #[sea_orm(column_type = "Json")]
    pub args: Json,
    /// The signed bytes, once signed.
    pub ticket: Option<Vec<u8>>,
    /// `domain::command::State`.
    pub state: String,
    /// The device's error code.
    pub error_code: Option<i32>,
    /// Binding generation.
    pub generation: i64,
    /// Good until.
    pub expires_at: Option<i64>,
    /// Times it was sent.
    pub attempts: i32,
    /// Who made it, as the audit names them.
    pub created_by: String,
    /// When it was made.
    pub created_at: i64,
    /// When it was last sent.
    pub sent_at: Option<i64>,
    /// When the device had it.
    pub acknowledged_at: Option<i64>,
    /// When the device had done it.
    pub applied_at: Option<i64>,
    /// When it reached a final state.
    pub ended_at: Option<i64>,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
