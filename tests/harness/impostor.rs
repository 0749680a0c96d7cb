//! Somebody who has the front's certificate and key, and says to a seal what he likes.

use std::{net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{
    Error as CodecError, QoS,
    v4::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish},
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use sealgate_codec::{Frame, Message, message::CmdAck};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{material::Material, wait::patiently};

const MAX: usize = 1 << 16;

/// The listener.
pub struct Impostor {
    listener: TcpListener,
    tls: TlsAcceptor,
    /// Where seals are to be sent.
    pub address: SocketAddr,
}

/// A seal that fell for it. Speaks MQTT 3.1.1.
pub struct Victim {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
    topic: String,
}

impl Impostor {
    /// Listens with the server's certificate of this material.
    ///
    /// # Panics
    /// The files cannot be used.
    pub async fn with(material: &Material) -> Self {
        let pem = |name: &str| CertificateDer::pem_file_iter(material.path("pki").join(name));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for anchor in pem("ca.pem").expect("a CA") {
            roots.add(anchor.expect("PEM")).expect("an anchor");
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .expect("a verifier");
        let chain = pem("server.pem")
            .and_then(Iterator::collect)
            .expect("a certificate");
        let key =
            PrivateKeyDer::from_pem_file(material.path("pki").join("server.key")).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self {
            address: listener.local_addr().expect("an address"),
            tls: TlsAcceptor::from(Arc::new(config)),
            listener,
        }
    }

    /// The next seal that connects, its HELLO heard.
    ///
    /// # Panics
    /// None comes.
    pub async fn catches(&self) -> Victim {
        patiently("a seal", async {
            loop {
                let (tcp, _) = self.listener.accept().await.expect("a connection");
                let Ok(stream) = self.tls.accept(tcp).await else {
                    continue;
                };
                let mut victim = Victim {
                    stream,
                    input: BytesMut::new(),
                    topic: String::new(),
                };
                if victim.greets().await.is_some() {
                    return victim;
                }
            }
        })
        .await
    }
}

impl Victim {
    async fn greets(&mut self) -> Option<()> {
        match self.packet().await? {
            Packet::Connect(connect) => self.topic = format!("s1/{}/d", connect.client_id),
            other => panic!("CONNECT first, not {other:?}"),
        }
        let accepted = ConnAck::new(ConnectReturnCode::Success, false);
        self.send(Packet::ConnAck(accepted)).await?;
        while !matches!(self.message().await?, Message::Hello(_)) {}
        Some(())
    }

    /// Orders something; what the seal answers.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn obeys(&mut self, ticket: Vec<u8>) -> CmdAck {
        let frame = Frame {
            mid: 1,
            re: None,
            message: Message::Cmd(ticket),
        };
        let mut publish =
            Publish::from_bytes(self.topic.as_str(), QoS::AtLeastOnce, frame.encode().into());
        publish.pkid = 1;
        self.send(Packet::Publish(publish)).await.expect("sent");
        patiently("an answer", async {
            loop {
                if let Message::CmdAck(ack) = self.message().await.expect("the seal stays") {
                    return ack;
                }
            }
        })
        .await
    }

    async fn send(&mut self, packet: Packet) -> Option<()> {
        let mut out = BytesMut::new();
        packet.write(&mut out, MAX).expect("encodable");
        self.stream.write_all(&out).await.ok()?;
        self.stream.flush().await.ok()
    }

    /// The next message, acknowledged.
    async fn message(&mut self) -> Option<Message> {
        loop {
            if let Packet::Publish(publish) = self.packet().await? {
                if publish.qos == QoS::AtLeastOnce {
                    self.send(Packet::PubAck(PubAck::new(publish.pkid))).await?;
                }
                let payload: Bytes = publish.payload;
                return Some(Frame::decode(&payload).expect("SL/1").message);
            }
        }
    }

    async fn packet(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.input, MAX) {
                Ok(packet) => return Some(packet),
                Err(CodecError::InsufficientBytes(_)) => {}
                Err(error) => panic!("a seal does not speak MQTT: {error:?}"),
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
