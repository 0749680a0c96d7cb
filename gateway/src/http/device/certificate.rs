//! A device's renewed certificate.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    super::{
        Api,
        answer::Refusals,
        auth::Caller,
        etag::Tagged,
        extract::{Body, Path},
        problem::Problem,
        values::{DeviceRef, EXAMPLE_DEVICE, Time},
    },
    DeviceView,
    import::digits,
};

/// The new certificate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateBody {
    /// SHA-256 of it, 64 hexadecimal digits.
    #[schema(example = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752")]
    cert_sha256: String,
    /// When it ends.
    #[schema(example = "2029-01-31T08:00:00Z")]
    cert_not_after: Time,
}

/// Register a device's renewed certificate. The one in use stays good until the device connects with the new one.
#[utoipa::path(post, path = "/devices/{device}/certificate", tag = "devices",
    operation_id = "renew_device_certificate",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))),
    request_body = CertificateBody, security(("token" = ["fleet:write"])),
    responses((status = 200, description = "Registered", body = DeviceView), Refusals))]
pub(crate) async fn renew(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
    Body(body): Body<CertificateBody>,
) -> Result<Tagged<DeviceView>, Problem> {
    let fingerprint = digits("cert_sha256", &body.cert_sha256)?;
    let not_after = body.cert_not_after.0;
    let device = api
        .app
        .renew_certificate(&actor, id, fingerprint, not_after)
        .await?;
    Ok(Tagged(device.device.version, device.into()))
}
