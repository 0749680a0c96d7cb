//! What a folder of devices lists: `manifest.json`, to import into the fleet table, and `revoked.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, UnixSeconds, files};

/// What the fleet table needs to know of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The id's text.
    pub id: String,
    /// Model name.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Public half of the log key, hex.
    pub log_public: String,
    /// SHA-256 of the leaf certificate's DER, hex.
    pub cert_sha256: String,
    /// Version of the key set it was issued with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set_version: Option<u32>,
}

/// A device that must not be imported again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// The id's text.
    pub id: String,
    /// When.
    pub revoked_at: UnixSeconds,
}

/// The revoked devices of a folder.
///
/// # Errors
/// The list is malformed.
pub fn read_revoked(out: &Path) -> Result<Vec<Revoked>, Error> {
    read_list(out, "revoked.json", "a list of revoked devices")
}

/// The devices of a folder; none if it has no manifest.
///
/// # Errors
/// The manifest is malformed.
pub fn read_manifest(out: &Path) -> Result<Vec<Description>, Error> {
    read_list(out, "manifest.json", "a device manifest")
}

fn read_list<T: serde::de::DeserializeOwned>(
    out: &Path,
    name: &str,
    expected: &'static str,
) -> Result<Vec<T>, Error> {
    let path = out.join(name);
    if !path.exists() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&files::read(&path)?).map_err(|_| Error::Malformed { path, expected })
}

/// Changes a device's description, in the manifest and in its folder.
pub(super) fn update(
    out: &Path,
    id: &str,
    change: impl FnOnce(&mut Description),
) -> Result<Description, Error> {
    let mut manifest = read_manifest(out)?;
    let description = manifest
        .iter_mut()
        .find(|description| description.id == id)
        .ok_or_else(|| Error::UnknownDevice(id.to_owned()))?;
    change(description);
    let changed = description.clone();
    files::replace(
        &out.join(id).join("device.json"),
        &to_json(&changed),
        files::PUBLIC,
    )?;
    write_manifest(out, &manifest)?;
    Ok(changed)
}

pub(super) fn write_manifest(out: &Path, manifest: &[Description]) -> Result<(), Error> {
    files::replace(
        &out.join("manifest.json"),
        &to_json(&manifest),
        files::PUBLIC,
    )
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("descriptions are plain data");
    text.push(b'\n');
    text
}
