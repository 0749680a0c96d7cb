//! Table `verification_code`: a code sent by SMS, hashed.

use sea_orm::entity::prelude::*;

/// A code sent by SMS, hashed.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "verification_code")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose.
    pub organization_id: Uuid,
    /// Which device, by key.
    pub device_id: Option<i64>,
    /// To whom it was sent.
    pub phone: String,
    /// `domain::code::Purpose`.
    pub purpose: String,
    /// Keyed hash of the digits.
    pub code_hash: Vec<u8>,
    /// Good until.
    pub expires_at: i64,
    /// Wrong tries left.
    pub tries_left: i32,
    /// When it was used.
    pub used_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
