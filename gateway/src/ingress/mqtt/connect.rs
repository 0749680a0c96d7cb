//! CONNECT and its answer.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::{mqttbytes::v4, v5::mqttbytes::v5};

use super::{Fault, MAX_PACKET, Version, decode};

/// What a CONNECT says, as far as we listen. Wills are accepted and ignored: presence is the registry's.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    /// Seconds; 0 is none.
    pub(crate) keep_alive: u16,
    pub(crate) password: Option<String>,
    /// Messages of QoS 1 the client takes unacknowledged.
    pub(crate) receive_maximum: u16,
    /// Largest packet the client takes.
    pub(crate) max_packet: usize,
    /// Topic aliases the client understands.
    pub(crate) alias_maximum: u16,
    /// An extended authentication method was asked for (version 5).
    pub(crate) auth_method: bool,
}

impl Connect {
    /// The keep-alive in force: a longer one than `limit`, and none, become `limit`. With it the seconds to tell the
    /// client, where they are not its own.
    pub(crate) fn keep_alive(&self, limit: Duration) -> (Duration, Option<u16>) {
        let wanted = Duration::from_secs(u64::from(self.keep_alive));
        if wanted.is_zero() || wanted > limit {
            let seconds = u16::try_from(limit.as_secs()).unwrap_or(u16::MAX);
            return (limit, Some(seconds));
        }
        (wanted, None)
    }
}

/// Why a CONNECT is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Version,
    ClientId,
    Credentials,
    AuthMethod,
    NotAuthorized,
    Banned,
    Busy,
    Unavailable,
    Quota,
}

/// What a first packet turned out to be.
#[derive(Debug)]
pub(crate) enum First {
    Connect(Connect),
    /// A CONNECT of a protocol level we do not speak.
    Level,
}

/// Takes a CONNECT off `inbox` once it is complete.
pub(crate) fn next(inbox: &mut BytesMut) -> Result<Option<First>, Fault> {
    if inbox.first().is_some_and(|&first| first != 0x10) {
        return Err(Fault::Protocol);
    }
    let Some(length) = decode::frame(inbox)? else {
        return Ok(None);
    };
    let mut packet = inbox.split_to(length);
    let header = 1 + packet[1..].iter().position(|b| b & 0x80 == 0).unwrap_or(0) + 1;
    let body = &packet[header..];
    match body {
        // The password flag needs the name flag in 3.1.1 only; the lowest flag is reserved.
        [0, 4, b'M', b'Q', b'T', b'T', level, flags, ..] => match (*level, *flags) {
            (4, flags) if flags & 0x01 == 0 && flags & 0xC0 != 0x40 => v4_connect(&mut packet),
            (5, flags) if flags & 0x01 == 0 => v5_connect(&mut packet),
            (4 | 5, _) => Err(Fault::Malformed),
            _ => Ok(First::Level),
        },
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..] => Ok(First::Level),
        _ => Err(Fault::Malformed),
    }
    .map(Some)
}

fn v4_connect(packet: &mut BytesMut) -> Result<First, Fault> {
    let read = v4::Packet::read(packet, MAX_PACKET).map_err(|_| Fault::Malformed)?;
    let v4::Packet::Connect(connect) = read else {
        return Err(Fault::Malformed);
    };
    Ok(First::Connect(Connect {
        version: Version::V4,
        client_id: connect.client_id,
        keep_alive: connect.keep_alive,
        password: connect.login.map(|login| login.password),
        receive_maximum: u16::MAX,
        max_packet: MAX_PACKET,
        alias_maximum: 0,
        auth_method: false,
    }))
}

fn v5_connect(packet: &mut BytesMut) -> Result<First, Fault> {
    let read = v5::Packet::read(packet, None).map_err(|_| Fault::Malformed)?;
    let v5::Packet::Connect(connect, _will, login) = read else {
        return Err(Fault::Malformed);
    };
    let properties = connect.properties.unwrap_or_default();
    let receive_maximum = properties.receive_maximum.unwrap_or(u16::MAX);
    let max_packet = properties.max_packet_size.unwrap_or(u32::MAX);
    if receive_maximum == 0 || max_packet == 0 {
        return Err(Fault::Protocol);
    }
    Ok(First::Connect(Connect {
        version: Version::V5,
        client_id: connect.client_id,
        keep_alive: connect.keep_alive,
        password: login.map(|login| login.password),
        receive_maximum,
        max_packet: usize::try_from(max_packet)
            .unwrap_or(MAX_PACKET)
            .min(MAX_PACKET),
        alias_maximum: properties.topic_alias_max.unwrap_or(0),
        auth_method: properties.authentication_method.is_some(),
    }))
}

/// What a version 5 client is told at the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Welcome {
    /// Messages of QoS 1 we take unacknowledged.
    pub(crate) receive_maximum: Option<u16>,
    /// Topic aliases we understand.
    pub(crate) alias_maximum: u16,
    /// Highest QoS we take.
    pub(crate) max_qos: u8,
    /// Wildcards in filters work.
    pub(crate) wildcards: bool,
    /// Keep-alive in seconds, where ours replaces the client's.
    pub(crate) keep_alive: Option<u16>,
    /// The client id, where the client left it to us.
    pub(crate) client_id: Option<String>,
}

/// The good answer.
pub(crate) fn accept(out: &mut BytesMut, version: Version, welcome: Welcome) {
    match version {
        Version::V4 => write_v4(out, v4::ConnectReturnCode::Success),
        Version::V5 => write_v5(
            out,
            v5::ConnectReturnCode::Success,
            Some(v5::ConnAckProperties {
                session_expiry_interval: Some(0),
                receive_max: welcome.receive_maximum,
                max_qos: (welcome.max_qos < 2).then_some(welcome.max_qos),
                retain_available: Some(0),
                max_packet_size: u32::try_from(MAX_PACKET).ok(),
                assigned_client_identifier: welcome.client_id,
                topic_alias_max: Some(welcome.alias_maximum),
                reason_string: None,
                user_properties: Vec::new(),
                wildcard_subscription_available: Some(u8::from(welcome.wildcards)),
                subscription_identifiers_available: Some(0),
                shared_subscription_available: Some(0),
                server_keep_alive: welcome.keep_alive,
                response_information: None,
                server_reference: None,
                authentication_method: None,
                authentication_data: None,
            }),
        ),
    }
}

/// The bad answer.
pub(crate) fn refuse(out: &mut BytesMut, version: Version, why: Refused) {
    use v4::ConnectReturnCode as R4;
    use v5::ConnectReturnCode as R5;
    let (four, five) = match why {
        Refused::Version => (R4::RefusedProtocolVersion, R5::UnsupportedProtocolVersion),
        Refused::ClientId => (R4::BadClientId, R5::ClientIdentifierNotValid),
        Refused::Credentials => (R4::BadUserNamePassword, R5::BadUserNamePassword),
        Refused::AuthMethod => (R4::NotAuthorized, R5::BadAuthenticationMethod),
        Refused::NotAuthorized => (R4::NotAuthorized, R5::NotAuthorized),
        Refused::Banned => (R4::NotAuthorized, R5::Banned),
        Refused::Busy => (R4::ServiceUnavailable, R5::ServerBusy),
        Refused::Unavailable => (R4::ServiceUnavailable, R5::ServerUnavailable),
        Refused::Quota => (R4::ServiceUnavailable, R5::QuotaExceeded),
    };
    match version {
        Version::V4 => write_v4(out, four),
        Version::V5 => write_v5(out, five, None),
    }
}

fn write_v4(out: &mut BytesMut, code: v4::ConnectReturnCode) {
    let written = v4::ConnAck::new(code, false).write(out);
    debug_assert!(written.is_ok(), "a short packet");
}

fn write_v5(
    out: &mut BytesMut,
    code: v5::ConnectReturnCode,
    properties: Option<v5::ConnAckProperties>,
) {
    let packet = v5::ConnAck {
        session_present: false,
        code,
        properties,
    };
    let written = packet.write(out);
    debug_assert!(written.is_ok(), "a short packet");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keep_alive_that_is_too_long_or_missing_becomes_ours_and_the_client_is_told() {
        let limit = Duration::from_secs(1_200);
        let settled = |seconds| {
            let connect = Connect {
                version: Version::V5,
                client_id: String::new(),
                keep_alive: seconds,
                password: None,
                receive_maximum: 1,
                max_packet: MAX_PACKET,
                alias_maximum: 0,
                auth_method: false,
            };
            connect.keep_alive(limit)
        };
        assert_eq!(settled(1_199), (Duration::from_secs(1_199), None));
        assert_eq!(settled(1_200), (limit, None));
        assert_eq!(settled(1_201), (limit, Some(1_200)));
        assert_eq!(settled(0), (limit, Some(1_200)));
    }

    #[test]
    fn a_token_with_too_many_sessions_is_told_so_in_either_version() {
        let mut out = BytesMut::new();
        refuse(&mut out, Version::V4, Refused::Quota);
        assert_eq!(out[3], 3);
        out.clear();
        refuse(&mut out, Version::V5, Refused::Quota);
        assert_eq!(out[3], 0x97);
    }
}
