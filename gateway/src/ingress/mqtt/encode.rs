//! Packets to bytes. The few packets a server sends are written straight into the outbox: no intermediate strings,
//! and the short forms that constrained clients like.

use bytes::{BufMut, BytesMut};

use super::Version;

/// How a message names its topic.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Name<'a> {
    /// In full.
    Full(&'a str),
    /// In full, to be remembered under a number (version 5).
    Define(&'a str, u16),
    /// By number (version 5).
    Alias(u16),
}

/// A message down. `id` is the packet id of QoS 1.
pub(crate) fn publish(
    out: &mut BytesMut,
    version: Version,
    name: Name<'_>,
    id: Option<u16>,
    payload: &[u8],
) {
    let (topic, alias) = match name {
        Name::Full(topic) => (topic, None),
        Name::Define(topic, alias) => (topic, Some(alias)),
        Name::Alias(alias) => ("", Some(alias)),
    };
    let remaining = publish_length(version, name, id.is_some(), payload.len());
    out.reserve(remaining + 5);
    out.put_u8(if id.is_some() { 0x32 } else { 0x30 });
    put_length(out, remaining);
    put_string(out, topic);
    if let Some(id) = id {
        out.put_u16(id);
    }
    if version == Version::V5 {
        match alias {
            None => out.put_u8(0),
            Some(alias) => {
                out.put_slice(&[3, 0x23]);
                out.put_u16(alias);
            }
        }
    }
    out.put_slice(payload);
}

/// Size of the whole packet [`publish`] would write.
pub(crate) fn publish_size(version: Version, name: Name<'_>, acked: bool, payload: usize) -> usize {
    let remaining = publish_length(version, name, acked, payload);
    1 + length_of(remaining) + remaining
}

fn publish_length(version: Version, name: Name<'_>, acked: bool, payload: usize) -> usize {
    let (topic, alias) = match name {
        Name::Full(topic) => (topic.len(), false),
        Name::Define(topic, _) => (topic.len(), true),
        Name::Alias(_) => (0, true),
    };
    let properties = match version {
        Version::V4 => 0,
        Version::V5 if alias => 4,
        Version::V5 => 1,
    };
    2 + topic + if acked { 2 } else { 0 } + properties + payload
}

/// The same bytes in both versions: success needs no reason code.
pub(crate) fn puback(out: &mut BytesMut, id: u16) {
    out.put_slice(&[0x40, 2]);
    out.put_u16(id);
}

pub(crate) fn pingresp(out: &mut BytesMut) {
    out.put_slice(&[0xD0, 0]);
}

pub(crate) fn suback(out: &mut BytesMut, version: Version, id: u16, codes: &[u8]) {
    acknowledge_filters(out, 0x90, version, id, codes);
}

/// Version 3.1.1 has no codes here.
pub(crate) fn unsuback(out: &mut BytesMut, version: Version, id: u16, codes: &[u8]) {
    let codes = if version == Version::V5 { codes } else { &[] };
    acknowledge_filters(out, 0xB0, version, id, codes);
}

fn acknowledge_filters(out: &mut BytesMut, first: u8, version: Version, id: u16, codes: &[u8]) {
    let properties = usize::from(version == Version::V5);
    out.put_u8(first);
    put_length(out, 2 + properties + codes.len());
    out.put_u16(id);
    out.put_bytes(0, properties);
    out.put_slice(codes);
}

/// Only version 5 servers say why they close.
pub(crate) fn disconnect(out: &mut BytesMut, version: Version, reason: u8) {
    if version == Version::V5 {
        out.put_slice(&[0xE0, 1, reason]);
    }
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).expect("topics are short"));
    out.put_slice(text.as_bytes());
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

fn length_of(length: usize) -> usize {
    match length {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::{mqttbytes::v4, v5::mqttbytes::v5};

    use super::*;

    #[test]
    fn every_packet_reads_back_by_a_codec_that_is_not_ours() {
        let mut out = BytesMut::new();
        publish(&mut out, Version::V4, Name::Full("a/b"), Some(7), b"hi");
        assert_eq!(
            out.len(),
            publish_size(Version::V4, Name::Full("a/b"), true, 2)
        );
        puback(&mut out, 9);
        suback(&mut out, Version::V4, 3, &[1, 0x80]);
        unsuback(&mut out, Version::V4, 4, &[0]);
        pingresp(&mut out);
        let mut read = || v4::Packet::read(&mut out, 100).expect("a packet");
        assert!(matches!(read(), v4::Packet::Publish(p) if p.pkid == 7 && p.payload == "hi"));
        assert!(matches!(read(), v4::Packet::PubAck(p) if p.pkid == 9));
        assert!(matches!(read(), v4::Packet::SubAck(p) if p.return_codes.len() == 2));
        assert!(matches!(read(), v4::Packet::UnsubAck(p) if p.pkid == 4));
        assert_eq!(read(), v4::Packet::PingResp);
    }

    #[test]
    fn version_5_names_topics_by_number() {
        let mut out = BytesMut::new();
        let long = vec![7u8; 200];
        publish(
            &mut out,
            Version::V5,
            Name::Define("a/b", 2),
            Some(7),
            &long,
        );
        assert_eq!(
            out.len(),
            publish_size(Version::V5, Name::Define("a/b", 2), true, 200)
        );
        publish(&mut out, Version::V5, Name::Alias(2), None, b"x");
        suback(&mut out, Version::V5, 3, &[1, 0x87]);
        unsuback(&mut out, Version::V5, 4, &[0]);
        let mut read = || v5::Packet::read(&mut out, None).expect("a packet");
        for topic in ["a/b", ""] {
            let v5::Packet::Publish(packet) = read() else {
                panic!("a message");
            };
            assert_eq!(packet.topic, topic);
            assert_eq!(packet.properties.and_then(|p| p.topic_alias), Some(2));
        }
        assert!(matches!(read(), v5::Packet::SubAck(p) if p.return_codes.len() == 2));
        assert!(matches!(read(), v5::Packet::UnsubAck(p) if p.reasons.len() == 1));
    }
}
