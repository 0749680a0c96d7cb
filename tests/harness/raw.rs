//! An MQTT 3.1.1 session by hand, for clients that do what no seal would: wrong topics, broken packets, silence.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{
    Error as CodecError, QoS,
    v4::{Connect, Packet, PubAck, Publish, Subscribe},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::wait::PATIENCE;

const MAX: usize = 1 << 20;

/// A session that may misbehave.
#[derive(Debug)]
pub struct RawSeal {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
    next: u16,
}

impl RawSeal {
    /// TCP and TLS, nothing more.
    ///
    /// # Errors
    /// Refused below MQTT.
    pub async fn handshake(front: SocketAddr, tls: Arc<ClientConfig>) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(front).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a valid name");
        let stream = TlsConnector::from(tls).connect(name, tcp).await?;
        Ok(Self {
            stream,
            input: BytesMut::new(),
            next: 1,
        })
    }

    /// The certificate the server showed.
    ///
    /// # Panics
    /// It showed none.
    #[must_use]
    pub fn server_certificate(&self) -> Vec<u8> {
        let chain = self.stream.get_ref().1.peer_certificates();
        chain
            .and_then(|chain| chain.first())
            .expect("shown")
            .to_vec()
    }

    /// Little room for what was sent and not yet taken.
    ///
    /// # Panics
    /// The system refuses.
    pub fn send_little_ahead(&self) {
        let socket = socket2::SockRef::from(self.stream.get_ref().0);
        socket
            .set_send_buffer_size(8 * 1024)
            .expect("a small buffer");
    }

    /// Both directions apart: packet ids acknowledged so far are counted by the first, bytes are written to the second.
    #[must_use]
    pub fn split(self) -> (Acknowledged, WriteHalf<TlsStream<TcpStream>>) {
        let (read, write) = tokio::io::split(self.stream);
        let acknowledged = Acknowledged {
            read,
            input: self.input,
        };
        (acknowledged, write)
    }

    /// A session under `client`, accepted.
    ///
    /// # Panics
    /// It is not accepted.
    pub async fn connect(front: SocketAddr, tls: Arc<ClientConfig>, client: &str) -> Self {
        let mut raw = Self::handshake(front, tls).await.expect("TLS");
        raw.say_connect(client).await.expect("written");
        match raw.packet().await {
            Some(Packet::ConnAck(_)) => raw,
            other => panic!("no CONNACK for {client} but {other:?}"),
        }
    }

    /// Sends CONNECT.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn say_connect(&mut self, client: &str) -> std::io::Result<()> {
        let mut connect = Connect::new(client);
        connect.keep_alive = 60;
        connect.clean_session = true;
        self.send(&Packet::Connect(connect)).await
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, packet: &Packet) -> std::io::Result<()> {
        let mut out = BytesMut::new();
        packet.write(&mut out, MAX).expect("encodable");
        self.send_bytes(&out).await
    }

    /// Sends whatever.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Publishes with QoS 1; the packet id to look for in the PUBACK.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn publish(&mut self, topic: &str, payload: &[u8]) -> std::io::Result<u16> {
        let mut publish =
            Publish::from_bytes(topic, QoS::AtLeastOnce, Bytes::copy_from_slice(payload));
        publish.pkid = self.next;
        self.next += 1;
        self.send(&Packet::Publish(publish)).await?;
        Ok(self.next - 1)
    }

    /// Asks for a topic.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn subscribe(&mut self, topic: &str) -> std::io::Result<()> {
        let mut subscribe = Subscribe::new(topic, QoS::AtLeastOnce);
        subscribe.pkid = self.next;
        self.next += 1;
        self.send(&Packet::Subscribe(subscribe)).await
    }

    /// Asks for a topic so that what comes there need not be acknowledged.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn listen_lightly(&mut self, topic: &str) -> std::io::Result<()> {
        let mut subscribe = Subscribe::new(topic, QoS::AtMostOnce);
        subscribe.pkid = u16::MAX;
        self.send(&Packet::Subscribe(subscribe)).await
    }

    /// The next packet; `None` when the connection ended.
    ///
    /// # Panics
    /// Nothing comes and it does not end either, or what comes is no MQTT.
    pub async fn packet(&mut self) -> Option<Packet> {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("a packet or the end")
    }

    /// A packet, if one comes soon. For "nothing of the other's arrives": silence is never proof, so tests also
    /// make something observable happen after it.
    pub async fn packet_soon(&mut self) -> Option<Packet> {
        tokio::time::timeout(Duration::from_millis(300), self.read())
            .await
            .ok()
            .flatten()
    }

    async fn read(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.input, MAX) {
                Ok(packet) => return Some(packet),
                Err(CodecError::InsufficientBytes(_)) => {}
                Err(error) => panic!("the server does not speak MQTT: {error:?}"),
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message down, acknowledged; `None` when the session ended.
    pub async fn message(&mut self) -> Option<Publish> {
        loop {
            if let Packet::Publish(publish) = self.packet().await? {
                if publish.qos == QoS::AtLeastOnce {
                    let ack = Packet::PubAck(PubAck::new(publish.pkid));
                    self.send(&ack).await.ok()?;
                }
                return Some(publish);
            }
        }
    }

    /// Reads on until the server closes; whatever comes before is dropped.
    ///
    /// # Panics
    /// The server keeps the session.
    pub async fn closed(&mut self) {
        let end = async { while self.read().await.is_some() {} };
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("the server closes the session");
    }
}

/// What the server acknowledges, read apart from what is sent.
#[derive(Debug)]
pub struct Acknowledged {
    read: ReadHalf<TlsStream<TcpStream>>,
    input: BytesMut,
}

impl Acknowledged {
    /// Waits for the next PUBACK; `None` when the session ended. Messages down are not acknowledged.
    ///
    /// # Panics
    /// What comes is no MQTT.
    pub async fn next(&mut self) -> Option<u16> {
        loop {
            match Packet::read(&mut self.input, MAX) {
                Ok(Packet::PubAck(ack)) => return Some(ack.pkid),
                Ok(_) => {}
                Err(CodecError::InsufficientBytes(_)) => {
                    if !matches!(self.read.read_buf(&mut self.input).await, Ok(1..)) {
                        return None;
                    }
                }
                Err(error) => panic!("the server does not speak MQTT: {error:?}"),
            }
        }
    }
}

/// A PUBLISH with QoS 1 as bytes.
///
/// # Panics
/// It cannot be encoded.
#[must_use]
pub fn publish_bytes(topic: &str, pkid: u16, payload: &[u8]) -> Bytes {
    let mut publish = Publish::from_bytes(topic, QoS::AtLeastOnce, Bytes::copy_from_slice(payload));
    publish.pkid = pkid;
    let mut out = BytesMut::new();
    Packet::Publish(publish)
        .write(&mut out, MAX)
        .expect("encodable");
    out.freeze()
}
