//! The process itself and what it leans on.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// This process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Name of this node among the nodes of one database.
    pub id: String,
    /// Folder of everything this node keeps.
    pub data_dir: PathBuf,
    /// File with the secret that signs cursors and hides codes; made on first start, the same on every node.
    pub secret_file: PathBuf,
    /// Longest orderly shutdown; after it the process ends as it is.
    pub drain_timeout_ms: u64,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            id: "node-1".to_owned(),
            data_dir: "sealgate-data".into(),
            secret_file: "secret.key".into(),
            drain_timeout_ms: 15_000,
        }
    }
}

impl NodeConfig {
    /// Longest orderly shutdown.
    #[must_use]
    pub const fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

/// The HTTP interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address. TLS is a reverse proxy's work, so the default is loopback.
    pub listen: String,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Longest wait for a request's body.
    pub body_timeout_ms: u64,
    /// Requests a second of one token.
    pub token_rate: u32,
    /// Requests at once of one token.
    pub token_burst: u32,
    /// Open event streams and long polls; fewer than connections, so that other requests always find a place.
    pub max_event_streams: usize,
    /// Open event streams and long polls of one token.
    pub max_event_streams_per_token: usize,
    /// Open connections; for one more an idle one is closed, or it waits.
    pub max_connections: usize,
    /// Longest silence of a connection between two requests.
    pub keep_alive_ms: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            max_body_bytes: 4 * 1024 * 1024,
            body_timeout_ms: 15_000,
            token_rate: 200,
            token_burst: 1_000,
            max_event_streams: 512,
            max_event_streams_per_token: 64,
            max_connections: 1_024,
            keep_alive_ms: 75_000,
        }
    }
}

/// The database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `sqlite:///abs/path/file.db` or `postgres://…`; empty means a file in the data directory.
    pub url: String,
    /// Connections for readers (and, on PostgreSQL, writers).
    pub connections: u32,
    /// Longest wait for a connection or a lock.
    pub acquire_timeout_ms: u64,
    /// Longest wait for an answer of PostgreSQL; beyond it the connection counts as lost.
    pub timeout_ms: u64,
    /// The SQLite file never grows beyond this many megabytes; 0 = as far as the disk goes.
    pub max_size_mb: u64,
    /// TLS to PostgreSQL.
    pub tls: StoreTls,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            connections: 8,
            acquire_timeout_ms: 10_000,
            timeout_ms: 30_000,
            max_size_mb: 0,
            tls: StoreTls::default(),
        }
    }
}

/// TLS to PostgreSQL. Files are read at every new connection; relative paths are under the data directory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreTls {
    /// What is asked of the server.
    pub mode: StoreTlsMode,
    /// A CA that the server's certificate may chain to, besides those of this machine; empty = none.
    pub ca: PathBuf,
    /// Our certificate chain, where the server asks for one; empty = none.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What is asked of the database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreTlsMode {
    /// What `sslmode` in the URL says; without it `verify-full`, and clear text to this machine only.
    #[default]
    Auto,
    /// Clear text.
    Disable,
    /// TLS with whoever answers.
    Require,
    /// TLS, and a certificate of a known CA.
    VerifyCa,
    /// TLS, a certificate of a known CA, and the name that was dialled in it.
    VerifyFull,
}

impl StoreTlsMode {
    /// As the settings write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// The signer: a separate process on a socket, or (demo and tests) this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignerConfig {
    /// Sign in this process. Only for development: the gateway then holds the keys.
    pub in_process: bool,
    /// Socket of the signer process; relative paths are under the data directory.
    pub socket: PathBuf,
    /// Folder of the keys, for the signer process or `in_process`.
    pub keys_dir: PathBuf,
    /// Longest wait for an answer.
    pub timeout_ms: u64,
    /// Requests under way at once.
    pub in_flight: usize,
}

impl Default for SignerConfig {
    fn default() -> Self {
        Self {
            in_process: false,
            socket: "run/signer/signer.sock".into(),
            keys_dir: "keys".into(),
            timeout_ms: 5_000,
            in_flight: 64,
        }
    }
}

/// Short messages.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsConfig {
    /// Who sends them.
    pub provider: SmsProvider,
}

/// Who sends short messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsProvider {
    /// Written to the log, the number redacted.
    #[default]
    Log,
    /// Kept in memory, for tests.
    Memory,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,sealgate::ingress=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Auto,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}
