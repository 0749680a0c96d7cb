//! API tokens. A secret is shown once, when its token is made.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use sealgate_domain::{OrganizationId, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{
    access::{Scope, Scopes},
    token::{NewToken, Token},
};

use super::{
    Api,
    answer::{Refusals, created},
    auth::Caller,
    extract::{Body, Params, Path},
    idempotency::Sensitive,
    paging::{self, Cursors, Page},
    problem::Problem,
    values::{EXAMPLE_ID, Time},
};

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    id: Uuid,
    #[schema(example = "console")]
    name: String,
    /// What it may do.
    #[schema(example = json!(["fleet:read", "stamp:read"]))]
    scopes: Vec<String>,
    /// The only organization it sees; null sees all.
    organization: Option<Uuid>,
    created_at: Time,
    expires_at: Option<Time>,
    /// To the minute.
    last_used_at: Option<Time>,
    revoked_at: Option<Time>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        let scopes = Scopes::parse(&token.scopes).unwrap_or_default();
        Self {
            id: token.id,
            name: token.name,
            scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            organization: token.organization_id,
            created_at: Time::at(token.created_at),
            expires_at: Time::opt(token.expires_at),
            last_used_at: Time::opt(token.last_used_at),
            revoked_at: Time::opt(token.revoked_at),
        }
    }
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenBody {
    /// 1 to 80 characters.
    #[schema(example = "console")]
    name: String,
    /// What it may do: at most what the asking token may.
    #[schema(example = json!(["fleet:read", "stamp:read"]))]
    scopes: Vec<String>,
    /// Bind it to an organization.
    #[schema(example = json!(null))]
    organization: Option<Uuid>,
    /// It is refused from then on.
    #[schema(example = json!(null))]
    expires_at: Option<Time>,
}

/// A token and its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    token: TokenView,
    /// Shown this once.
    #[schema(example = "sk_mfrggzdfmztwq2lkmfrggzdfmztwq2lkmfrggzd")]
    secret: String,
}

/// Which tokens.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TokenQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

/// Make a token.
#[utoipa::path(post, path = "/tokens", tag = "tokens", operation_id = "create_token",
    request_body = NewTokenBody, security(("token" = ["token:admin"])),
    responses((status = 201, description = "Made", body = MadeToken), Refusals))]
pub(crate) async fn create(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(body): Body<NewTokenBody>,
) -> Result<Response, Problem> {
    let scopes = scopes(&body.scopes)?;
    let new = NewToken {
        name: body.name,
        scopes,
        organization: body.organization.map(OrganizationId),
        expires_at: body.expires_at.map(|time| time.0),
    };
    let (token, secret) = api.app.create_token(&actor, new).await?;
    let path = format!("/tokens/{}", token.id);
    let token = TokenView::from(token);
    let mut response = created(&path, MadeToken { token, secret }).into_response();
    response.extensions_mut().insert(Sensitive);
    Ok(response)
}

fn unknown_scope() -> (String, String) {
    let known = Scope::ALL.map(Scope::name).join(", ");
    (
        format!("没有这个权限；可用的有 {known}"),
        format!("no such scope; there are {known}"),
    )
}

fn scopes(names: &[String]) -> Result<Scopes, Problem> {
    names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            Scope::from_name(name)
                .ok_or_else(|| Problem::invalid(format!("scopes[{at}]"), unknown_scope()))
        })
        .collect()
}

/// List tokens.
#[utoipa::path(get, path = "/tokens", tag = "tokens", operation_id = "list_tokens",
    params(TokenQuery), security(("token" = ["token:admin"])),
    responses((status = 200, description = "A page", body = Page<TokenView>), Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Params(query): Params<TokenQuery>,
) -> Result<Json<Page<TokenView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let after: Option<Uuid> = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .tokens(&actor, after.map(TokenId), limit + 1)
        .await?;
    let page = api.cursors.page(&listing, found, limit, |row| row.id);
    Ok(Json(page.map(TokenView::from)))
}

/// Revoke a token; at once and for ever. Its own holder may, without any scope; others need every scope it has.
#[utoipa::path(delete, path = "/tokens/{token}", tag = "tokens", operation_id = "revoke_token",
    params(("token" = Uuid, Path, example = json!(EXAMPLE_ID))), security(("token" = ["token:admin"])),
    responses((status = 204, description = "Revoked"), Refusals))]
pub(crate) async fn revoke(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    api.app.revoke_token(&actor, TokenId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
