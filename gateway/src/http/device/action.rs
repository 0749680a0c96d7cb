//! What can be done with a device. What the device itself must do answers 202 with the command's address.

use axum::{extract::State, response::Response};
use sealgate_domain::OrganizationId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::{
        Api,
        answer::Refusals,
        auth::Caller,
        command::{self, CommandView},
        etag::Tagged,
        extract::{Body, MaybeBody, Path},
        problem::Problem,
        values::{DeviceRef, EXAMPLE_DEVICE, EXAMPLE_ID},
    },
    DeviceView,
};

/// To whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliverBody {
    #[schema(example = json!(EXAMPLE_ID))]
    organization: Uuid,
}

/// Under which name.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BindBody {
    /// 1 to 40 characters; the name stays when left out.
    #[schema(example = "Contract seal, front desk")]
    name: Option<String>,
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonBody {
    /// For the audit.
    #[serde(default)]
    #[schema(example = "lost on the way", max_length = 200)]
    reason: String,
}

/// On or off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfflineBody {
    #[schema(example = true)]
    enabled: bool,
    /// The code sent to the owner's phone.
    #[schema(example = "123456")]
    code: String,
}

macro_rules! orders {
    ($($(#[doc = $doc:literal])+ $name:ident, $path:literal, $operation:literal, $method:ident;)+) => { $(
        $(#[doc = $doc])+
        #[utoipa::path(post, path = $path, tag = "devices", operation_id = $operation,
            params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))),
            request_body = Option<ReasonBody>, security(("token" = ["device:control"])),
            responses((status = 202, description = "Ordered; `Location` is the command", body = CommandView), Refusals))]
        pub(crate) async fn $name(
            State(api): State<Api>,
            Caller(actor): Caller,
            Path(DeviceRef(id)): Path<DeviceRef>,
            MaybeBody(body): MaybeBody<ReasonBody>,
        ) -> Result<Response, Problem> {
            let order = api.app.$method(&actor, id, &body.reason).await?;
            Ok(command::ordered(&api, order).await)
        }
    )+ };
}

orders! {
    /// Lock a device that was lost (LOCK-1): at once when connected, else at power-on before anything else.
    lock, "/devices/{device}/lock", "lock_device", lock_device;
    /// Unlock a device (LOCK-1).
    unlock, "/devices/{device}/unlock", "unlock_device", unlock_device;
    /// Unbind a device; needs a live session (BIND-3).
    unbind, "/devices/{device}/unbind", "unbind_device", unbind_device;
    /// Ask a device where it is; needs a live session (REC-3).
    refresh_position, "/devices/{device}/refresh-position", "refresh_position", refresh_position;
}

macro_rules! moves {
    ($($(#[doc = $doc:literal])+ $name:ident, $path:literal, $operation:literal, $method:ident;)+) => { $(
        $(#[doc = $doc])+
        #[utoipa::path(post, path = $path, tag = "devices", operation_id = $operation,
            params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))),
            request_body = Option<ReasonBody>, security(("token" = ["fleet:write"])),
            responses((status = 200, description = "Done", body = DeviceView), Refusals))]
        pub(crate) async fn $name(
            State(api): State<Api>,
            Caller(actor): Caller,
            Path(DeviceRef(id)): Path<DeviceRef>,
            MaybeBody(body): MaybeBody<ReasonBody>,
        ) -> Result<Tagged<DeviceView>, Problem> {
            let device = api.app.$method(&actor, id, &body.reason).await?;
            Ok(Tagged(device.device.version, device.into()))
        }
    )+ };
}

moves! {
    /// Take a device out of use.
    suspend, "/devices/{device}/suspend", "suspend_device", suspend_device;
    /// Bring a suspended device back to where it was.
    resume, "/devices/{device}/resume", "resume_device", resume_device;
    /// Retire a device for ever.
    retire, "/devices/{device}/retire", "retire_device", retire_device;
    /// Revoke a device's certificate: its session ends, it never opens another.
    revoke, "/devices/{device}/revoke", "revoke_device", revoke_device;
}

/// Hand a device to an organization.
#[utoipa::path(post, path = "/devices/{device}/deliver", tag = "devices", operation_id = "deliver_device",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))),
    request_body = DeliverBody, security(("token" = ["fleet:write"])),
    responses((status = 200, description = "Delivered", body = DeviceView), Refusals))]
pub(crate) async fn deliver(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
    Body(body): Body<DeliverBody>,
) -> Result<Tagged<DeviceView>, Problem> {
    let organization = OrganizationId(body.organization);
    let device = api.app.deliver_device(&actor, id, organization).await?;
    Ok(Tagged(device.device.version, device.into()))
}

/// Bind a device; needs a live session (BIND-1).
#[utoipa::path(post, path = "/devices/{device}/bind", tag = "devices", operation_id = "bind_device",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))),
    request_body = Option<BindBody>, security(("token" = ["device:control"])),
    responses((status = 202, description = "Ordered; `Location` is the command", body = CommandView), Refusals))]
pub(crate) async fn bind(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
    MaybeBody(body): MaybeBody<BindBody>,
) -> Result<Response, Problem> {
    let order = api.app.bind_device(&actor, id, body.name).await?;
    Ok(command::ordered(&api, order).await)
}

/// Switch offline mode; needs a grant, the owner's code and a live session (OFF-1).
#[utoipa::path(post, path = "/devices/{device}/offline-mode", tag = "devices", operation_id = "set_offline_mode",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))),
    request_body = OfflineBody, security(("token" = ["device:control"])),
    responses((status = 202, description = "Ordered; `Location` is the command", body = CommandView), Refusals))]
pub(crate) async fn offline_mode(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
    Body(body): Body<OfflineBody>,
) -> Result<Response, Problem> {
    let order = api
        .app
        .set_offline_mode(&actor, id, body.enabled, &body.code)
        .await?;
    Ok(command::ordered(&api, order).await)
}
