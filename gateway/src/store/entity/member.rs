//! Table `member`: a person in an organization.

use sea_orm::entity::prelude::*;

/// A person in an organization.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose.
    pub organization_id: Uuid,
    /// Number within the organization, the wire's "user".
    pub no: i64,
    /// Its name.
    pub name: String,
    /// Normalized phone number.
    pub phone: String,
    /// `domain::member::Role`.
    pub role: String,
    /// When the member was removed.
    pub removed_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
