//! Table `use_grant`: a permission to stamp.

use sea_orm::entity::prelude::*;

/// A permission to stamp.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "use_grant")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Which device, by key.
    pub device_id: i64,
    /// Number on the device, the wire's "auth".
    pub no: i64,
    /// Whose.
    pub organization_id: Uuid,
    /// Which member.
    pub member_id: Option<Uuid>,
    /// Stamps; 0 = unlimited.
    pub max_count: i32,
    /// Stamps counted.
    pub used: i64,
    /// Opens.
    pub not_before: i64,
    /// Closes.
    pub not_after: i64,
    /// `domain::grant::Method`.
    pub method: String,
    /// `domain::grant::Flags`.
    pub flags: i32,
    /// Where.
    #[sea_orm(column_type = "Json")]
    pub region: Option<Json>,
    /// What is stamped.
    #[sea_orm(column_type = "Json")]
    pub document: Option<Json>,
    /// A remark.
    pub remark: String,
    /// Who made it, as the audit names them.
    pub created_by: String,
    /// When it was made.
    pub created_at: i64,
    /// When the device confirmed it.
    pub delivered_at: Option<i64>,
    /// When its count was used up.
    pub exhausted_at: Option<i64>,
    /// When its end was asked for.
    pub end_requested_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// `domain::grant::EndReason`.
    pub end_reason: Option<String>,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
