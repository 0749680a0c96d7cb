//! The audit: who changed what, and when.

use axum::{Json, extract::State, http::Uri};
use data_encoding::HEXLOWER;
use sealgate_domain::{DeviceId, OrganizationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::audit::AuditRow;

use super::{
    Api,
    answer::Refusals,
    auth::Caller,
    extract::Params,
    paging::{self, Cursors, Page},
    problem::Problem,
    values::{DeviceRef, Time},
};

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    id: i64,
    organization: Option<Uuid>,
    device: Option<DeviceRef>,
    /// Who.
    #[schema(example = "token:0193a1b2-0000-7000-8000-000000000001")]
    actor: String,
    /// Did what.
    #[schema(example = "grant.give")]
    action: String,
    /// To what.
    #[schema(example = "grant:0193a1b2-0000-7000-8000-000000000001")]
    subject: String,
    /// What exactly.
    #[schema(value_type = Object)]
    detail: Option<serde_json::Value>,
    /// SHA-256 of the change's canonical bytes.
    hash: String,
    at: Time,
}

impl From<AuditRow> for AuditView {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            organization: row.organization_id,
            device: row.device_id.map(|key| DeviceRef(DeviceId::from_key(key))),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            detail: row.detail,
            hash: HEXLOWER.encode(&row.hash),
            at: Time::at(row.at),
        }
    }
}

/// Which changes.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Of this organization.
    organization: Option<Uuid>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

/// List changes, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "list_audit",
    params(AuditQuery), security(("token" = ["org:read"])),
    responses((status = 200, description = "A page", body = Page<AuditView>), Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Page<AuditView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let organization = query.organization.map(OrganizationId);
    let before = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .audit(&actor, organization, before, limit + 1)
        .await?;
    let page = api.cursors.page(&listing, found, limit, |row| row.id);
    Ok(Json(page.map(AuditView::from)))
}
