//! Becoming a box of a gateway: the bundle that `sealgate edge issue` writes is put into the data directory.
//!
//! Constraints and invariants:
//! - Secrets are written with mode 600, whole or not at all, and never shown.
//! - The key of links (X25519) is made here and never leaves the box; a new enrolment keeps it.
//! - A bundle is checked before anything is written: certificate, key and CA have to fit together.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    config::{Config, has_port},
    uplink::{Gateway, Identity},
};

/// A bundle, in TOML.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The gateway's `host:port`.
    pub gateway: String,
    /// The name in its certificate; empty: the host.
    #[serde(default)]
    pub name: String,
    /// PEM: the box's certificate, and those between it and its CA.
    pub certificate: String,
    /// PEM: its key.
    pub key: String,
    /// PEM: the CA of gateways.
    pub ca: String,
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayFile {
    address: String,
    name: String,
}

/// The files of an enrolled box.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// In this data directory.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("box.pem")
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.dir.join("box.key")
    }

    /// The CA of gateways.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The secret of links.
    #[must_use]
    pub fn link_secret(&self) -> PathBuf {
        self.dir.join("link.key")
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.dir.join("queue.db")
    }

    fn gateway(&self) -> PathBuf {
        self.dir.join("gateway.toml")
    }

    /// Puts a bundle in place. Without `force` an enrolled box stays as it is.
    ///
    /// # Errors
    /// The bundle is not one, its parts do not fit, the box is enrolled already, or nothing can be written.
    pub fn enroll(&self, text: &str, force: bool) -> anyhow::Result<Gateway> {
        let bundle: Bundle = toml::from_str(text).map_err(|error| {
            // The message of the whole error would show lines of the bundle, and with them its key.
            anyhow::anyhow!("not a bundle: {}", error.message())
        })?;
        let gateway = named(&bundle.gateway, &bundle.name)?;
        Identity::from_pem(&bundle.certificate, &bundle.key, &bundle.ca)?.client()?;
        anyhow::ensure!(
            force || !self.certificate().exists(),
            "{}: this box is enrolled already; --force takes the new bundle",
            self.certificate().display()
        );
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .with_context(|| self.dir.display().to_string())?;
        let file = GatewayFile {
            address: gateway.address.clone(),
            name: gateway.name.clone(),
        };
        self.make_link_secret()?;
        write_secret(&self.key(), bundle.key.as_bytes())?;
        write_secret(&self.ca(), bundle.ca.as_bytes())?;
        write_secret(&self.gateway(), toml::to_string(&file)?.as_bytes())?;
        // Last: this file says that the box is enrolled.
        write_secret(&self.certificate(), bundle.certificate.as_bytes())?;
        Ok(gateway)
    }

    fn make_link_secret(&self) -> anyhow::Result<()> {
        let path = self.link_secret();
        if path.exists() {
            return self.read_link_secret().map(|_| ());
        }
        let secret: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
        let text = Zeroizing::new(data_encoding::HEXLOWER.encode(&*secret));
        write_secret(&path, text.as_bytes())
    }

    /// The secret of links.
    ///
    /// # Errors
    /// Not enrolled, others may read it, or it is damaged.
    pub fn read_link_secret(&self) -> anyhow::Result<Zeroizing<[u8; 32]>> {
        let path = self.link_secret();
        let text = Zeroizing::new(self.read_secret(&path)?);
        let bytes = data_encoding::HEXLOWER.decode(text.trim().as_bytes());
        let bytes = bytes.ok().map(Zeroizing::new);
        let secret = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        let secret = secret.with_context(|| format!("{}: not a key of links", path.display()))?;
        Ok(Zeroizing::new(secret))
    }

    fn read_secret(&self, path: &Path) -> anyhow::Result<String> {
        let shown = path.display();
        let file = fs::metadata(path).with_context(|| {
            format!("{shown}: this box is not enrolled; see sealgate-edge enroll")
        })?;
        let mode = file.permissions().mode() & 0o777;
        anyhow::ensure!(
            mode & 0o077 == 0,
            "{shown}: others may read it (mode {mode:o}); make it 600"
        );
        fs::read_to_string(path).with_context(|| shown.to_string())
    }

    /// The gateway: as the settings say, else as the box was enrolled.
    ///
    /// # Errors
    /// Neither says.
    pub fn read_gateway(&self, config: &Config) -> anyhow::Result<Gateway> {
        if !config.gateway.address.is_empty() {
            return named(&config.gateway.address, &config.gateway.name);
        }
        let path = self.gateway();
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "{}: this box is not enrolled; see sealgate-edge enroll",
                path.display()
            )
        })?;
        let file: GatewayFile =
            toml::from_str(&text).with_context(|| path.display().to_string())?;
        named(&file.address, &file.name)
    }

    /// Certificate, key and CA.
    ///
    /// # Errors
    /// Not enrolled, the key may be read by others, or a file is damaged.
    pub fn read_identity(&self) -> anyhow::Result<Identity> {
        drop(Zeroizing::new(self.read_secret(&self.key())?));
        Ok(Identity::read(
            &self.certificate(),
            &self.key(),
            &self.ca(),
        )?)
    }
}

fn named(address: &str, name: &str) -> anyhow::Result<Gateway> {
    anyhow::ensure!(has_port(address), "{address:?}: host:port is needed");
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = if name.is_empty() { host } else { name };
    Ok(Gateway {
        address: address.to_owned(),
        name: name.to_owned(),
    })
}

/// Beside the file first, then in its place: a power cut leaves the old one or the new one.
fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let shown = || path.display().to_string();
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(shown);
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(shown)?;
    file.write_all(bytes).with_context(shown)?;
    file.sync_all().with_context(shown)?;
    fs::rename(&fresh, path).with_context(shown)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> String {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::new(vec![])
            .unwrap()
            .self_signed(&ca_key)
            .unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["box".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let bundle = Bundle {
            gateway: "gateway.example:7443".to_owned(),
            name: String::new(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            ca: ca.pem(),
        };
        toml::to_string(&bundle).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_bundle_makes_an_enrolled_box_whose_secrets_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("data"));
        let gateway = files.enroll(&bundle(), false).unwrap();
        assert_eq!(gateway.name, "gateway.example");
        for path in [files.key(), files.link_secret(), files.certificate()] {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
        files.read_identity().unwrap().client().unwrap();
        let secret = files.read_link_secret().unwrap();
        assert_eq!(files.read_gateway(&Config::default()).unwrap(), gateway);

        let error = files.enroll(&bundle(), false).unwrap_err();
        assert!(error.to_string().contains("enrolled already"), "{error}");
        files.enroll(&bundle(), true).unwrap();
        assert_eq!(files.read_link_secret().unwrap(), secret, "it stays");
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        files.enroll(&bundle(), false).unwrap();
        for path in [files.key(), files.link_secret()] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let error = files.read_identity().unwrap_err().to_string();
        assert!(error.contains("make it 600"), "{error}");
        let error = files.read_link_secret().unwrap_err().to_string();
        assert!(error.contains("make it 600"), "{error}");
    }

    #[test]
    fn what_is_no_bundle_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        let good = bundle();
        let broken = good.replace("ca = ", "cb = ");
        let error = format!("{:#}", files.enroll(&broken, false).unwrap_err());
        assert!(error.contains("not a bundle"), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
        let other = good.replace(":7443", "");
        assert!(files.enroll(&other, false).is_err());
        let mixed: Bundle = toml::from_str(&bundle()).unwrap();
        let mut own: Bundle = toml::from_str(&good).unwrap();
        own.key = mixed.key.clone();
        let error = files.enroll(&toml::to_string(&own).unwrap(), false);
        assert!(error.unwrap_err().to_string().contains("certificate, key"));
        assert!(!files.certificate().exists(), "nothing was written");
        let error = files.read_link_secret().unwrap_err().to_string();
        assert!(error.contains("not enrolled"), "{error}");
    }
}
