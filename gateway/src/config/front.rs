//! The MQTT front.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// The front that terminates seals, and its second listener for business subscribers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrontConfig {
    /// Address for seals.
    pub listen: String,
    /// Address for business subscribers.
    pub business_listen: String,
    /// Certificates.
    pub tls: TlsConfig,
    /// Most connections at once, handshakes included; more are closed before TLS.
    pub max_sessions: usize,
    /// Most business connections at once.
    pub max_business_sessions: usize,
    /// Most business connections at once with one token.
    pub max_business_sessions_per_token: usize,
    /// Handshakes worked on at once; more wait.
    pub handshakes: usize,
    /// Longest TLS handshake.
    pub handshake_timeout_ms: u64,
    /// Longest silence of a TLS handshake while others wait for its place.
    pub impatience_ms: u64,
    /// Longest wait for CONNECT after TLS.
    pub connect_timeout_ms: u64,
    /// Longest wait for a session to open after CONNECT.
    pub open_timeout_ms: u64,
    /// Longest write without progress.
    pub write_timeout_ms: u64,
    /// Longest time a message down may stay unacknowledged.
    pub ack_timeout_ms: u64,
    /// Keep-alive used when a client asks for none or for more.
    pub max_keep_alive_s: u16,
    /// Messages a second of one device.
    pub device_rate: u32,
    /// Messages at once of one device.
    pub device_burst: u32,
    /// Messages of one device that may be unacknowledged by us; version 5 clients are told.
    pub receive_maximum: u16,
    /// Messages to one device that may be unacknowledged by it.
    pub in_flight: u16,
    /// TLS sessions remembered for resumption.
    pub resumption_cache: usize,
    /// How long a TLS session may be resumed.
    pub ticket_lifetime_s: u32,
}

impl Default for FrontConfig {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8883".to_owned(),
            business_listen: "127.0.0.1:8884".to_owned(),
            tls: TlsConfig::default(),
            max_sessions: 100_000,
            max_business_sessions: 256,
            max_business_sessions_per_token: 32,
            handshakes: 1_024,
            handshake_timeout_ms: 20_000,
            impatience_ms: 4_000,
            connect_timeout_ms: 20_000,
            open_timeout_ms: 10_000,
            write_timeout_ms: 30_000,
            ack_timeout_ms: 60_000,
            max_keep_alive_s: 1_200,
            device_rate: 50,
            device_burst: 200,
            receive_maximum: 32,
            in_flight: 16,
            resumption_cache: 100_000,
            ticket_lifetime_s: 86_400,
        }
    }
}

impl FrontConfig {
    /// Longest TLS handshake.
    #[must_use]
    pub const fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// Longest wait for CONNECT after TLS.
    #[must_use]
    pub const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// Longest write without progress.
    #[must_use]
    pub const fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
}

/// Certificate files; relative paths are under the data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The fleet CA that device certificates chain to.
    pub ca: PathBuf,
    /// The server's certificate chain.
    pub cert: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            ca: "pki/ca.pem".into(),
            cert: "pki/server.pem".into(),
            key: "pki/server.key".into(),
        }
    }
}
