//! Table `idempotency`: the answer to a request that carried a key.

use sea_orm::entity::prelude::*;

/// The answer to a request that carried a key.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency")]
pub struct Model {
    /// Whose key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_id: Uuid,
    /// The key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Which route.
    pub route: String,
    /// SHA-256 of the request.
    pub body_hash: Vec<u8>,
    /// Status of the answer; none while it is being worked on.
    pub status: Option<i32>,
    /// Body of the answer.
    #[sea_orm(column_type = "Json")]
    pub response: Option<Json>,
    /// When it was first seen.
    pub created_at: i64,
    /// When its latest try began.
    pub started_at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
