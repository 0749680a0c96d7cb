//! Table `device_report`: what a seal last reported, and its presence.

use sea_orm::entity::prelude::*;

/// What a seal last reported, and its presence.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "device_report")]
pub struct Model {
    /// Which device, by key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub device_id: i64,
    /// Firmware version.
    pub fw: Option<i64>,
    /// Hardware revision.
    pub hw: Option<i32>,
    /// Boot counter.
    pub boot: Option<i64>,
    /// Seconds since power-on, at the last contact that told.
    pub uptime_s: Option<i64>,
    /// Percent.
    pub battery: Option<i32>,
    /// dBm.
    pub rssi: Option<i32>,
    /// It says it is locked.
    pub locked: Option<bool>,
    /// When it said so first.
    pub locked_at: Option<i64>,
    /// Version of its settings.
    pub config_version: Option<i64>,
    /// Its settings.
    #[sea_orm(column_type = "Json")]
    pub config: Option<Json>,
    /// Offline mode is on.
    pub offline_mode: Option<bool>,
    /// Latitude in 1e-7 degrees.
    pub lat_e7: Option<i32>,
    /// Longitude in 1e-7 degrees.
    pub lon_e7: Option<i32>,
    /// Metres.
    pub accuracy: Option<i32>,
    /// When the position was taken.
    pub position_at: Option<i64>,
    /// Where the position came from.
    pub position_source: Option<String>,
    /// Oldest record it holds.
    pub log_first: Option<i64>,
    /// Sequence number of its next record.
    pub log_next: Option<i64>,
    /// Records it can hold.
    pub log_capacity: Option<i64>,
    /// Binding generation.
    pub generation: Option<i64>,
    /// Its counter.
    pub counter_lock: Option<i64>,
    /// Its counter.
    pub counter_grant: Option<i64>,
    /// Its counter.
    pub counter_config: Option<i64>,
    /// Its counter.
    pub counter_firmware: Option<i64>,
    /// Version of the newest key set it is known to hold.
    pub key_set_version: i64,
    /// Presses that found the log full, by kind.
    #[sea_orm(column_type = "Json")]
    pub counted: Option<Json>,
    /// A session is live.
    pub connected: bool,
    /// Takeover number of its newest session.
    pub term: i64,
    /// Which node holds the session.
    pub node: Option<String>,
    /// What carries it.
    pub link: Option<String>,
    /// Since when.
    pub connected_at: Option<i64>,
    /// When the last one ended.
    pub disconnected_at: Option<i64>,
    /// When it was last heard.
    pub last_contact_at: Option<i64>,
    /// What its HELLOs of this boot have raised alarms about.
    #[sea_orm(column_type = "Json")]
    pub alarmed: Option<Json>,
}

/// No relation is navigated: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
