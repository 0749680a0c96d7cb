//! Taking devices into stock, many at once.

use axum::{Json, extract::State};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::device::NewDevice;

use super::super::{
    Api, answer::Refusals, auth::Caller, extract::Body, problem::Problem, values::DeviceRef,
};

/// One device of a manifest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManifestEntry {
    id: DeviceRef,
    #[schema(example = "GL")]
    model: String,
    #[schema(example = "GL-0001")]
    serial: String,
    /// Ed25519 key that signs its log's checkpoints, 64 hexadecimal digits.
    #[schema(example = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")]
    log_public: String,
    /// SHA-256 of its certificate, 64 hexadecimal digits.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    cert_sha256: String,
    /// Version of the key set it was issued with; the first one when left out.
    #[serde(default)]
    #[schema(example = 1)]
    key_set_version: Option<u32>,
}

/// What became of a manifest.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Imported {
    /// New in the fleet.
    added: u32,
    /// Known already, with the same keys.
    unchanged: u32,
}

/// Take devices into stock. All or nothing; a manifest sent twice changes nothing.
#[utoipa::path(post, path = "/devices/import", tag = "devices", operation_id = "import_devices",
    request_body = Vec<ManifestEntry>, security(("token" = ["fleet:write"])),
    responses((status = 200, description = "Taken into stock", body = Imported), Refusals))]
pub(crate) async fn import(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(manifest): Body<Vec<ManifestEntry>>,
) -> Result<Json<Imported>, Problem> {
    let devices = manifest
        .into_iter()
        .enumerate()
        .map(|(at, entry)| new_device(at, entry))
        .collect::<Result<Vec<_>, _>>()?;
    let done = api.app.import_devices(&actor, devices).await?;
    Ok(Json(Imported {
        added: done.added,
        unchanged: done.unchanged,
    }))
}

fn new_device(at: usize, entry: ManifestEntry) -> Result<NewDevice, Problem> {
    Ok(NewDevice {
        id: entry.id.0,
        model: entry.model,
        serial: entry.serial,
        log_key: digits(&format!("[{at}].log_public"), &entry.log_public)?,
        cert_fingerprint: digits(&format!("[{at}].cert_sha256"), &entry.cert_sha256)?,
        key_set_version: entry.key_set_version,
    })
}

/// 32 bytes in hexadecimal.
pub(super) fn digits(field: &str, text: &str) -> Result<[u8; 32], Problem> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Problem::invalid(field, ("须为64位十六进制数字", "64 hexadecimal digits")))
}
