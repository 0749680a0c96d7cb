//! Organizations.

use axum::{Json, extract::State, http::Uri, response::Response};
use sealgate_domain::OrganizationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::organization::{NewOrganization, Organization, OrganizationChange};

use super::{
    Api,
    answer::{Refusals, created},
    auth::Caller,
    etag::{IfMatch, Tagged},
    extract::{Body, Params, Path},
    paging::{self, Cursors, Page},
    problem::Problem,
    values::{EXAMPLE_ID, Time},
};

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationView {
    id: Uuid,
    /// Its name.
    #[schema(example = "Example Trading Ltd")]
    name: String,
    /// Every stamp needs a grant; otherwise whoever connects may stamp (USE-15).
    grants_required: bool,
    /// Also the entity tag.
    version: i64,
    created_at: Time,
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        Self {
            id: organization.id,
            name: organization.name,
            grants_required: organization.grants_required,
            version: organization.version,
            created_at: Time::at(organization.created_at),
        }
    }
}

/// A new organization with its owner.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrganizationBody {
    /// 1 to 80 characters.
    #[schema(example = "Example Trading Ltd")]
    name: String,
    owner: NewOwner,
    /// Every stamp needs a grant (USE-15).
    #[serde(default)]
    #[schema(example = true)]
    grants_required: bool,
}

/// The owner of a new organization.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOwner {
    /// 1 to 40 characters.
    #[schema(example = "Wang Fang")]
    name: String,
    /// Codes and alarms go here.
    #[schema(example = "13800138000")]
    phone: String,
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationPatch {
    /// 1 to 80 characters.
    #[schema(example = "Example Trading Ltd")]
    name: Option<String>,
    /// Every stamp needs a grant (USE-15).
    #[schema(example = true)]
    grants_required: Option<bool>,
}

/// Which organizations.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrganizationQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

/// Open an organization with its owner.
#[utoipa::path(post, path = "/organizations", tag = "organizations", operation_id = "create_organization",
    request_body = NewOrganizationBody, security(("token" = ["org:write"])),
    responses((status = 201, description = "Opened", body = OrganizationView), Refusals))]
pub(crate) async fn create(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(body): Body<NewOrganizationBody>,
) -> Result<Response, Problem> {
    let new = NewOrganization {
        name: body.name,
        owner_name: body.owner.name,
        owner_phone: body.owner.phone,
        grants_required: body.grants_required,
    };
    let organization = api.app.create_organization(&actor, new).await?;
    let path = format!("/organizations/{}", organization.id);
    Ok(created(&path, OrganizationView::from(organization)))
}

/// List organizations.
#[utoipa::path(get, path = "/organizations", tag = "organizations", operation_id = "list_organizations",
    params(OrganizationQuery), security(("token" = ["org:read"])),
    responses((status = 200, description = "A page", body = Page<OrganizationView>), Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Params(query): Params<OrganizationQuery>,
) -> Result<Json<Page<OrganizationView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let after: Option<Uuid> = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .list_organizations(&actor, after.map(OrganizationId), limit + 1)
        .await?;
    let page = api.cursors.page(&listing, found, limit, |row| row.id);
    Ok(Json(page.map(OrganizationView::from)))
}

/// See an organization.
#[utoipa::path(get, path = "/organizations/{organization}", tag = "organizations", operation_id = "get_organization",
    params(("organization" = Uuid, Path, example = json!(EXAMPLE_ID))), security(("token" = ["org:read"])),
    responses((status = 200, description = "It", body = OrganizationView), Refusals))]
pub(crate) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<Uuid>,
) -> Result<Tagged<OrganizationView>, Problem> {
    let organization = api.app.organization(&actor, OrganizationId(id)).await?;
    Ok(Tagged(organization.version, organization.into()))
}

/// Change an organization: its name, whether its devices need grants.
#[utoipa::path(patch, path = "/organizations/{organization}", tag = "organizations", operation_id = "update_organization",
    params(("organization" = Uuid, Path, example = json!(EXAMPLE_ID)),
           ("If-Match" = String, Header, description = "Entity tag of the version that is changed", example = "\"1\"")),
    request_body = OrganizationPatch, security(("token" = ["org:write"])),
    responses((status = 200, description = "Changed", body = OrganizationView), Refusals))]
pub(crate) async fn update(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<Uuid>,
    IfMatch(version): IfMatch,
    Body(body): Body<OrganizationPatch>,
) -> Result<Tagged<OrganizationView>, Problem> {
    let change = OrganizationChange {
        name: body.name,
        grants_required: body.grants_required,
    };
    let organization = api
        .app
        .update_organization(&actor, OrganizationId(id), version, change)
        .await?;
    Ok(Tagged(organization.version, organization.into()))
}
