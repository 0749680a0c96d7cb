//! Keys, a fleet CA and device certificates, made once a test process by the command line under test itself.
//!
//! Every gateway of the process uses the same ones; its database decides which devices it knows.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use sealgate_simulators::fleet::DeviceFolder;
use serde_json::Value;
use tempfile::TempDir;

/// Devices every test can use; each has its own database, so they share them.
const DEVICES: usize = 24;

/// The material and where it lies.
#[derive(Debug)]
pub struct Material {
    dir: TempDir,
    /// The devices as the simulators read them.
    pub folder: DeviceFolder,
    /// The manifest as an import takes it.
    pub manifest: Value,
}

/// The program under test: the gateway's command line in a binary of this package.
///
/// # Panics
/// It was not built.
#[must_use]
pub fn program() -> PathBuf {
    let exe = std::env::current_exe().expect("an own path");
    let program = exe
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("sealgate-under-test"))
        .find(|path| path.is_file());
    program.expect("sealgate-under-test is built with the tests")
}

/// Runs the command line to its end; what it printed.
///
/// # Panics
/// It fails.
pub fn cli(arguments: &[&str]) -> String {
    match try_cli(arguments) {
        Ok(printed) => printed,
        Err(told) => panic!("{arguments:?}: {told}"),
    }
}

/// Runs the command line to its end; what it printed, or what it said when it failed.
///
/// # Errors
/// It fails.
///
/// # Panics
/// It cannot be started.
pub fn try_cli(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("started");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(printed),
        false => Err(format!("{told}\n{printed}")),
    }
}

impl Material {
    /// The process's material.
    ///
    /// # Panics
    /// The command line does not make it.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Material> = OnceLock::new();
        SHARED.get_or_init(|| Self::make(DEVICES))
    }

    /// Material of its own, for a test that changes it.
    ///
    /// # Panics
    /// The command line does not make it.
    #[must_use]
    pub fn make(count: usize) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name).display().to_string();
        cli(&["ca", "init", "--dir", &path("pki")]);
        cli(&["key", "init", "--dir", &path("keys")]);
        let (count, out) = (count.to_string(), path("devices"));
        let (ca, keys) = (path("pki"), path("keys"));
        cli(&[
            "device", "issue", "--count", &count, "--out", &out, "--ca", &ca, "--keys", &keys,
        ]);
        let manifest = fs::read(dir.path().join("devices/manifest.json")).expect("a manifest");
        Self {
            folder: DeviceFolder::load(&dir.path().join("devices"), usize::MAX).expect("devices"),
            manifest: serde_json::from_slice(&manifest).expect("JSON"),
            dir,
        }
    }

    /// A file or folder of it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Folder of one device.
    #[must_use]
    pub fn device(&self, place: usize) -> PathBuf {
        self.path("devices").join(&self.folder.devices[place].name)
    }

    /// Id of one device as text.
    #[must_use]
    pub fn id(&self, place: usize) -> &str {
        &self.folder.devices[place].name
    }

    /// TLS settings with that device's certificate.
    ///
    /// # Panics
    /// The files cannot be used.
    #[must_use]
    pub fn tls(&self, place: usize) -> Arc<ClientConfig> {
        tls(&self.path("devices/ca.pem"), Some(&self.device(place)))
    }

    /// TLS settings without any certificate.
    ///
    /// # Panics
    /// The files cannot be used.
    #[must_use]
    pub fn tls_without_certificate(&self) -> Arc<ClientConfig> {
        tls(&self.path("devices/ca.pem"), None)
    }
}

/// TLS settings from files.
///
/// # Panics
/// The files cannot be used.
#[must_use]
pub fn tls(ca: &Path, device: Option<&Path>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for anchor in CertificateDer::pem_file_iter(ca).expect("a CA") {
        roots.add(anchor.expect("PEM")).expect("an anchor");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match device {
        Some(folder) => {
            let chain = CertificateDer::pem_file_iter(folder.join("cert.pem"))
                .expect("a certificate")
                .collect::<Result<Vec<_>, _>>()
                .expect("PEM");
            let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
        None => builder.with_no_client_auth(),
    };
    Arc::new(config)
}
