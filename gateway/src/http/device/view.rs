//! How a device is shown.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::device::{DeviceShown, Report};

use super::super::values::{DeviceRef, PositionView, Time};

/// A device: what it is, what is wanted of it, what it reported.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceView {
    id: DeviceRef,
    #[schema(example = "GL")]
    model: String,
    serial: String,
    name: String,
    note: String,
    /// `manufactured`, `not_delivered`, `unbound`, `bound`, `suspended` or `retired`.
    #[schema(example = "bound")]
    life: String,
    /// Why it is suspended: what people gave as the reason, or `log_fork`, `counter_rollback`, `counter_impossible` or `two_seals`. Null
    /// when it is not suspended, when no reason was given, and in lists.
    #[schema(example = json!(null))]
    suspended_reason: Option<String>,
    organization: Option<Uuid>,
    /// Times it was unbound.
    generation: i64,
    revoked_at: Option<Time>,
    /// What its screen says, worked out from what is known (DEV-2).
    #[schema(example = "please_grant")]
    screen: String,
    /// A session is live.
    connected: bool,
    last_contact_at: Option<Time>,
    lock: LockView,
    offline_mode: OfflineView,
    /// The last known position.
    position: Option<LastPosition>,
    /// Null before the first contact.
    reported: Option<ReportView>,
    /// Also the entity tag.
    version: i64,
    created_at: Time,
}

/// Loss lock, wanted and reported (LOCK-1).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LockView {
    /// It is to be locked.
    desired: bool,
    /// It says it is locked.
    reported: Option<bool>,
    /// When it became so.
    locked_at: Option<Time>,
}

/// Offline mode, wanted and reported (OFF-1).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfflineView {
    desired: bool,
    reported: Option<bool>,
}

/// A position and when it was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastPosition {
    #[serde(flatten)]
    position: PositionView,
    at: Option<Time>,
}

impl LastPosition {
    fn read(report: &Report) -> Option<Self> {
        let position = PositionView::read(report.lat_e7, report.lon_e7, report.accuracy)?;
        Some(Self {
            position,
            at: Time::opt(report.position_at),
        })
    }
}

/// What the device said of itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportView {
    firmware: Option<i64>,
    hardware: Option<i32>,
    /// Times it had started.
    boot: Option<i64>,
    /// Percent.
    battery: Option<i32>,
    /// dBm.
    rssi: Option<i32>,
    /// Sequence number of its oldest record.
    log_first: Option<i64>,
    /// Sequence number of its next record.
    log_next: Option<i64>,
    /// Version of the newest key set it is known to hold.
    #[schema(example = 1)]
    key_set_version: i64,
    /// Presses that found the log full: index 0 without abnormal class, 1 to 10 the classes.
    #[schema(value_type = Vec<u16>)]
    counted: Option<serde_json::Value>,
    /// The node its session lives on.
    node: Option<String>,
    connected_at: Option<Time>,
}

impl From<Report> for ReportView {
    fn from(report: Report) -> Self {
        Self {
            firmware: report.fw,
            hardware: report.hw,
            boot: report.boot,
            battery: report.battery,
            rssi: report.rssi,
            log_first: report.log_first,
            log_next: report.log_next,
            key_set_version: report.key_set_version,
            counted: report.counted,
            node: report.node,
            connected_at: Time::opt(report.connected_at),
        }
    }
}

impl From<DeviceShown> for DeviceView {
    fn from(shown: DeviceShown) -> Self {
        let DeviceShown {
            device,
            report,
            screen,
            suspended_reason,
        } = shown;
        let known = report.as_ref();
        Self {
            id: DeviceRef(device.key()),
            screen: screen.as_str().to_owned(),
            connected: known.is_some_and(|report| report.connected),
            last_contact_at: Time::opt(known.and_then(|report| report.last_contact_at)),
            lock: LockView {
                desired: device.desired_locked,
                reported: known.and_then(|report| report.locked),
                locked_at: Time::opt(known.and_then(|report| report.locked_at)),
            },
            offline_mode: OfflineView {
                desired: device.desired_offline,
                reported: known.and_then(|report| report.offline_mode),
            },
            position: known.and_then(LastPosition::read),
            model: device.model,
            serial: device.serial,
            name: device.name,
            note: device.note,
            life: device.life,
            suspended_reason,
            organization: device.organization_id,
            generation: device.generation,
            revoked_at: Time::opt(device.revoked_at),
            version: device.version,
            created_at: Time::at(device.created_at),
            reported: report.map(ReportView::from),
        }
    }
}
