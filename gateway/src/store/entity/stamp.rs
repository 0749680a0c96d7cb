//! Table `stamp`: a stamp record; never changed.

use sea_orm::entity::prelude::*;

/// A stamp record; never changed.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "stamp")]
pub struct Model {
    /// Order of arrival.
    #[sea_orm(primary_key)]
    pub position: i64,
    /// Which device, by key.
    pub device_id: i64,
    /// Epoch of the log.
    pub epoch: i64,
    /// Sequence number in the log.
    pub seq: i64,
    /// Boot counter.
    pub boot: i64,
    /// Uptime in seconds.
    pub up: i64,
    /// The device's wall clock, in unix seconds as sent.
    pub wall: i64,
    /// How good that clock was.
    pub clock_quality: i32,
    /// Kind of record.
    pub kind: i32,
    /// The grant it names; 0 = none.
    pub grant_no: i64,
    /// Under which grant, if it is known.
    pub grant_id: Option<Uuid>,
    /// The grant's member.
    pub member_id: Option<Uuid>,
    /// Whose device it was then.
    pub organization_id: Option<Uuid>,
    /// Its number within the grant.
    pub n: i32,
    /// Latitude in 1e-7 degrees.
    pub lat_e7: Option<i32>,
    /// Longitude in 1e-7 degrees.
    pub lon_e7: Option<i32>,
    /// Metres.
    pub accuracy: Option<i32>,
    /// Fact bits, as sent.
    pub facts: i64,
    /// Class of abnormal use, 1 to 10.
    pub abnormal: Option<i32>,
    /// The record, verbatim.
    pub record: Vec<u8>,
    /// SHA-256 of the record's bytes.
    pub hash: Vec<u8>,
    /// When it arrived.
    pub received_at: i64,
    /// When it was made, by our clock.
    pub corrected_at: i64,
    /// How exact that is.
    pub uncertainty_s: i64,
    /// Battery of the nearest status.
    pub battery: Option<i32>,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
