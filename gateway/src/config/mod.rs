//! Typed settings, one struct a topic.
//!
//! Every key has a default that works on one machine; unknown keys are errors that name the nearest valid one.
//! Sources, later ones win: defaults, the TOML file, `SEALGATE__SECTION__KEY`, command-line flags.
//! Times are whole numbers with their unit in the name. Nothing here reads a clock or touches the network.

mod check;
mod devices;
mod files;
mod front;
mod load;
mod platform;
mod print;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use check::Problem;
pub use devices::{CommandsConfig, DevicesConfig, IngestConfig, LeaseConfig};
pub use front::{FrontConfig, TlsConfig};
pub use load::{ConfigError, Sources};
pub use platform::{
    HttpConfig, LogConfig, LogFormat, NodeConfig, SignerConfig, SmsConfig, SmsProvider,
    StoreConfig, StoreTls, StoreTlsMode,
};

/// All settings of one gateway process.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This process.
    pub node: NodeConfig,
    /// The HTTP interface.
    pub http: HttpConfig,
    /// The MQTT front for seals and business subscribers.
    pub front: FrontConfig,
    /// The database.
    pub store: StoreConfig,
    /// The signer.
    pub signer: SignerConfig,
    /// Leases.
    pub lease: LeaseConfig,
    /// Device sessions.
    pub devices: DevicesConfig,
    /// Group commit of what devices send.
    pub ingest: IngestConfig,
    /// Commands to devices.
    pub commands: CommandsConfig,
    /// Short messages.
    pub sms: SmsConfig,
    /// Logs.
    pub log: LogConfig,
}

impl Config {
    /// Settings for a gateway that lives in `data_dir` and listens on loopback ports the system chooses: for tests
    /// and for children of the demo.
    #[must_use]
    pub fn loopback(data_dir: &Path) -> Self {
        let mut config = Self::default();
        config.node.data_dir = data_dir.to_owned();
        config.http.listen = "127.0.0.1:0".to_owned();
        config.front.listen = "127.0.0.1:0".to_owned();
        config.front.business_listen = "127.0.0.1:0".to_owned();
        config
    }

    /// A path under the data directory, unless it is absolute.
    #[must_use]
    pub fn under_data(&self, path: &Path) -> PathBuf {
        self.node.data_dir.join(path)
    }

    /// The database settings with the URL and the paths filled in.
    #[must_use]
    pub fn resolved_store(&self) -> StoreConfig {
        let tls = &self.store.tls;
        let file = |path: &Path| match path.as_os_str().is_empty() {
            true => PathBuf::new(),
            false => self.under_data(path),
        };
        StoreConfig {
            url: self.store_url(),
            tls: StoreTls {
                ca: file(&tls.ca),
                cert: file(&tls.cert),
                key: file(&tls.key),
                ..tls.clone()
            },
            ..self.store.clone()
        }
    }

    /// The database URL: the configured one, or a file in the data directory.
    #[must_use]
    pub fn store_url(&self) -> String {
        if self.store.url.is_empty() {
            let file = self.under_data(Path::new("sealgate.db"));
            let file = std::path::absolute(&file).unwrap_or(file);
            format!("sqlite://{}", file.display())
        } else {
            self.store.url.clone()
        }
    }

    /// The database file, if the database is one.
    #[must_use]
    pub fn database_file(&self) -> Option<PathBuf> {
        let url = self.store_url();
        let path = url.strip_prefix("sqlite://")?;
        Some(path.split('?').next().unwrap_or(path).into())
    }

    /// The file that tells where the running gateway listens.
    #[must_use]
    pub fn addresses_file(&self) -> PathBuf {
        self.under_data(Path::new("run/addresses.json"))
    }
}

/// Compares a shipped text with what the code makes of it; with `SEALGATE_WRITE_SNAPSHOTS` set it is written anew.
#[cfg(test)]
pub(crate) fn snapshot(path: &str, text: &str) {
    if std::env::var_os("SEALGATE_WRITE_SNAPSHOTS").is_some() {
        std::fs::write(path, text).expect("a writable source tree");
    }
    let shipped = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        text, shipped,
        "run again with SEALGATE_WRITE_SNAPSHOTS=1 and look at {path}"
    );
}
