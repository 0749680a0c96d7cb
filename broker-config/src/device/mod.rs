//! Device certificates and log keys on disk, one folder a device.
//!
//! A device folder appears whole or not at all: it is filled under a temporary name and then renamed.

mod manifest;

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use crate::{
    Error, UnixSeconds,
    ca::{self, FleetCa, Issued},
    files, keys,
};

pub use manifest::{Description, Revoked, read_manifest, read_revoked};
use manifest::{to_json, update, write_manifest};

/// Life of a device certificate unless told otherwise.
pub const DEVICE_DAYS: u64 = 730;

/// What to issue.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// How many.
    pub count: usize,
    /// Model name of all of them.
    pub model: &'a str,
    /// Life of the certificates.
    pub days: u64,
    /// The folder with `keyset.cbor` and `root.pub` that the devices get as anchors, if it exists already.
    pub keys_dir: Option<&'a Path>,
}

/// Text of a device id: base32 in lower case without padding.
#[must_use]
pub fn id_text(id: [u8; 8]) -> String {
    data_encoding::BASE32_NOPAD.encode(&id).to_ascii_lowercase()
}

/// Whether `text` has the form of a device id.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 13
        && !text.bytes().any(|byte| byte.is_ascii_uppercase())
        && data_encoding::BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .is_ok_and(|bytes| bytes.len() == 8)
}

/// Issues certificates and log keys for new devices under `out`; `progress` is told how many are done.
///
/// # Errors
/// The file system fails; devices issued before stay, and the manifest lists them.
pub fn issue(
    ca: &FleetCa,
    order: &Order<'_>,
    out: &Path,
    now: UnixSeconds,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Description>, Error> {
    files::private_dir(out)?;
    put_anchors(ca, order.keys_dir, out)?;
    let mut issued = Vec::with_capacity(order.count);
    let mut failed = None;
    for done in 0..order.count {
        match issue_one(ca, order, out, now) {
            Ok(description) => issued.push(description),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        progress(done + 1);
    }
    let mut manifest = read_manifest(out)?;
    manifest.extend(issued.iter().cloned());
    write_manifest(out, &manifest)?;
    failed.map_or(Ok(issued), Err)
}

/// A new certificate for the device's own key.
///
/// # Errors
/// There is no such device here, or the file system fails.
pub fn renew(
    ca: &FleetCa,
    out: &Path,
    id: &str,
    days: u64,
    now: UnixSeconds,
) -> Result<Description, Error> {
    let dir = device_dir(out, id)?;
    let key = ca::read_key(&dir.join("key.pem"))?;
    let issued = ca.device(id, Some(key), now, days)?;
    let description = update(out, id, |description| {
        description.cert_sha256 = fingerprint(&issued);
    })?;
    files::replace(
        &dir.join("cert.pem"),
        issued.certificate_pem.as_bytes(),
        files::PUBLIC,
    )?;
    Ok(description)
}

/// Takes a device out of the manifest, so that no later import brings it back, and lists it in `revoked.json`.
///
/// # Errors
/// There is no such device here, or the file system fails.
pub fn revoke(out: &Path, id: &str, now: UnixSeconds) -> Result<Revoked, Error> {
    device_dir(out, id)?;
    let mut revoked = read_revoked(out)?;
    if let Some(known) = revoked.iter().find(|revoked| revoked.id == id) {
        return Ok(known.clone());
    }
    let entry = Revoked {
        id: id.to_owned(),
        revoked_at: now,
    };
    revoked.push(entry.clone());
    files::replace(&out.join("revoked.json"), &to_json(&revoked), files::PUBLIC)?;
    let mut manifest = read_manifest(out)?;
    manifest.retain(|description| description.id != id);
    write_manifest(out, &manifest)?;
    Ok(entry)
}

/// The log key of a device.
///
/// # Errors
/// The file is missing, exposed or malformed.
pub fn read_log_key(dir: &Path) -> Result<SigningKey, Error> {
    keys::read_seed(&dir.join("log.key"))
}

fn issue_one(
    ca: &FleetCa,
    order: &Order<'_>,
    out: &Path,
    now: UnixSeconds,
) -> Result<Description, Error> {
    let mut raw = [0; 8];
    keys::fill_random(&mut raw)?;
    let id = id_text(raw);
    let issued = ca.device(&id, None, now, order.days)?;
    let log_key = keys::new_signing_key()?;
    let description = Description {
        serial: format!("SG{}", data_encoding::HEXUPPER.encode(&raw)),
        id,
        model: order.model.to_owned(),
        log_public: HEXLOWER.encode(log_key.verifying_key().as_bytes()),
        cert_sha256: fingerprint(&issued),
        key_set_version: key_set_version(order.keys_dir)?,
    };
    let target = out.join(&description.id);
    let fresh = out.join(format!(".{}", description.id));
    files::private_dir(&fresh)?;
    let seed = keys::seed_text(&log_key);
    let put = |name: &str, content: &[u8], mode| {
        files::create_in_fresh_dir(&fresh.join(name), content, mode)
    };
    put("cert.pem", issued.certificate_pem.as_bytes(), files::PUBLIC)?;
    put("key.pem", issued.key_pem.as_bytes(), files::SECRET)?;
    put("log.key", seed.as_bytes(), files::SECRET)?;
    put("device.json", &to_json(&description), files::PUBLIC)?;
    fs::rename(&fresh, &target).map_err(Error::io(&target))?;
    Ok(description)
}

fn key_set_version(keys_dir: Option<&Path>) -> Result<Option<u32>, Error> {
    let keys = keys_dir.map(keys::KeyDir::new).filter(keys::KeyDir::exists);
    keys.map(|keys| Ok(keys.table()?.version)).transpose()
}

fn put_anchors(ca: &FleetCa, keys_dir: Option<&Path>, out: &Path) -> Result<(), Error> {
    files::replace(
        &out.join("ca.pem"),
        ca.certificate_pem().as_bytes(),
        files::PUBLIC,
    )?;
    for name in ["keyset.cbor", "root.pub"] {
        if let Some(from) = keys_dir
            .map(|dir| dir.join(name))
            .filter(|path| path.exists())
        {
            files::replace(&out.join(name), &files::read(&from)?, files::PUBLIC)?;
        }
    }
    Ok(())
}

fn device_dir(out: &Path, id: &str) -> Result<PathBuf, Error> {
    let dir = out.join(id);
    // The form is checked first: an id is also a path here.
    if is_id(id) && dir.is_dir() {
        Ok(dir)
    } else {
        Err(Error::UnknownDevice(id.to_owned()))
    }
}

fn fingerprint(issued: &Issued) -> String {
    HEXLOWER.encode(&Sha256::digest(&issued.certificate_der))
}

/// Bytes of a hexadecimal field.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    const NOW: UnixSeconds = 1_790_000_000;

    fn fleet(count: usize) -> (tempfile::TempDir, FleetCa, PathBuf, Vec<Description>) {
        let dir = tempfile::tempdir().unwrap();
        let ca = FleetCa::init(&dir.path().join("pki"), &["localhost".to_owned()], NOW).unwrap();
        let out = dir.path().join("fleet");
        let order = Order {
            count,
            model: "GL-1",
            days: 365,
            keys_dir: None,
        };
        let mut told = Vec::new();
        let issued = issue(&ca, &order, &out, NOW, &mut |done| told.push(done)).unwrap();
        assert_eq!(told, (1..=count).collect::<Vec<_>>());
        (dir, ca, out, issued)
    }

    #[test]
    fn a_device_folder_holds_everything_a_seal_needs_and_its_secrets_are_private() {
        let (_dir, _ca, out, issued) = fleet(3);
        assert_eq!(read_manifest(&out).unwrap(), issued);
        for description in &issued {
            assert!(is_id(&description.id), "{}", description.id);
            let dir = out.join(&description.id);
            for secret in ["key.pem", "log.key"] {
                assert_eq!(
                    fs::metadata(dir.join(secret)).unwrap().mode() & 0o7777,
                    0o600
                );
            }
            let log_key = read_log_key(&dir).unwrap();
            assert_eq!(
                HEXLOWER.encode(log_key.verifying_key().as_bytes()),
                description.log_public
            );
            let pem = files::read(&dir.join("cert.pem")).unwrap();
            let pems: Vec<_> = x509_parser::pem::Pem::iter_from_buffer(&pem)
                .map(Result::unwrap)
                .collect();
            assert_eq!(pems.len(), 1, "the leaf only");
            assert_eq!(
                HEXLOWER.encode(&Sha256::digest(&pems[0].contents)),
                description.cert_sha256
            );
        }
        assert!(out.join("ca.pem").exists());
    }

    #[test]
    fn issuing_more_adds_to_the_manifest() {
        let (_dir, ca, out, first) = fleet(1);
        let order = Order {
            count: 1,
            model: "GL-2",
            days: 1,
            keys_dir: None,
        };
        let second = issue(&ca, &order, &out, NOW, &mut |_| {}).unwrap();
        assert_eq!(read_manifest(&out).unwrap(), [first, second].concat());
    }

    #[test]
    fn renewing_keeps_the_key_and_changes_the_fingerprint() {
        let (_dir, ca, out, issued) = fleet(1);
        let id = &issued[0].id;
        let key = fs::read(out.join(id).join("key.pem")).unwrap();
        let renewed = renew(&ca, &out, id, 400, NOW + 100 * crate::DAY).unwrap();
        assert_ne!(renewed.cert_sha256, issued[0].cert_sha256);
        assert_eq!(fs::read(out.join(id).join("key.pem")).unwrap(), key);
        assert_eq!(read_manifest(&out).unwrap(), [renewed]);
    }

    #[test]
    fn a_revoked_device_leaves_the_manifest_and_revoking_needs_a_known_id() {
        let (_dir, _ca, out, issued) = fleet(2);
        revoke(&out, &issued[0].id, NOW).unwrap();
        let again = revoke(&out, &issued[0].id, NOW + 5).unwrap();
        assert_eq!(again.revoked_at, NOW);
        assert_eq!(read_revoked(&out).unwrap(), [again]);
        assert_eq!(read_manifest(&out).unwrap(), issued[1..]);
        for foreign in ["../../etc", "aaaaaaaaaaaaa", ""] {
            assert!(matches!(
                revoke(&out, foreign, NOW),
                Err(Error::UnknownDevice(_))
            ));
        }
    }

    #[test]
    fn ids_have_one_text_form() {
        assert_eq!(id_text([0; 8]), "aaaaaaaaaaaaa");
        assert!(is_id(&id_text([0xff; 8])));
        for wrong in [
            "AAAAAAAAAAAAA",
            "aaaaaaaaaaaa",
            "aaaaaaaaaaaa1",
            "aaaaaaaaaaaab",
        ] {
            assert!(!is_id(wrong), "{wrong}");
        }
    }
}
