//! Grants.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use sealgate_domain::{
    GrantId, MemberId, Millis, OrganizationId,
    grant::{Flags, GrantState, Region, Terms},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::grant::{GrantFilter, GrantShown, NewGrant, region_of};

use super::{
    Api,
    answer::{Refusals, accepted, created},
    auth::Caller,
    command,
    extract::{Body, Params, Path},
    paging::{self, Cursors, Page},
    problem::Problem,
    reading::{self, unknown},
    values::{DeviceRef, EXAMPLE_ID, RegionView, Time},
};

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GrantView {
    id: Uuid,
    device: DeviceRef,
    /// Its number on the device.
    no: i64,
    organization: Uuid,
    /// Who may stamp; null for free use.
    member: Option<Uuid>,
    /// That member's name, also when removed since.
    #[schema(example = "Li Na")]
    member_name: Option<String>,
    /// `to_be_delivered`, `not_begun`, `in_use`, `expired`, `ending` or `ended` (USE-9).
    #[schema(example = "in_use")]
    state: String,
    /// Stamps allowed; 0 is unlimited.
    count: u16,
    /// Stamps made.
    used: u32,
    not_before: Time,
    not_after: Time,
    /// `direct`, or `implicit` for free use.
    #[schema(example = "direct")]
    method: String,
    /// A picture at each stamp.
    photo: bool,
    /// A finger before stamping.
    fingerprint: bool,
    /// Offline mode may be switched on under it.
    offline_allowed: bool,
    region: Option<RegionView>,
    document: Option<Document>,
    remark: String,
    created_by: String,
    created_at: Time,
    delivered_at: Option<Time>,
    end_requested_at: Option<Time>,
    ended_at: Option<Time>,
    /// `manager`, `unbound`, `replaced` or `grants_required`.
    end_reason: Option<String>,
}

impl From<GrantShown> for GrantView {
    fn from(shown: GrantShown) -> Self {
        let GrantShown {
            grant,
            state,
            member_name,
        } = shown;
        let flags = grant.flags();
        let counts = grant.state();
        let region = region_of(&grant);
        Self {
            id: grant.id,
            device: DeviceRef(grant.device()),
            no: grant.no,
            organization: grant.organization_id,
            member: grant.member_id,
            member_name,
            state: state.as_str().to_owned(),
            count: counts.max,
            used: counts.used,
            not_before: Time::at(grant.not_before),
            not_after: Time::at(grant.not_after),
            method: grant.method,
            photo: flags.has(Flags::PHOTO),
            fingerprint: flags.has(Flags::FINGERPRINT),
            offline_allowed: flags.has(Flags::OFFLINE),
            region: region.map(RegionView::from),
            document: grant
                .document
                .and_then(|text| serde_json::from_value(text).ok()),
            remark: grant.remark,
            created_by: grant.created_by,
            created_at: Time::at(grant.created_at),
            delivered_at: Time::opt(grant.delivered_at),
            end_requested_at: Time::opt(grant.end_requested_at),
            ended_at: Time::opt(grant.ended_at),
            end_reason: grant.end_reason,
        }
    }
}

/// What is stamped (USE-6).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// Its name.
    #[schema(example = "Lease contract")]
    name: String,
    /// What kind of document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "contract")]
    kind: Option<String>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 2)]
    copies: Option<u16>,
}

/// A new direct grant (USE-6).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGrantBody {
    device: DeviceRef,
    /// Who may stamp.
    #[schema(example = json!(EXAMPLE_ID))]
    member: Uuid,
    /// Stamps: 0 (unlimited) to 500.
    #[schema(maximum = 500, example = 10)]
    count: u16,
    /// Begins; now when left out.
    #[schema(example = json!(null))]
    not_before: Option<Time>,
    /// Ends.
    #[schema(example = "2099-12-31T00:00:00Z")]
    not_after: Time,
    /// A picture at each stamp.
    #[serde(default)]
    #[schema(example = false)]
    photo: bool,
    /// A finger before stamping.
    #[serde(default)]
    #[schema(example = false)]
    fingerprint: bool,
    /// Offline mode may be switched on under it (OFF-1).
    #[serde(default)]
    #[schema(example = true)]
    offline_allowed: bool,
    /// Only there.
    #[schema(example = json!(null))]
    region: Option<RegionView>,
    #[schema(example = json!({"name": "Lease contract"}))]
    document: Option<Document>,
    /// At most 120 characters.
    #[serde(default)]
    #[schema(example = "")]
    remark: String,
}

/// Which grants.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GrantQuery {
    /// Of this organization.
    organization: Option<Uuid>,
    /// Of this device.
    #[param(value_type = Option<String>)]
    device: Option<DeviceRef>,
    /// Of this member.
    member: Option<Uuid>,
    /// In this state now: `to_be_delivered`, `not_begun`, `in_use`, `expired`, `ending` or `ended`.
    state: Option<String>,
    /// Only those that have not ended.
    open: Option<bool>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

/// Give a direct grant; it is delivered when the device connects.
#[utoipa::path(post, path = "/grants", tag = "grants", operation_id = "give_grant",
    request_body = NewGrantBody, security(("token" = ["grant:write"])),
    responses((status = 201, description = "Given", body = GrantView), Refusals))]
pub(crate) async fn give(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(body): Body<NewGrantBody>,
) -> Result<Response, Problem> {
    let new = new_grant(body, &api)?;
    let grant = api.app.give_grant(&actor, new).await?;
    let path = format!("/grants/{}", grant.grant.id);
    Ok(created(&path, GrantView::from(grant)))
}

fn new_grant(body: NewGrantBody, api: &Api) -> Result<NewGrant, Problem> {
    let flags = Flags::default()
        .with(Flags::PHOTO, body.photo)
        .with(Flags::FINGERPRINT, body.fingerprint)
        .with(Flags::OFFLINE, body.offline_allowed);
    let terms = Terms {
        not_before: body
            .not_before
            .map_or_else(|| api.app.clock.now(), |time| time.0),
        not_after: body.not_after.0,
        max: body.count,
        flags,
        region: body.region.map(Region::from),
    };
    let document = body
        .document
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| Problem::invalid("document", reading::of(&error.to_string())))?;
    Ok(NewGrant {
        device: body.device.0,
        member: MemberId(body.member),
        terms,
        document,
        remark: body.remark,
    })
}

/// List grants, newest first.
#[utoipa::path(get, path = "/grants", tag = "grants", operation_id = "list_grants",
    params(GrantQuery), security(("token" = ["org:read"])),
    responses((status = 200, description = "A page", body = Page<GrantView>), Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Params(query): Params<GrantQuery>,
) -> Result<Json<Page<GrantView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let state = state(&query, &api)?;
    let filter = GrantFilter {
        organization: query.organization.map(OrganizationId),
        device: query.device.map(|device| device.0),
        member: query.member.map(MemberId),
        state,
        open: query.open.unwrap_or(false),
    };
    let after: Option<Uuid> = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .grants(&actor, filter, after.map(GrantId), limit + 1)
        .await?;
    let page = api.cursors.page(&listing, found, limit, |row| row.grant.id);
    Ok(Json(page.map(GrantView::from)))
}

fn state(query: &GrantQuery, api: &Api) -> Result<Option<(GrantState, Millis)>, Problem> {
    let Some(name) = query.state.as_deref() else {
        return Ok(None);
    };
    name.parse()
        .map(|state| Some((state, api.app.clock.now())))
        .map_err(|_| unknown("state", GrantState::ALL.iter().map(|state| state.as_str())))
}

/// See a grant.
#[utoipa::path(get, path = "/grants/{grant}", tag = "grants", operation_id = "get_grant",
    params(("grant" = Uuid, Path, example = json!(EXAMPLE_ID))), security(("token" = ["org:read"])),
    responses((status = 200, description = "It", body = GrantView), Refusals))]
pub(crate) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<GrantView>, Problem> {
    let grant = api.app.grant(&actor, GrantId(id)).await?;
    Ok(Json(grant.into()))
}

/// End a grant; a device that is off learns of it at power-on.
#[utoipa::path(post, path = "/grants/{grant}/end", tag = "grants", operation_id = "end_grant",
    params(("grant" = Uuid, Path, example = json!(EXAMPLE_ID))), security(("token" = ["grant:write"])),
    responses((status = 202, description = "Ending; `Location` is the command, if one is on its way", body = GrantView), Refusals))]
pub(crate) async fn end(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let (grant, command) = api.app.end_grant(&actor, GrantId(id)).await?;
    let view = GrantView::from(grant);
    Ok(match command {
        Some(command) => accepted(&command::path(command), view),
        None => (StatusCode::ACCEPTED, Json(view)).into_response(),
    })
}
