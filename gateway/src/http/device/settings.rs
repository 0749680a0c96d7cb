//! Settings of a device: what is wanted and what it reports (MGMT-1).

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sealgate_domain::settings::{Settings, SettingsWarning};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::device::SettingsShown;

use super::super::{
    Api,
    answer::{PREFIX, Refusals},
    auth::Caller,
    command,
    etag::{IfMatch, Tagged},
    extract::{Body, Path},
    problem::Problem,
    values::{DeviceRef, EXAMPLE_DEVICE},
};

/// Settings a manager chooses. Any whole number can be read: the rule says what is wrong with it, and its range.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsBody {
    /// Seconds the screen stays lit, 0 to 180; 0 is always.
    #[schema(minimum = 0, maximum = 180, example = 30)]
    backlight_s: i64,
    /// Minutes until automatic power-off, 0 to 30; 0 is never.
    #[schema(minimum = 0, maximum = 30, example = 10)]
    auto_off_min: i64,
}

impl From<Settings> for SettingsBody {
    fn from(settings: Settings) -> Self {
        Self {
            backlight_s: settings.backlight_s.into(),
            auto_off_min: settings.auto_off_min.into(),
        }
    }
}

impl From<SettingsBody> for Settings {
    fn from(body: SettingsBody) -> Self {
        // What does not fit is out of range whatever it is.
        let number = |wanted: i64| u16::try_from(wanted).unwrap_or(u16::MAX);
        Self {
            backlight_s: number(body.backlight_s),
            auto_off_min: number(body.auto_off_min),
        }
    }
}

/// Wanted and reported settings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsView {
    desired: SettingsBody,
    /// Also the entity tag.
    desired_version: i64,
    /// Null before the first report.
    reported: Option<SettingsBody>,
    reported_version: Option<i64>,
    /// The device has the wanted settings.
    in_sync: bool,
    /// `screen_life`: a backlight that is always on or on for more than a minute wears out the screen.
    warning: Option<&'static str>,
}

impl From<SettingsShown> for SettingsView {
    fn from(shown: SettingsShown) -> Self {
        Self {
            desired: shown.desired.into(),
            desired_version: shown.desired_version,
            reported: shown.reported.map(SettingsBody::from),
            reported_version: shown.reported_version,
            in_sync: shown.reported_version == Some(shown.desired_version),
            warning: shown.desired.warning().map(|warning| match warning {
                SettingsWarning::ScreenLife => "screen_life",
            }),
        }
    }
}

/// See a device's settings.
#[utoipa::path(get, path = "/devices/{device}/settings", tag = "devices", operation_id = "get_settings",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))), security(("token" = ["fleet:read"])),
    responses((status = 200, description = "Both", body = SettingsView), Refusals))]
pub(crate) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
) -> Result<Tagged<SettingsView>, Problem> {
    let shown = api.app.device_settings(&actor, id).await?;
    Ok(Tagged(shown.desired_version, shown.into()))
}

/// Change the wanted settings; they reach the device now or at its next connection.
#[utoipa::path(put, path = "/devices/{device}/settings", tag = "devices", operation_id = "put_settings",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE)),
           ("If-Match" = String, Header, description = "Entity tag of the version that is changed", example = "\"1\"")),
    request_body = SettingsBody, security(("token" = ["device:control"])),
    responses((status = 202, description = "Wanted; `Location` is the command", body = SettingsView), Refusals))]
pub(crate) async fn put(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
    IfMatch(version): IfMatch,
    Body(body): Body<SettingsBody>,
) -> Result<Response, Problem> {
    let (shown, order) = api
        .app
        .configure_device(&actor, id, version, body.into())
        .await?;
    let tagged = Tagged(shown.desired_version, SettingsView::from(shown));
    let mut response = (StatusCode::ACCEPTED, tagged).into_response();
    let location = format!("{PREFIX}{}", command::path(order));
    let location = HeaderValue::try_from(location).expect("ids are visible ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}
