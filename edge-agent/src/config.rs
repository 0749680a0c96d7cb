//! Settings: a TOML file, then `SEALGATE_EDGE__SECTION__KEY`. An unknown key is an error.
//!
//! Invariant: every key has a default that works on a box that was enrolled; nothing here reads a clock or the network.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use sealgate_codec::DeviceId;
use serde::{Deserialize, Serialize};

/// Prefix of settings in the environment.
const PREFIX: &str = "SEALGATE_EDGE";

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Places on this machine.
    pub node: NodeConfig,
    /// The gateway; empty: as the box was enrolled.
    pub gateway: GatewayConfig,
    /// Seals on Bluetooth LE.
    pub ble: BleConfig,
    /// Seals on serial lines, one entry a line.
    pub serial: Vec<SerialConfig>,
    /// Store and forward.
    pub queue: QueueConfig,
    /// Metrics for scrapers on this machine.
    pub metrics: MetricsConfig,
    /// Logs.
    pub log: LogConfig,
}

/// Places on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Keys, certificate and queue.
    pub data_dir: PathBuf,
    /// The socket for `status` and `scan`; empty: `agent.sock` in the data directory.
    pub socket: PathBuf,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/sealgate-edge".into(),
            socket: PathBuf::new(),
        }
    }
}

/// The gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// `host:port`.
    pub address: String,
    /// The name in its certificate; empty: the host.
    pub name: String,
}

/// Seals on Bluetooth LE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BleConfig {
    /// Whether to use it.
    pub enabled: bool,
    /// Its adapter, as `hci0`; empty: the first one.
    pub adapter: String,
    /// Links without a word for so many seconds are ended, 1 to 60.
    pub idle_s: u64,
}

impl Default for BleConfig {
    fn default() -> Self {
        Self {
            enabled: cfg!(feature = "ble"),
            adapter: String::new(),
            idle_s: 5,
        }
    }
}

/// One serial line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialConfig {
    /// Its device, best one that stays: `/dev/serial/by-id/...`.
    pub device: String,
    /// Bits a second, 1,200 to 4,000,000.
    #[serde(default = "baud")]
    pub baud: u32,
    /// The seal on it; empty: the only assigned one that can be on a line.
    #[serde(default)]
    pub seal: String,
}

const fn baud() -> u32 {
    115_200
}

/// Store and forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Megabytes it may use, 1 to 65,536.
    pub limit_mb: u64,
    /// A damaged file is set aside and a fresh one begun; else the agent does not start.
    pub set_aside_damaged: bool,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            limit_mb: 256,
            set_aside_damaged: true,
        }
    }
}

/// Metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// A loopback address and port, as `127.0.0.1:9464`; empty: none.
    pub listen: String,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// What is logged, as `info` or `sealgate_edge=debug,quinn=warn`.
    pub filter: String,
    /// How.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or is not TOML.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(String),
    /// An unknown key, or a value of the wrong type.
    #[error("{0}")]
    Invalid(String),
    /// Values out of their ranges, all of them.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
}

impl Config {
    /// Reads the file, if one is named, and the environment, and checks everything.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(file: Option<&Path>, env: HashMap<String, String>) -> Result<Self, ConfigError> {
        let unreadable = |error: config::ConfigError| ConfigError::Unreadable(error.to_string());
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            let source = config::File::from(file).format(config::FileFormat::Toml);
            builder = builder.add_source(source.required(true));
        }
        let start = format!("{PREFIX}__");
        let env = env.into_iter().filter(|(name, _)| name.starts_with(&start));
        let env = config::Environment::with_prefix(PREFIX)
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true)
            .source(Some(env.collect()));
        let merged = builder.add_source(env).build().map_err(unreadable)?;
        let settings: Self = serde_path_to_error::deserialize(merged).map_err(|error| {
            let (path, inner) = (error.path().to_string(), error.inner().to_string());
            ConfigError::Invalid(format!("{path}: {inner}"))
        })?;
        let problems = settings.problems();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigError::Problems(problems))
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                problems.push(what.to_owned());
            }
        };
        check(
            (1..=60).contains(&self.ble.idle_s),
            "ble.idle_s: 1 to 60 seconds",
        );
        check(
            !self.ble.enabled || cfg!(feature = "ble"),
            "ble.enabled: this program was built without BLE",
        );
        check(
            (1..=65_536).contains(&self.queue.limit_mb),
            "queue.limit_mb: 1 to 65,536 megabytes",
        );
        let listen = &self.metrics.listen;
        let address: Option<SocketAddr> = listen.parse().ok();
        check(
            listen.is_empty() || address.is_some_and(|a| a.ip().is_loopback()),
            "metrics.listen: a loopback address and port, as 127.0.0.1:9464",
        );
        let gateway = &self.gateway.address;
        check(
            gateway.is_empty() || has_port(gateway),
            "gateway.address: host:port",
        );
        let filter: Result<tracing_subscriber::EnvFilter, _> = self.log.filter.parse();
        check(filter.is_ok(), "log.filter: as info or sealgate_edge=debug");
        let mut devices = BTreeSet::new();
        for (at, line) in self.serial.iter().enumerate() {
            let mut check = |holds: bool, what: &str| {
                if !holds {
                    problems.push(format!("serial[{at}].{what}"));
                }
            };
            check(!line.device.is_empty(), "device: the path of a device");
            check(devices.insert(&line.device), "device: named twice");
            check(
                (1_200..=4_000_000).contains(&line.baud),
                "baud: 1,200 to 4,000,000",
            );
            check(
                line.seal.is_empty() || line.seal.parse::<DeviceId>().is_ok(),
                "seal: the id of a seal, 13 characters",
            );
        }
        problems
    }

    /// Seals named for lines.
    #[must_use]
    pub fn lines(&self) -> BTreeMap<String, DeviceId> {
        let named = |line: &SerialConfig| Some((line.device.clone(), line.seal.parse().ok()?));
        self.serial.iter().filter_map(named).collect()
    }

    /// The socket for `status` and `scan`.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        if self.node.socket.as_os_str().is_empty() {
            self.node.data_dir.join("agent.sock")
        } else {
            self.node.socket.clone()
        }
    }
}

/// Whether it ends in a colon and a port.
pub(crate) fn has_port(address: &str) -> bool {
    let port = address
        .rsplit_once(':')
        .map(|(_, port)| port.parse::<u16>());
    matches!(port, Some(Ok(1..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("edge.toml");
        std::fs::write(&file, text).unwrap();
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(Some(&file), env.collect())
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(load("", &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let text = "[queue]\nlimit_mb = 8\n[[serial]]\ndevice = \"/dev/ttyUSB0\"\n";
        let env = [
            ("SEALGATE_EDGE__QUEUE__LIMIT_MB", "16"),
            ("SEALGATE_EDGE__NODE__DATA_DIR", "/data"),
            ("SEALGATE__QUEUE__LIMIT_MB", "not ours"),
        ];
        let config = load(text, &env).unwrap();
        assert_eq!(config.queue.limit_mb, 16);
        assert_eq!(config.socket(), Path::new("/data/agent.sock"));
        assert_eq!(config.serial[0].baud, 115_200);
    }

    #[test]
    fn an_unknown_key_and_a_wrong_type_are_named() {
        for (text, word) in [
            ("[queue]\nlimit = 8\n", "limit"),
            ("[quue]\nlimit_mb = 8\n", "quue"),
            ("[[serial]]\ndevice = \"x\"\nbauds = 8\n", "bauds"),
            ("[queue]\nlimit_mb = \"much\"\n", "queue.limit_mb"),
            ("[log]\nformat = \"xml\"\n", "xml"),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(matches!(error, ConfigError::Invalid(_)), "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
        let error = load("", &[("SEALGATE_EDGE__BLE__ADAPTR", "hci0")]).unwrap_err();
        assert!(error.to_string().contains("adaptr"), "{error}");
        assert!(matches!(load("[x", &[]), Err(ConfigError::Unreadable(_))));
    }

    #[test]
    fn every_value_out_of_range_is_told_at_once() {
        let text = "[ble]\nidle_s = 0\n[queue]\nlimit_mb = 0\n[metrics]\nlisten = \"0.0.0.0:1\"\n\
                    [gateway]\naddress = \"gateway\"\n[log]\nfilter = \"=,=\"\n\
                    [[serial]]\ndevice = \"a\"\nbaud = 9\nseal = \"x\"\n[[serial]]\ndevice = \"a\"\n";
        let error = load(text, &[]).unwrap_err().to_string();
        for key in [
            "ble.idle_s",
            "queue.limit_mb",
            "metrics.listen",
            "gateway.address",
            "log.filter",
            "serial[0].baud",
            "serial[0].seal",
            "serial[1].device: named twice",
        ] {
            assert!(error.contains(key), "{key} in\n{error}");
        }
    }
}
