//! A seal as the load generator plays it: one mTLS MQTT 3.1.1 session that sends prepared bytes and reports what
//! comes back. No state machine, no checks; it exists to be cheap.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{
    Error as CodecError, QoS,
    v4::{Connect, ConnectReturnCode, Packet, PubAck, Publish, Subscribe},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const MAX_PACKET: usize = 64 * 1024;

/// One live session.
#[derive(Debug)]
pub struct Client {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
    out: BytesMut,
    up: String,
    next: u16,
}

impl Client {
    /// Connects and sends CONNECT, with `hello` right behind it when there is one.
    ///
    /// # Errors
    /// TCP, TLS or MQTT refused.
    pub async fn connect(
        address: SocketAddr,
        source: Option<SocketAddr>,
        tls: Arc<ClientConfig>,
        id: &str,
        hello: Option<&[u8]>,
    ) -> Result<Self> {
        let mut client = Self::handshake(address, source, tls, id).await?;
        let mut connect = Connect::new(id);
        connect.keep_alive = 600;
        connect.clean_session = true;
        client.put(&Packet::Connect(connect))?;
        if let Some(hello) = hello {
            client.publish(hello)?;
        }
        client.flush().await?;
        match client.packet().await? {
            Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => Ok(client),
            other => bail!("instead of an accepting CONNACK: {other:?}"),
        }
    }

    /// TCP and TLS only.
    ///
    /// # Errors
    /// TCP or TLS refused.
    pub async fn handshake(
        address: SocketAddr,
        source: Option<SocketAddr>,
        tls: Arc<ClientConfig>,
        id: &str,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = source {
            socket.bind(source)?;
        }
        let tcp = socket.connect(address).await.context("TCP")?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a valid name");
        let stream = TlsConnector::from(tls)
            .connect(name, tcp)
            .await
            .context("TLS")?;
        Ok(Self {
            stream,
            input: BytesMut::new(),
            out: BytesMut::new(),
            up: format!("s1/{id}/u"),
            next: 1,
        })
    }

    /// Subscribes: needed with brokers that do not do it by themselves.
    ///
    /// # Errors
    /// The session is over.
    pub async fn subscribe(&mut self, topic: &str) -> Result<()> {
        let mut subscribe = Subscribe::new(topic, QoS::AtMostOnce);
        subscribe.pkid = self.pkid();
        self.put(&Packet::Subscribe(subscribe))?;
        self.flush().await?;
        loop {
            if let Packet::SubAck(_) = self.packet().await? {
                return Ok(());
            }
        }
    }

    /// Queues one message up, QoS 1.
    ///
    /// # Errors
    /// The message is too large for a packet.
    pub fn publish(&mut self, payload: &[u8]) -> Result<()> {
        let mut publish =
            Publish::from_bytes(&self.up, QoS::AtLeastOnce, Bytes::copy_from_slice(payload));
        publish.pkid = self.pkid();
        self.put(&Packet::Publish(publish))
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// The session is over.
    pub async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await?;
        self.out.clear();
        Ok(())
    }

    /// The next message down; acknowledgements are handled on the way.
    ///
    /// # Errors
    /// The session is over.
    pub async fn message(&mut self) -> Result<Bytes> {
        loop {
            match self.packet().await? {
                Packet::Publish(publish) => {
                    if publish.qos == QoS::AtLeastOnce {
                        self.put(&Packet::PubAck(PubAck::new(publish.pkid)))?;
                        self.flush().await?;
                    }
                    return Ok(publish.payload);
                }
                Packet::Disconnect => bail!("the server ended the session"),
                _ => {}
            }
        }
    }

    /// Waits for an SL/1 message of this type; others are passed over.
    ///
    /// # Errors
    /// The session is over, or the gateway reported an error.
    pub async fn wait_for(&mut self, kind: u8) -> Result<Bytes> {
        loop {
            let message = self.message().await?;
            match message_type(&message) {
                Some(found) if found == kind => return Ok(message),
                Some(127) => bail!("the gateway answered ERR: {message:02x?}"),
                _ => {}
            }
        }
    }

    /// Reads one byte: the handshake is complete on both sides.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn one_byte(&mut self) -> Result<()> {
        self.stream.read_u8().await?;
        Ok(())
    }

    /// Gives buffers back.
    pub fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        self.out = BytesMut::new();
    }

    fn pkid(&mut self) -> u16 {
        let pkid = self.next;
        self.next = self.next.checked_add(1).unwrap_or(1);
        pkid
    }

    fn put(&mut self, packet: &Packet) -> Result<()> {
        packet
            .write(&mut self.out, MAX_PACKET)
            .map_err(|error| anyhow::anyhow!("encoding: {error:?}"))?;
        Ok(())
    }

    async fn packet(&mut self) -> Result<Packet> {
        loop {
            match Packet::read(&mut self.input, MAX_PACKET) {
                Ok(packet) => return Ok(packet),
                Err(CodecError::InsufficientBytes(_)) => {}
                Err(error) => bail!("not MQTT: {error:?}"),
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the connection was closed");
            }
        }
    }
}

/// The type of an SL/1 message: the first element of its array.
#[must_use]
pub fn message_type(message: &[u8]) -> Option<u8> {
    match message {
        [0x83 | 0x84, small @ 0..=23, ..] => Some(*small),
        [0x83 | 0x84, 0x18, number, ..] => Some(*number),
        _ => None,
    }
}
