//! Identity and anchors of simulated seals, read from the folder that `sealgate device issue` writes.
//!
//! Nothing is made here: a simulator that could issue itself a certificate would test nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use sealgate_codec::DeviceId;
use serde::Deserialize;

/// What makes one simulated seal that seal.
#[derive(Debug)]
pub struct Material {
    /// Device id.
    pub id: DeviceId,
    /// The id as text, as in topics.
    pub name: String,
    /// Serial number on the housing.
    pub serial: String,
    /// Client certificate.
    pub cert_pem: Vec<u8>,
    /// Client key.
    pub key_pem: Vec<u8>,
    /// Seed of the Ed25519 key that signs checkpoints.
    pub log_seed: [u8; 32],
}

/// A folder of issued devices.
#[derive(Debug)]
pub struct DeviceFolder {
    /// The devices, in order of their ids.
    pub devices: Vec<Arc<Material>>,
    /// Trust anchor for the server.
    pub ca_pem: Vec<u8>,
    /// Signed key set.
    pub key_set: Vec<u8>,
    /// Public key of the key set's root.
    pub root: [u8; 32],
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file says something else than expected.
    #[error("{path}: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct DeviceJson {
    id: String,
    #[serde(default)]
    serial: String,
}

impl DeviceFolder {
    /// Reads at most `limit` devices of `dir`.
    ///
    /// # Errors
    /// Something of the folder is missing or malformed.
    pub fn load(dir: &Path, limit: usize) -> Result<Self, MaterialError> {
        let listing = fs::read_dir(dir).map_err(|source| MaterialError::Read {
            path: dir.to_owned(),
            source,
        })?;
        let mut folders: Vec<PathBuf> = listing
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.join("device.json").is_file())
            .collect();
        folders.sort();
        folders.truncate(limit);
        let devices = folders
            .iter()
            .map(|folder| load_device(folder).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            devices,
            ca_pem: read(&dir.join("ca.pem"))?,
            key_set: read(&dir.join("keyset.cbor"))?,
            root: read_hex(&dir.join("root.pub"))?,
        })
    }
}

fn load_device(folder: &Path) -> Result<Material, MaterialError> {
    let path = folder.join("device.json");
    let json: DeviceJson =
        serde_json::from_slice(&read(&path)?).map_err(|error| content(&path, error.to_string()))?;
    let id = json
        .id
        .parse::<DeviceId>()
        .map_err(|_| content(&path, format!("{:?} is no device id", json.id)))?;
    Ok(Material {
        id,
        name: json.id,
        serial: json.serial,
        cert_pem: read(&folder.join("cert.pem"))?,
        key_pem: read(&folder.join("key.pem"))?,
        log_seed: read_hex(&folder.join("log.key"))?,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, MaterialError> {
    fs::read(path).map_err(|source| MaterialError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_hex(path: &Path) -> Result<[u8; 32], MaterialError> {
    let text = read(path)?;
    HEXLOWER
        .decode(text.trim_ascii())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| content(path, "expected 32 bytes in hexadecimal".to_owned()))
}

fn content(path: &Path, reason: String) -> MaterialError {
    MaterialError::Content {
        path: path.to_owned(),
        reason,
    }
}
