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
        impatience: Duration::from_millis(front.impatience_ms),
        connect_timeout: front.connect_timeout(),
        open_timeout: Duration::from_millis(front.open_timeout_ms),
        write_timeout: front.write_timeout(),
        ack_timeout: Duration::from_millis(front.ack_timeout_ms),
        max_keep_alive: Duration::from_secs(front.max_keep_alive_s.into()),
        device_rate: front.device_rate,
        device_burst: front.device_burst,
        receive_maximum: front.receive_maximum,
        in_flight: front.in_flight,
        tickets: front.resumption_cache,
        ticket_lifetime: Duration::from_secs(front.ticket_lifetime_s.into()),
    })
}

pub(super) fn business(config: &Config) -> Result<BusinessConfig, ServerError> {
    let front = &config.front;
    Ok(BusinessConfig {
        listen: address(&front.business_listen)?,
        max_sessions: front.max_business_sessions,
        max_sessions_per_token: front.max_business_sessions_per_token,
        handshake_timeout: front.handshake_timeout(),
        connect_timeout: front.connect_timeout(),
        write_timeout: front.write_timeout(),
        max_keep_alive: Duration::from_secs(front.max_keep_alive_s.into()),
        ..BusinessConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_gets_every_limit_that_is_set() {
        let mut config = Config::default();
        config.front.impatience_ms = 1_500;
        config.front.open_timeout_ms = 2_500;
        config.front.receive_maximum = 3;
        config.front.in_flight = 4;
        config.front.ticket_lifetime_s = 600;
        let front = front(&config).unwrap();
        assert_eq!(front.impatience, Duration::from_millis(1_500));
        assert_eq!(front.open_timeout, Duration::from_millis(2_500));
        assert_eq!((front.receive_maximum, front.in_flight), (3, 4));
        assert_eq!(front.ticket_lifetime, Duration::from_secs(600));
    }
}
