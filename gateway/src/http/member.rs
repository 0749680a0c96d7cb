//! Members of an organization, and codes sent to its owner.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sealgate_domain::{
    MemberId, OrganizationId,
    code::Purpose,
    member::{Phone, Role},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::member::{Member, NewMember};

use super::{
    Api,
    answer::{Refusals, created},
    auth::Caller,
    extract::{Body, Path},
    problem::Problem,
    values::{DeviceRef, EXAMPLE_ID, Time},
};

/// A member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberView {
    id: Uuid,
    organization: Uuid,
    /// The member's number on the organization's devices.
    no: i64,
    #[schema(example = "Wang Fang")]
    name: String,
    /// With its middle hidden.
    #[schema(example = "138****8000")]
    phone: String,
    /// `owner`, `admin`, `custodian` or `member`.
    #[schema(example = "member")]
    role: String,
    created_at: Time,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self {
            id: member.id,
            organization: member.organization_id,
            no: member.no,
            name: member.name,
            phone: Phone::parse(&member.phone).map_or_else(|_| String::new(), |p| p.masked()),
            role: member.role,
            created_at: Time::at(member.created_at),
        }
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleName {
    /// 主管理员
    Owner,
    /// 管理员
    Admin,
    /// 管章人
    Custodian,
    /// 成员
    Member,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Owner => Self::Owner,
            RoleName::Admin => Self::Admin,
            RoleName::Custodian => Self::Custodian,
            RoleName::Member => Self::Member,
        }
    }
}

/// A new member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMemberBody {
    /// 1 to 40 characters.
    #[schema(example = "Li Na")]
    name: String,
    #[schema(example = "13900139000")]
    phone: String,
    /// `member` when left out.
    #[schema(example = "member")]
    role: Option<RoleName>,
}

/// All members: there are 100 at most.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberList {
    items: Vec<MemberView>,
}

/// What a code is for.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CodePurpose {
    /// Switching offline mode of a device (OFF-1).
    OfflineMode,
}

/// What a code is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCodeBody {
    #[schema(example = "offline_mode")]
    purpose: CodePurpose,
    /// Good for this device only.
    #[schema(example = json!(null))]
    device: Option<DeviceRef>,
}

/// A code is on its way to the owner's phone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CodeView {
    id: Uuid,
    /// The owner's phone with its middle hidden.
    #[schema(example = "138****8000")]
    phone: String,
    /// Good until then, for five tries, once.
    expires_at: Time,
}

/// Add a member.
#[utoipa::path(post, path = "/organizations/{organization}/members", tag = "organizations", operation_id = "add_member",
    params(("organization" = Uuid, Path, example = json!(EXAMPLE_ID))),
    request_body = NewMemberBody, security(("token" = ["org:write"])),
    responses((status = 201, description = "Added", body = MemberView), Refusals))]
pub(crate) async fn add(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(organization): Path<Uuid>,
    Body(body): Body<NewMemberBody>,
) -> Result<Response, Problem> {
    let new = NewMember {
        organization: OrganizationId(organization),
        name: body.name,
        phone: body.phone,
        role: body.role.map_or(Role::Member, Role::from),
    };
    let member = api.app.add_member(&actor, new).await?;
    let path = format!("/organizations/{organization}/members/{}", member.id);
    Ok(created(&path, MemberView::from(member)))
}

/// List members.
#[utoipa::path(get, path = "/organizations/{organization}/members", tag = "organizations", operation_id = "list_members",
    params(("organization" = Uuid, Path, example = json!(EXAMPLE_ID))), security(("token" = ["org:read"])),
    responses((status = 200, description = "All of them", body = MemberList), Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(organization): Path<Uuid>,
) -> Result<Json<MemberList>, Problem> {
    let found = api
        .app
        .members(&actor, OrganizationId(organization))
        .await?;
    let items = found.into_iter().map(MemberView::from).collect();
    Ok(Json(MemberList { items }))
}

/// Remove a member.
#[utoipa::path(delete, path = "/organizations/{organization}/members/{member}", tag = "organizations", operation_id = "remove_member",
    params(("organization" = Uuid, Path, example = json!(EXAMPLE_ID)), ("member" = Uuid, Path, example = json!(EXAMPLE_ID))),
    security(("token" = ["org:write"])),
    responses((status = 204, description = "Removed"), Refusals))]
pub(crate) async fn remove(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path((organization, member)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    api.app
        .remove_member(&actor, OrganizationId(organization), MemberId(member))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a code to the owner's phone.
#[utoipa::path(post, path = "/organizations/{organization}/codes", tag = "organizations", operation_id = "send_code",
    params(("organization" = Uuid, Path, example = json!(EXAMPLE_ID))),
    request_body = NewCodeBody, security(("token" = ["device:control"])),
    responses((status = 202, description = "On its way", body = CodeView), Refusals))]
pub(crate) async fn send_code(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(organization): Path<Uuid>,
    Body(body): Body<NewCodeBody>,
) -> Result<Response, Problem> {
    let purpose = match body.purpose {
        CodePurpose::OfflineMode => Purpose::OfflineMode,
    };
    let device = body.device.map(|device| device.0);
    let sent = api
        .app
        .send_code(&actor, OrganizationId(organization), purpose, device)
        .await?;
    let view = CodeView {
        id: sent.id.0,
        phone: sent.phone.masked(),
        expires_at: Time(sent.expires_at),
    };
    Ok((StatusCode::ACCEPTED, Json(view)).into_response())
}
