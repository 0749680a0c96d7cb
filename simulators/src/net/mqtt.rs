//! The few MQTT packets a seal knows, in both versions of the protocol, over the packet codec of rumqttc.
//!
//! A seal never subscribes (the platform subscribes it to its own topics), never uses QoS 2, never retains. What
//! the server sends beyond that is an error of the link.

use bytes::{Bytes, BytesMut};
use rumqttc::{
    mqttbytes::{Error as V4Error, QoS, v4},
    v5::mqttbytes::{self as m5, Error as V5Error, v5},
};

/// Largest packet in either direction.
pub const MAX_PACKET: usize = 4_352;

/// MQTT version of a seal's modem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// MQTT 3.1.1.
    #[default]
    V4,
    /// MQTT 5.
    V5,
}

/// What comes from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// CONNACK that accepts; the server may set the keep-alive.
    Accepted {
        /// Seconds, in version 5 only.
        keep_alive: Option<u16>,
    },
    /// CONNACK that refuses.
    Refused,
    /// A message down.
    Publish {
        /// Topic.
        topic: String,
        /// Packet id to acknowledge; `None` for QoS 0.
        pkid: Option<u16>,
        /// Message.
        payload: Bytes,
    },
    /// One of ours was accepted.
    PubAck(u16),
    /// Answer to a ping.
    PingResp,
    /// The server ends the session (version 5 only).
    Disconnect,
}

/// Why bytes from the server are not MQTT a seal understands.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// Bad packet.
    #[error("malformed packet: {0}")]
    Malformed(String),
    /// A packet no server may send to a seal.
    #[error("unexpected packet {0}")]
    Unexpected(String),
}

/// Writes and reads packets of one version.
#[derive(Debug, Clone, Copy)]
pub struct Mqtt {
    version: Version,
}

impl Mqtt {
    /// A codec of `version`.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self { version }
    }

    /// CONNECT with a clean session and the farewell message as will.
    pub fn connect(
        self,
        out: &mut BytesMut,
        client: &str,
        keep_alive: u16,
        will: Option<(&str, Bytes)>,
    ) {
        match self.version {
            Version::V4 => {
                let mut connect = v4::Connect::new(client);
                connect.keep_alive = keep_alive;
                connect.clean_session = true;
                connect.last_will = will.map(|(topic, message)| v4::LastWill {
                    topic: topic.to_owned(),
                    message,
                    qos: QoS::AtLeastOnce,
                    retain: false,
                });
                write_v4(&v4::Packet::Connect(connect), out);
            }
            Version::V5 => {
                let connect = v5::Connect {
                    keep_alive,
                    client_id: client.to_owned(),
                    clean_start: true,
                    properties: None,
                };
                let will = will.map(|(topic, message)| v5::LastWill {
                    topic: Bytes::copy_from_slice(topic.as_bytes()),
                    message,
                    qos: m5::QoS::AtLeastOnce,
                    retain: false,
                    properties: None,
                });
                write_v5(&v5::Packet::Connect(connect, will, None), out);
            }
        }
    }

    /// PUBLISH; QoS 1 with a packet id, QoS 0 without.
    pub fn publish(self, out: &mut BytesMut, topic: &str, pkid: Option<u16>, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        match self.version {
            Version::V4 => {
                let qos = match pkid {
                    Some(_) => QoS::AtLeastOnce,
                    None => QoS::AtMostOnce,
                };
                let mut publish = v4::Publish::from_bytes(topic, qos, payload);
                publish.pkid = pkid.unwrap_or(0);
                write_v4(&v4::Packet::Publish(publish), out);
            }
            Version::V5 => {
                let qos = match pkid {
                    Some(_) => m5::QoS::AtLeastOnce,
                    None => m5::QoS::AtMostOnce,
                };
                let mut publish = v5::Publish::new(topic, qos, payload, None);
                publish.pkid = pkid.unwrap_or(0);
                write_v5(&v5::Packet::Publish(publish), out);
            }
        }
    }

    /// PUBACK.
    pub fn puback(self, out: &mut BytesMut, pkid: u16) {
        match self.version {
            Version::V4 => write_v4(&v4::Packet::PubAck(v4::PubAck::new(pkid)), out),
            Version::V5 => write_v5(&v5::Packet::PubAck(v5::PubAck::new(pkid, None)), out),
        }
    }

    /// PINGREQ.
    pub fn ping(self, out: &mut BytesMut) {
        match self.version {
            Version::V4 => write_v4(&v4::Packet::PingReq, out),
            Version::V5 => write_v5(&v5::Packet::PingReq(v5::PingReq), out),
        }
    }

    /// DISCONNECT, on purpose: the will stays unsent.
    pub fn disconnect(self, out: &mut BytesMut) {
        match self.version {
            Version::V4 => write_v4(&v4::Packet::Disconnect, out),
            Version::V5 => write_v5(
                &v5::Packet::Disconnect(v5::Disconnect::new(
                    v5::DisconnectReasonCode::NormalDisconnection,
                )),
                out,
            ),
        }
    }

    /// Takes one packet from the front of `input`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// The bytes are no packet a server may send to a seal.
    pub fn read(self, input: &mut BytesMut) -> Result<Option<Inbound>, MqttError> {
        match self.version {
            Version::V4 => match v4::Packet::read(input, MAX_PACKET) {
                Ok(packet) => from_v4(packet).map(Some),
                Err(V4Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(MqttError::Malformed(error.to_string())),
            },
            Version::V5 => match read_v5(input) {
                Ok(packet) => from_v5(packet).map(Some),
                Err(V5Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(MqttError::Malformed(error.to_string())),
            },
        }
    }
}

/// A bare DISCONNECT of two bytes is legal in version 5 but not read by the codec.
fn read_v5(input: &mut BytesMut) -> Result<v5::Packet, V5Error> {
    if input.starts_with(&[0xe0, 0x00]) {
        let _ = input.split_to(2);
        let reason = v5::DisconnectReasonCode::NormalDisconnection;
        return Ok(v5::Packet::Disconnect(v5::Disconnect::new(reason)));
    }
    v5::Packet::read(input, Some(MAX_PACKET as u32))
}

fn write_v4(packet: &v4::Packet, out: &mut BytesMut) {
    packet
        .write(out, usize::MAX)
        .expect("a packet we built is well formed");
}

fn write_v5(packet: &v5::Packet, out: &mut BytesMut) {
    packet
        .write(out, None)
        .expect("a packet we built is well formed");
}

fn from_v4(packet: v4::Packet) -> Result<Inbound, MqttError> {
    Ok(match packet {
        v4::Packet::ConnAck(ack) => match ack.code {
            v4::ConnectReturnCode::Success => Inbound::Accepted { keep_alive: None },
            _ => Inbound::Refused,
        },
        v4::Packet::Publish(publish) => Inbound::Publish {
            topic: publish.topic,
            pkid: (publish.qos != QoS::AtMostOnce).then_some(publish.pkid),
            payload: publish.payload,
        },
        v4::Packet::PubAck(ack) => Inbound::PubAck(ack.pkid),
        v4::Packet::PingResp => Inbound::PingResp,
        other => return Err(MqttError::Unexpected(format!("{other:?}"))),
    })
}

fn from_v5(packet: v5::Packet) -> Result<Inbound, MqttError> {
    Ok(match packet {
        v5::Packet::ConnAck(ack) => match ack.code {
            v5::ConnectReturnCode::Success => Inbound::Accepted {
                keep_alive: ack.properties.and_then(|p| p.server_keep_alive),
            },
            _ => Inbound::Refused,
        },
        v5::Packet::Publish(publish) => Inbound::Publish {
            topic: String::from_utf8(publish.topic.to_vec())
                .map_err(|_| MqttError::Malformed("topic is not UTF-8".to_owned()))?,
            pkid: (publish.qos != m5::QoS::AtMostOnce).then_some(publish.pkid),
            payload: publish.payload,
        },
        v5::Packet::PubAck(ack) => Inbound::PubAck(ack.pkid),
        v5::Packet::PingResp(_) => Inbound::PingResp,
        v5::Packet::Disconnect(_) => Inbound::Disconnect,
        other => return Err(MqttError::Unexpected(format!("{other:?}"))),
    })
}
