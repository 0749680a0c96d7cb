//! A small MQTT client over rumqttc's codec: it sends whatever bytes it is told to.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use rumqttc::{mqttbytes as m4, v5::mqttbytes as m5};
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{PATIENCE, Papers};

/// Which MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mqtt {
    V4,
    V5,
}

/// Hang up with a reset instead of a farewell.
const RESET: Option<Duration> = Some(Duration::ZERO);

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Return or reason code.
    ConnAck(u8),
    PubAck(u16),
    Message {
        topic: String,
        payload: Bytes,
        id: u16,
        alias: Option<u16>,
    },
    SubAck(Vec<u8>),
    UnsubAck(Vec<u8>),
    PingResp,
    Disconnect(u8),
}

/// A client.
pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    inbox: BytesMut,
    mqtt: Mqtt,
    device: String,
    id: u16,
    /// Properties of a version 5 CONNACK.
    pub(crate) welcome: Option<m5::v5::ConnAckProperties>,
}

impl Client {
    /// TCP and TLS.
    pub(crate) async fn handshake(
        address: SocketAddr,
        tls: Arc<ClientConfig>,
        device: String,
    ) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(tls).connect(name, socket).await?;
        Ok(Self {
            stream,
            inbox: BytesMut::new(),
            mqtt: Mqtt::V4,
            device,
            id: 0,
            welcome: None,
        })
    }

    /// TCP and TLS with good papers.
    pub(crate) async fn shake(address: SocketAddr, papers: &Papers, mqtt: Mqtt) -> Self {
        let device = papers.device.to_string();
        let shaken = timeout(
            PATIENCE,
            Self::handshake(address, papers.tls.clone(), device),
        );
        let mut client = shaken.await.expect("in time").expect("a handshake");
        client.mqtt = mqtt;
        client
    }

    /// A session.
    pub(crate) async fn open(address: SocketAddr, papers: &Papers, mqtt: Mqtt) -> Self {
        let mut client = Self::shake(address, papers, mqtt).await;
        let id = client.device.clone();
        client.send(&connect_bytes(mqtt, &id, 60)).await;
        assert_eq!(client.hear().await, Some(Heard::ConnAck(0)));
        client
    }

    pub(crate) fn resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn topic(&self, letter: char) -> String {
        format!("s1/{}/{letter}", self.device)
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends bytes; a server that has hung up is the reader's to notice.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let sent = timeout(PATIENCE, self.try_send(bytes)).await;
        assert!(sent.is_ok(), "the server takes no bytes");
    }

    pub(crate) async fn publish(&mut self, topic: &str, qos: u8, payload: &[u8]) -> u16 {
        if qos > 0 {
            self.id += 1;
        }
        let bytes = self.publish_bytes(topic, qos, payload);
        self.send(&bytes).await;
        self.id
    }

    /// A PUBLISH with the current packet id.
    pub(crate) fn publish_bytes(&self, topic: &str, qos: u8, payload: &[u8]) -> Vec<u8> {
        publish_bytes(self.mqtt, topic.as_bytes(), (qos, self.id), payload)
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) -> Vec<u8> {
        self.id += 1;
        let mut out = BytesMut::new();
        match self.mqtt {
            Mqtt::V4 => {
                let qos = m4::qos(qos).expect("a QoS");
                let mut packet = m4::v4::Subscribe::new(filter, qos);
                packet.pkid = self.id;
                packet.write(&mut out).expect("a packet");
            }
            Mqtt::V5 => {
                let qos = m5::qos(qos).expect("a QoS");
                let mut packet = m5::v5::Subscribe::new(m5::v5::Filter::new(filter, qos), None);
                packet.pkid = self.id;
                packet.write(&mut out).expect("a packet");
            }
        }
        self.send(&out).await;
        match self.hear().await {
            Some(Heard::SubAck(codes)) => codes,
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    pub(crate) async fn unsubscribe(&mut self, filter: &str) -> Vec<u8> {
        self.id += 1;
        let mut out = BytesMut::new();
        match self.mqtt {
            Mqtt::V4 => {
                let mut packet = m4::v4::Unsubscribe::new(filter);
                packet.pkid = self.id;
                packet.write(&mut out).expect("a packet");
            }
            Mqtt::V5 => {
                let mut packet = m5::v5::Unsubscribe::new(filter, None);
                packet.pkid = self.id;
                packet.write(&mut out).expect("a packet");
            }
        }
        self.send(&out).await;
        match self.hear().await {
            Some(Heard::UnsubAck(codes)) => codes,
            other => panic!("no UNSUBACK but {other:?}"),
        }
    }

    pub(crate) async fn ping(&mut self) {
        self.send(&[0xC0, 0]).await;
        assert_eq!(self.hear().await, Some(Heard::PingResp));
    }

    pub(crate) async fn puback(&mut self, id: u16) {
        let [high, low] = id.to_be_bytes();
        self.send(&[0x40, 2, high, low]).await;
    }

    pub(crate) async fn disconnect(mut self) {
        self.send(&[0xE0, 0]).await;
        self.is_closed().await;
    }

    /// Closes the socket at once, with a reset.
    pub(crate) fn reset(self) {
        let socket = self.stream.into_inner().0;
        SockRef::from(&socket).set_linger(RESET).expect("an option");
    }

    /// One message up and its acknowledgement.
    pub(crate) async fn roundtrip(&mut self) {
        let topic = self.topic('u');
        let id = self.publish(&topic, 1, b"hello").await;
        assert_eq!(self.hear().await, Some(Heard::PubAck(id)));
    }

    /// What the server says next; nothing when it has hung up.
    pub(crate) async fn hear(&mut self) -> Option<Heard> {
        timeout(PATIENCE, self.read())
            .await
            .expect("the server says something")
    }

    /// What the server says within `wait`.
    pub(crate) async fn hear_within(&mut self, wait: Duration) -> Option<Heard> {
        timeout(wait, self.read()).await.ok().flatten()
    }

    /// The next message down, not acknowledged.
    pub(crate) async fn message(&mut self) -> (String, Bytes, u16) {
        match self.hear().await {
            Some(Heard::Message {
                topic, payload, id, ..
            }) => (topic, payload, id),
            other => panic!("no message but {other:?}"),
        }
    }

    /// The server hangs up, after what it still had to say.
    pub(crate) async fn is_closed(&mut self) -> Vec<Heard> {
        let mut last = Vec::new();
        while let Some(heard) = self.hear().await {
            last.push(heard);
        }
        last
    }

    async fn read(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.decode() {
                return Some(heard);
            }
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn decode(&mut self) -> Option<Heard> {
        // The codec does not know the short form.
        if self.inbox.len() >= 3 && self.inbox[..2] == [0xE0, 1] {
            let packet = self.inbox.split_to(3);
            return Some(Heard::Disconnect(packet[2]));
        }
        match self.mqtt {
            Mqtt::V4 => match m4::v4::Packet::read(&mut self.inbox, 10_000) {
                Ok(packet) => Some(heard_v4(packet)),
                Err(m4::Error::InsufficientBytes(_)) => None,
                Err(error) => panic!("not MQTT 3.1.1: {error}"),
            },
            Mqtt::V5 => match m5::v5::Packet::read(&mut self.inbox, Some(10_000)) {
                Ok(packet) => Some(self.heard_v5(packet)),
                Err(m5::Error::InsufficientBytes(_)) => None,
                Err(error) => panic!("not MQTT 5: {error}"),
            },
        }
    }

    fn heard_v5(&mut self, packet: m5::v5::Packet) -> Heard {
        use m5::v5::{ConnectReturnCode as Code, Packet, SubscribeReasonCode as Sub};
        match packet {
            Packet::ConnAck(ack) => {
                self.welcome = ack.properties;
                Heard::ConnAck(match ack.code {
                    Code::Success => 0,
                    Code::UnsupportedProtocolVersion => 0x84,
                    Code::ClientIdentifierNotValid => 0x85,
                    Code::BadUserNamePassword => 0x86,
                    Code::NotAuthorized => 0x87,
                    Code::ServerUnavailable => 0x88,
                    Code::ServerBusy => 0x89,
                    Code::Banned => 0x8A,
                    Code::BadAuthenticationMethod => 0x8C,
                    other => panic!("{other:?}"),
                })
            }
            Packet::PubAck(ack) => Heard::PubAck(ack.pkid),
            Packet::Publish(publish) => Heard::Message {
                topic: String::from_utf8(publish.topic.to_vec()).expect("UTF-8"),
                payload: publish.payload,
                id: publish.pkid,
                alias: publish.properties.and_then(|p| p.topic_alias),
            },
            Packet::SubAck(ack) => {
                let codes = ack.return_codes.iter().map(|code| match code {
                    Sub::Success(qos) => *qos as u8,
                    Sub::NotAuthorized => 0x87,
                    Sub::TopicFilterInvalid => 0x8F,
                    other => panic!("{other:?}"),
                });
                Heard::SubAck(codes.collect())
            }
            Packet::UnsubAck(ack) => {
                use m5::v5::UnsubAckReason as Unsub;
                let codes = ack.reasons.iter().map(|code| match code {
                    Unsub::Success => 0,
                    Unsub::NoSubscriptionExisted => 0x11,
                    Unsub::NotAuthorized => 0x87,
                    other => panic!("{other:?}"),
                });
                Heard::UnsubAck(codes.collect())
            }
            Packet::PingResp(_) => Heard::PingResp,
            other => panic!("a server does not say {other:?}"),
        }
    }
}

fn heard_v4(packet: m4::v4::Packet) -> Heard {
    use m4::v4::{Packet, SubscribeReasonCode as Sub};
    match packet {
        Packet::ConnAck(ack) => Heard::ConnAck(ack.code as u8),
        Packet::PubAck(ack) => Heard::PubAck(ack.pkid),
        Packet::Publish(publish) => Heard::Message {
            topic: publish.topic,
            payload: publish.payload,
            id: publish.pkid,
            alias: None,
        },
        Packet::SubAck(ack) => {
            let codes = ack.return_codes.iter().map(|code| match code {
                Sub::Success(qos) => *qos as u8,
                Sub::Failure => 0x80,
            });
            Heard::SubAck(codes.collect())
        }
        Packet::UnsubAck(_) => Heard::UnsubAck(Vec::new()),
        Packet::PingResp => Heard::PingResp,
        other => panic!("a server does not say {other:?}"),
    }
}

/// A CONNECT.
pub(crate) fn connect_bytes(mqtt: Mqtt, client_id: &str, keep_alive: u16) -> BytesMut {
    let mut out = BytesMut::new();
    match mqtt {
        Mqtt::V4 => {
            let mut packet = m4::v4::Connect::new(client_id);
            packet.keep_alive = keep_alive;
            packet.write(&mut out).expect("a packet");
        }
        Mqtt::V5 => {
            let packet = m5::v5::Connect {
                keep_alive,
                client_id: client_id.to_owned(),
                clean_start: true,
                properties: None,
            };
            packet.write(&None, &None, &mut out).expect("a packet");
        }
    }
    out
}

/// A PUBLISH of any topic, well-formed or not.
fn publish_bytes(mqtt: Mqtt, topic: &[u8], (qos, id): (u8, u16), payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&u16::try_from(topic.len()).expect("short").to_be_bytes());
    body.extend_from_slice(topic);
    if qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    if mqtt == Mqtt::V5 {
        body.push(0);
    }
    body.extend_from_slice(payload);
    let mut out = vec![0x30 | (qos << 1)];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7F).expect("seven bits");
        length >>= 7;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(&body);
    out
}

/// A connection without TLS.
pub(crate) async fn raw_tcp(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("a connection")
}
