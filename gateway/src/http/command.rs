//! Commands: what was ordered of a device and how far it has come.

use axum::{Json, extract::State, http::Uri, response::Response};
use sealgate_domain::CommandId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::orders::{Command, Waits, error_name};

use super::{
    Api,
    answer::{Refusals, accepted},
    auth::Caller,
    extract::{Params, Path},
    paging::{self, Cursors, Page},
    problem::Problem,
    values::{DeviceRef, EXAMPLE_DEVICE, EXAMPLE_ID, Time},
};

/// A command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandView {
    id: Uuid,
    device: DeviceRef,
    /// What is ordered.
    #[schema(example = "lock")]
    op: String,
    /// `pending`, `sent`, `acknowledged` (the device has it), `applied` (the device did it), `rejected`, `expired`
    /// or `superseded`.
    #[schema(example = "pending")]
    state: String,
    /// Whose move is next: `signer` (the seal is connected, the command is not signed yet) or `seal` (it has to connect
    /// or to answer); null when the command is over.
    #[schema(example = "seal")]
    waiting_for: Option<&'static str>,
    /// The device's reason to reject it, as SL/1 numbers it.
    error_code: Option<i32>,
    /// The name of that reason.
    #[schema(example = "unbound")]
    error_name: Option<String>,
    /// Times it was handed to a session.
    attempts: i32,
    /// Who ordered it.
    #[schema(example = "token:0193a1b2-0000-7000-8000-000000000001")]
    created_by: String,
    created_at: Time,
    /// Nothing happens after this time; null waits for the device.
    expires_at: Option<Time>,
    sent_at: Option<Time>,
    acknowledged_at: Option<Time>,
    applied_at: Option<Time>,
}

impl CommandView {
    fn of(command: Command, connected: bool) -> Self {
        Self {
            waiting_for: Waits::of(&command, connected).map(Waits::as_str),
            error_name: command.error_code.and_then(error_name),
            id: command.id,
            device: DeviceRef(command.device()),
            op: command.op,
            state: command.state,
            error_code: command.error_code,
            attempts: command.attempts,
            created_by: command.created_by,
            created_at: Time::at(command.created_at),
            expires_at: Time::opt(command.expires_at),
            sent_at: Time::opt(command.sent_at),
            acknowledged_at: Time::opt(command.acknowledged_at),
            applied_at: Time::opt(command.applied_at),
        }
    }
}

/// 202 with the command and its address.
pub(crate) async fn ordered(api: &Api, command: Command) -> Response {
    let path = path(command.key());
    // The order stands: not knowing whether the seal is here must not turn the answer into a failure.
    let connected = api.app.has_session(command.device()).await.unwrap_or(false);
    accepted(&path, CommandView::of(command, connected))
}

/// The address of a command.
pub(crate) fn path(id: CommandId) -> String {
    format!("/commands/{id}")
}

/// Which commands.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CommandQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

/// See a command.
#[utoipa::path(get, path = "/commands/{command}", tag = "commands", operation_id = "get_command",
    params(("command" = Uuid, Path, example = json!(EXAMPLE_ID))), security(("token" = ["fleet:read"])),
    responses((status = 200, description = "It", body = CommandView), Refusals))]
pub(crate) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<CommandView>, Problem> {
    let command = api.app.command(&actor, CommandId(id)).await?;
    let connected = api.app.has_session(command.device()).await?;
    Ok(Json(CommandView::of(command, connected)))
}

/// List a device's commands, newest first.
#[utoipa::path(get, path = "/devices/{device}/commands", tag = "commands", operation_id = "list_commands",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE)), CommandQuery), security(("token" = ["fleet:read"])),
    responses((status = 200, description = "A page", body = Page<CommandView>), Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Path(DeviceRef(device)): Path<DeviceRef>,
    Params(query): Params<CommandQuery>,
) -> Result<Json<Page<CommandView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let before: Option<Uuid> = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .commands(&actor, device, before.map(CommandId), limit + 1)
        .await?;
    let page = api.cursors.page(&listing, found, limit, |row| row.id);
    let connected = api.app.has_session(device).await?;
    Ok(Json(page.map(|row| CommandView::of(row, connected))))
}
