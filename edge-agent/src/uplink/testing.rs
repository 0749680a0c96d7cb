//! A small gateway for tests: QUIC with mutual TLS, the codec's streams, nothing behind them.

use std::{sync::Arc, time::Duration};

use quinn::crypto::rustls::QuicServerConfig;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, server::WebPkiClientVerifier};
use rustls_pki_types::PrivateKeyDer;
use sealgate_codec::edge::{
    ALPN, Control, ControlFrame, EdgeAck, EdgeHello, MAX_CONTROL, MAX_SEAL_FRAME, SealFrame,
    SealOpen, stream_frame,
};
use tokio::time::timeout;

use super::{FrameReader, Gateway, Identity};

/// Generous: a busy machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const NOW: u32 = 1_795_000_000;

/// A CA with one gateway and one box.
pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca: rcgen::Certificate,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, ca }
    }

    fn leaf(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    pub(crate) fn identity(&self) -> Identity {
        let (certificate, key) = self.leaf("box");
        Identity::from_pem(&certificate.pem(), &key.serialize_pem(), &self.ca.pem()).unwrap()
    }

    /// A box of another CA that believes this one's gateway.
    pub(crate) fn stranger(&self) -> Identity {
        let (certificate, key) = Self::new().leaf("box");
        Identity::from_pem(&certificate.pem(), &key.serialize_pem(), &self.ca.pem()).unwrap()
    }
}

/// The gateway.
pub(crate) struct Peer {
    pub(crate) endpoint: quinn::Endpoint,
}

impl Peer {
    pub(crate) fn new(pki: &Pki) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(pki.ca.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let (certificate, key) = pki.leaf("localhost");
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(tls).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = quinn::Endpoint::server(config, ([127, 0, 0, 1], 0).into()).unwrap();
        Self { endpoint }
    }

    pub(crate) fn gateway(&self) -> Gateway {
        Gateway {
            address: self.endpoint.local_addr().unwrap().to_string(),
            name: "localhost".to_owned(),
        }
    }

    /// The next box, and its HELLO.
    pub(crate) async fn accept(&self) -> (Session, EdgeHello) {
        let accepting = async {
            loop {
                let incoming = self.endpoint.accept().await.expect("an endpoint");
                // One that is refused in the handshake is not the one waited for.
                if let Ok(connection) = incoming.await
                    && let Ok((send, recv)) = connection.accept_bi().await
                {
                    let frames = FrameReader::new(recv, MAX_CONTROL);
                    return Session {
                        connection,
                        send,
                        frames,
                        mid: 0,
                    };
                }
            }
        };
        let mut session = timeout(PATIENCE, accepting).await.expect("a box comes");
        match session.hear().await.control {
            Control::Hello(hello) => (session, hello),
            other => panic!("{other:?} before HELLO"),
        }
    }

    /// A box that is answered by ACK.
    pub(crate) async fn connect(&self) -> (Session, EdgeHello) {
        let (mut session, hello) = self.accept().await;
        session.ack(0).await;
        (session, hello)
    }
}

/// One box at the gateway.
pub(crate) struct Session {
    pub(crate) connection: quinn::Connection,
    send: quinn::SendStream,
    frames: FrameReader,
    mid: u16,
}

impl Session {
    pub(crate) async fn ack(&mut self, assignment: u32) {
        let ack = Control::Ack(EdgeAck {
            minor: 0,
            now: NOW,
            report: 1,
            assignment,
        });
        self.reply(1, ack).await;
    }

    async fn write(&mut self, frame: ControlFrame) {
        let bytes = stream_frame(&frame.encode());
        self.send.write_all(&bytes).await.unwrap();
    }

    pub(crate) async fn reply(&mut self, re: u16, control: Control) {
        self.mid += 1;
        let frame = ControlFrame::reply(self.mid, re, control);
        self.write(frame).await;
    }

    pub(crate) async fn say(&mut self, control: Control) -> u16 {
        self.mid += 1;
        let frame = ControlFrame::new(self.mid, control);
        self.write(frame).await;
        self.mid
    }

    pub(crate) async fn hear(&mut self) -> ControlFrame {
        let frame = timeout(PATIENCE, self.frames.next())
            .await
            .expect("in time");
        ControlFrame::decode(&frame.expect("a frame")).unwrap()
    }

    /// The next message that `wanted` takes; others are passed over.
    pub(crate) async fn hear_that<T>(&mut self, wanted: impl Fn(&ControlFrame) -> Option<T>) -> T {
        loop {
            let frame = self.hear().await;
            if let Some(found) = wanted(&frame) {
                return found;
            }
        }
    }

    /// Says something that is answered by DONE.
    pub(crate) async fn order(&mut self, control: Control) -> Option<sealgate_codec::ErrorCode> {
        let mid = self.say(control).await;
        self.hear_that(|frame| match (&frame.control, frame.re) {
            (Control::Done(result), Some(re)) if re == mid => Some(*result),
            _ => None,
        })
        .await
    }

    /// The next seal's stream.
    pub(crate) async fn seal(&self) -> (SealPeer, SealOpen) {
        let accepted = timeout(PATIENCE, self.connection.accept_bi()).await;
        let (send, recv) = accepted.expect("a stream in time").unwrap();
        let mut seal = SealPeer {
            send,
            frames: FrameReader::new(recv, MAX_SEAL_FRAME),
        };
        match seal.hear().await {
            SealFrame::Open(open) => (seal, open),
            other => panic!("{other:?} before OPEN"),
        }
    }
}

/// One seal's stream at the gateway.
pub(crate) struct SealPeer {
    pub(crate) send: quinn::SendStream,
    frames: FrameReader,
}

impl SealPeer {
    pub(crate) async fn say(&mut self, frame: SealFrame) {
        let bytes = stream_frame(&frame.encode());
        self.send.write_all(&bytes).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> SealFrame {
        let frame = timeout(PATIENCE, self.frames.next())
            .await
            .expect("in time");
        SealFrame::decode(&frame.expect("a frame")).unwrap()
    }

    /// Whether the box ended the stream in order.
    pub(crate) async fn ends(&mut self) -> bool {
        loop {
            match timeout(PATIENCE, self.frames.next())
                .await
                .expect("in time")
            {
                Ok(_) => {}
                Err(end) => return matches!(end, super::FrameEnd::Finished),
            }
        }
    }
}
