//! Table `device`: a seal: identity, life and what is wanted of it.

use sea_orm::entity::prelude::*;

/// A seal: identity, life and what is wanted of it.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "device")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// Model, such as `GL`.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Its name.
    pub name: String,
    /// A manager's note.
    pub note: String,
    /// `domain::device::Life`.
    pub life: String,
    /// Where a suspended one comes back to.
    pub suspended_from: Option<String>,
    /// Binding generation.
    pub generation: i64,
    /// Whose.
    pub organization_id: Option<Uuid>,
    /// SHA-256 of its certificate's DER.
    pub cert_fingerprint: Vec<u8>,
    /// When the certificate ends.
    pub cert_not_after: Option<i64>,
    /// SHA-256 of the certificate that takes its place when the seal connects with it.
    pub next_cert_fingerprint: Option<Vec<u8>>,
    /// When that one ends.
    pub next_cert_not_after: Option<i64>,
    /// Ed25519 key that signs its checkpoints.
    pub log_key: Vec<u8>,
    /// When the certificate was revoked.
    pub revoked_at: Option<i64>,
    /// It shall be locked.
    pub desired_locked: bool,
    /// When the newest lock was issued.
    pub lock_issued_at: Option<i64>,
    /// When the device applied it.
    pub lock_applied_at: Option<i64>,
    /// When the unlock behind it was issued.
    pub lock_lifted_at: Option<i64>,
    /// Settings it shall have.
    #[sea_orm(column_type = "Json")]
    pub desired_config: Json,
    /// Their version.
    pub desired_config_version: i64,
    /// Offline mode shall be on.
    pub desired_offline: bool,
    /// Last counter given in this domain.
    pub counter_lock: i64,
    /// Last counter given in this domain.
    pub counter_grant: i64,
    /// Last counter given in this domain.
    pub counter_config: i64,
    /// Last counter given in this domain.
    pub counter_firmware: i64,
    /// The number the next grant gets.
    pub next_grant_no: i64,
    /// Counts changes, for If-Match.
    pub version: i64,
    /// When it was made.
    pub created_at: i64,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
