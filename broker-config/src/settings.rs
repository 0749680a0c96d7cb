//! Settings of the embedded broker and of an outside MQTT 5 cluster.
//!
//! The limits are one struct, used by both, so that a seal meets the same rules whichever broker it talks to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, device};

/// What any broker of seals enforces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest MQTT packet, both ways.
    pub max_packet_bytes: u32,
    /// Messages a second of one device.
    pub device_rate: u32,
    /// Messages at once of one device.
    pub device_burst: u32,
    /// Longest keep-alive.
    pub max_keep_alive_s: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_packet_bytes: 4_352,
            device_rate: 50,
            device_burst: 200,
            max_keep_alive_s: 600,
        }
    }
}

/// Certificate files of a listener, as absolute paths on the broker's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// The fleet CA.
    pub ca: PathBuf,
    /// The server's chain.
    pub cert: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

/// The embedded broker: the listener seals connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// Address for seals.
    pub listen: String,
    /// Certificates.
    pub tls: ListenerTls,
    /// What it enforces.
    #[serde(default)]
    pub limits: Limits,
}

/// An outside MQTT 5 cluster that seals and gateway nodes both connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Port for seals.
    pub seal_port: u16,
    /// Port for gateway nodes: their client ids are their own, so they need another listener.
    pub gateway_port: u16,
    /// Certificates of both listeners.
    pub tls: ListenerTls,
    /// Common name of the gateway nodes' client certificates.
    pub gateway_user: String,
    /// Name of the shared subscription.
    pub share_group: String,
    /// What it enforces.
    #[serde(default)]
    pub limits: Limits,
}

impl Cluster {
    /// Checks what goes into configuration files of other programs: nothing there may need quoting.
    ///
    /// # Errors
    /// A name or path holds other characters than it may, or two listeners share a port.
    pub fn check(&self) -> Result<(), Error> {
        check_gateway_user(&self.gateway_user)?;
        if !is_plain(&self.share_group) {
            return Err(Error::Invalid(format!(
                "share group {:?} {PLAIN}",
                self.share_group
            )));
        }
        if self.seal_port == self.gateway_port {
            return Err(Error::Invalid(
                "seals and gateway nodes need two ports".to_owned(),
            ));
        }
        for path in [&self.tls.ca, &self.tls.cert, &self.tls.key] {
            let good = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
            let text = path.to_str().unwrap_or_default();
            if !path.is_absolute() || !text.chars().all(good) {
                return Err(Error::Invalid(format!(
                    "{} must be an absolute path of letters, digits, '/', '-', '_' and '.'",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

const PLAIN: &str = "must be 1 to 64 letters, digits, '-' or '_'";

fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A gateway's name on a cluster must not be a device's, nor hold anything that means something in a topic.
pub(crate) fn check_gateway_user(name: &str) -> Result<(), Error> {
    if !is_plain(name) {
        Err(Error::Invalid(format!("gateway name {name:?} {PLAIN}")))
    } else if device::is_id(name) {
        Err(Error::Invalid(format!(
            "gateway name {name:?} has the form of a device id"
        )))
    } else {
        Ok(())
    }
}
