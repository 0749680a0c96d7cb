//! Devices: what they are, what they report, what is wanted of them.

pub(crate) mod action;
pub(crate) mod certificate;
pub(crate) mod import;
pub(crate) mod log;
pub(crate) mod settings;
mod view;

use axum::{Json, extract::State, http::Uri};
use sealgate_domain::{DeviceId, OrganizationId, device::Life};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::device::{DeviceChange, DeviceFilter};

use super::{
    Api,
    answer::Refusals,
    auth::Caller,
    etag::Tagged,
    extract::{Body, Params, Path},
    paging::{self, Cursors, Page},
    problem::Problem,
    reading::unknown,
    values::{DeviceRef, EXAMPLE_DEVICE},
};

pub(crate) use view::DeviceView;

/// Which devices.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeviceQuery {
    /// Of this organization.
    organization: Option<Uuid>,
    /// In this stage of life: `manufactured`, `not_delivered`, `unbound`, `bound`, `suspended` or `retired`.
    life: Option<String>,
    /// With or without a live session.
    connected: Option<bool>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevicePatch {
    /// 1 to 40 characters.
    #[schema(example = "Contract seal, front desk")]
    name: Option<String>,
    /// At most 200 characters.
    #[schema(example = "in the safe at night")]
    note: Option<String>,
}

/// List devices.
#[utoipa::path(get, path = "/devices", tag = "devices", operation_id = "list_devices",
    params(DeviceQuery), security(("token" = ["fleet:read"])),
    responses((status = 200, description = "A page", body = Page<DeviceView>), Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Params(query): Params<DeviceQuery>,
) -> Result<Json<Page<DeviceView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let filter = filter(&query)?;
    let after: Option<i64> = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .devices(&actor, filter, after.map(DeviceId::from_key), limit + 1)
        .await?;
    let page = api
        .cursors
        .page(&listing, found, limit, |row| row.device.id);
    Ok(Json(page.map(DeviceView::from)))
}

fn filter(query: &DeviceQuery) -> Result<DeviceFilter, Problem> {
    let life = query
        .life
        .as_deref()
        .map(str::parse::<Life>)
        .transpose()
        .map_err(|_| unknown("life", Life::ALL.iter().map(|life| life.as_str())))?;
    Ok(DeviceFilter {
        organization: query.organization.map(OrganizationId),
        life,
        connected: query.connected,
    })
}

/// See a device.
#[utoipa::path(get, path = "/devices/{device}", tag = "devices", operation_id = "get_device",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))), security(("token" = ["fleet:read"])),
    responses((status = 200, description = "It", body = DeviceView), Refusals))]
pub(crate) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
) -> Result<Tagged<DeviceView>, Problem> {
    let device = api.app.device(&actor, id).await?;
    Ok(Tagged(device.device.version, device.into()))
}

/// Rename a device, edit its note.
#[utoipa::path(patch, path = "/devices/{device}", tag = "devices", operation_id = "update_device",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))),
    request_body = DevicePatch, security(("token" = ["org:write"])),
    responses((status = 200, description = "Changed", body = DeviceView), Refusals))]
pub(crate) async fn update(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
    Body(body): Body<DevicePatch>,
) -> Result<Tagged<DeviceView>, Problem> {
    let change = DeviceChange {
        name: body.name,
        note: body.note,
    };
    let device = api.app.update_device(&actor, id, change).await?;
    Ok(Tagged(device.device.version, device.into()))
}
