//! Bytes to packets, strictly. Framing and flags are ours; the bodies are decoded by rumqttc's codec.

use bytes::{Bytes, BytesMut};
use rumqttc::{mqttbytes as codec4, v5::mqttbytes as codec5};

use super::{Fault, MAX_PACKET, Version};

/// A packet a client may send after CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Publish(Publish),
    PubAck(u16),
    Subscribe {
        id: u16,
        /// Filter and requested QoS.
        filters: Vec<(String, u8)>,
    },
    Unsubscribe {
        id: u16,
        filters: Vec<String>,
    },
    PingReq,
    Disconnect,
}

/// A message from a client, topic unchecked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    /// 0 or 1.
    pub(crate) qos: u8,
    /// Packet id; 0 with QoS 0.
    pub(crate) id: u16,
    pub(crate) topic: Bytes,
    pub(crate) alias: Option<u16>,
    pub(crate) payload: Bytes,
}

/// The length of the first packet in `bytes` once all of it is there.
pub(crate) fn frame(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    check_first_byte(first)?;
    let mut remaining = 0usize;
    for (index, &byte) in bytes[1..].iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let total = 2 + index + remaining;
            if total > MAX_PACKET {
                return Err(Fault::TooLarge);
            }
            return Ok((bytes.len() >= total).then_some(total));
        }
    }
    if bytes.len() > 4 {
        return Err(Fault::Malformed);
    }
    Ok(None)
}

/// Types and their reserved flags; a QoS of 3 does not exist.
fn check_first_byte(first: u8) -> Result<(), Fault> {
    let flags = first & 0x0F;
    let ok = match first >> 4 {
        0 => false,
        3 => flags & 0x06 != 0x06,
        6 | 8 | 10 => flags == 0x02,
        _ => flags == 0,
    };
    if ok { Ok(()) } else { Err(Fault::Malformed) }
}

/// Takes the first packet off `inbox`, if it is complete.
pub(crate) fn next(version: Version, inbox: &mut BytesMut) -> Result<Option<Packet>, Fault> {
    let Some(length) = frame(inbox)? else {
        return Ok(None);
    };
    let packet = inbox.split_to(length);
    match packet[0] >> 4 {
        // Its shortest forms are legal but unknown to the codec.
        14 if version == Version::V5 || length == 2 => return Ok(Some(Packet::Disconnect)),
        12 if length == 2 => return Ok(Some(Packet::PingReq)),
        12 | 14 => return Err(Fault::Malformed),
        3 if packet[0] & 0x01 != 0 => return Err(Fault::Retained),
        3 if packet[0] & 0x06 == 0x04 => return Err(Fault::Qos),
        // PUBREC, PUBREL and PUBCOMP belong to QoS 2; the rest only a server sends, or comes once.
        1 | 2 | 5..=7 | 9 | 11 | 13 | 15 => return Err(Fault::Protocol),
        _ => {}
    }
    match version {
        Version::V4 => decode_v4(packet),
        Version::V5 => decode_v5(packet),
    }
    .map(Some)
}

fn decode_v4(mut packet: BytesMut) -> Result<Packet, Fault> {
    use codec4::v4::Packet as V4;
    match V4::read(&mut packet, MAX_PACKET).map_err(|_| Fault::Malformed)? {
        V4::Publish(publish) => Ok(Packet::Publish(Publish {
            qos: publish.qos as u8,
            id: publish.pkid,
            topic: Bytes::from(publish.topic),
            alias: None,
            payload: publish.payload,
        })),
        V4::PubAck(ack) => Ok(Packet::PubAck(ack.pkid)),
        V4::Subscribe(subscribe) => {
            let filters = subscribe.filters.into_iter();
            let filters = filters.map(|f| (f.path, f.qos as u8)).collect();
            numbered(subscribe.pkid, |id| Packet::Subscribe { id, filters })
        }
        V4::Unsubscribe(unsubscribe) if !unsubscribe.topics.is_empty() => {
            let filters = unsubscribe.topics;
            numbered(unsubscribe.pkid, |id| Packet::Unsubscribe { id, filters })
        }
        _ => Err(Fault::Malformed),
    }
}

fn decode_v5(mut packet: BytesMut) -> Result<Packet, Fault> {
    use codec5::v5::Packet as V5;
    let size = u32::try_from(MAX_PACKET).expect("a small constant");
    match V5::read(&mut packet, Some(size)).map_err(|_| Fault::Malformed)? {
        V5::Publish(publish) => {
            let properties = publish.properties.unwrap_or_default();
            if !properties.subscription_identifiers.is_empty() {
                return Err(Fault::Protocol);
            }
            Ok(Packet::Publish(Publish {
                qos: publish.qos as u8,
                id: publish.pkid,
                topic: publish.topic,
                alias: properties.topic_alias,
                payload: publish.payload,
            }))
        }
        V5::PubAck(ack) => Ok(Packet::PubAck(ack.pkid)),
        V5::Subscribe(subscribe) => {
            // CONNACK said that subscription identifiers are not available.
            if subscribe.properties.is_some_and(|p| p.id.is_some()) {
                return Err(Fault::Protocol);
            }
            let filters = subscribe.filters.into_iter();
            let filters = filters.map(|f| (f.path, f.qos as u8)).collect();
            numbered(subscribe.pkid, |id| Packet::Subscribe { id, filters })
        }
        V5::Unsubscribe(unsubscribe) if !unsubscribe.filters.is_empty() => {
            let filters = unsubscribe.filters;
            numbered(unsubscribe.pkid, |id| Packet::Unsubscribe { id, filters })
        }
        _ => Err(Fault::Malformed),
    }
}

/// Packet id 0 is no id.
fn numbered(id: u16, packet: impl FnOnce(u16) -> Packet) -> Result<Packet, Fault> {
    if id == 0 {
        Err(Fault::Malformed)
    } else {
        Ok(packet(id))
    }
}
