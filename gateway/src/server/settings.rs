//! Settings in the units of each room.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use super::ServerError;
use crate::{
    config::Config,
    ingress::{business::BusinessConfig, front::FrontConfig},
};

/// An address as the settings write it.
pub(super) fn address(text: &str) -> Result<SocketAddr, ServerError> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .ok_or_else(|| ServerError::Setting(format!("{text:?} is not an address")))
}

pub(super) fn front(config: &Config) -> Result<FrontConfig, ServerError> {
    let front = &config.front;
    Ok(FrontConfig {
        listen: address(&front.listen)?,
        max_sessions: front.max_sessions,
        handshakes: front.handshakes,
        handshake_timeout: front.handshake_timeout(),
        connect_timeout: front.connect_timeout(),
        write_timeout: front.write_timeout(),
        ack_timeout: Duration::from_millis(front.ack_timeout_ms),
        max_keep_alive: Duration::from_secs(front.max_keep_alive_s.into()),
        device_rate: front.device_rate,
        device_burst: front.device_burst,
        tickets: front.resumption_cache,
        ..FrontConfig::default()
    })
}

pub(super) fn business(config: &Config) -> Result<BusinessConfig, ServerError> {
    let front = &config.front;
    Ok(BusinessConfig {
        listen: address(&front.business_listen)?,
        max_sessions: front.max_business_sessions,
        handshake_timeout: front.handshake_timeout(),
        connect_timeout: front.connect_timeout(),
        write_timeout: front.write_timeout(),
        max_keep_alive: Duration::from_secs(front.max_keep_alive_s.into()),
        ..BusinessConfig::default()
    })
}
