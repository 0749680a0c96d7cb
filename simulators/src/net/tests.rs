//! The driver against a small front on real sockets, with real certificates.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rumqttc::{
    mqttbytes::{QoS, v4},
    v5::mqttbytes::{self as m5, v5},
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    clock::WorldClock,
    fleet::Material,
    seal::{
        Input, Press,
        tests::world::{Platform, World},
    },
    tasks,
};

struct Pki {
    ca_pem: Vec<u8>,
    server: Arc<ServerConfig>,
    material: Material,
}

fn pki() -> Pki {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server_cert, server_key) = leaf("localhost");
    let (client_cert, client_key) = leaf("seal.test");
    let mut roots = RootCertStore::empty();
    roots.add(ca_cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server_cert.der().clone()], key)
        .unwrap();
    Pki {
        ca_pem: ca_cert.pem().into_bytes(),
        server: Arc::new(server),
        material: Material {
            id: World::device(),
            name: World::device().to_string(),
            serial: "1".to_owned(),
            cert_pem: client_cert.pem().into_bytes(),
            key_pem: client_key.serialize_pem().into_bytes(),
            log_seed: World::LOG_SEED,
        },
    }
}

type Shared = Arc<Mutex<Platform>>;

/// Serves one seal after the other; each session ends after `messages` messages up.
async fn front(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    platform: Shared,
    version: Version,
    messages: usize,
) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = acceptor.accept(tcp).await {
            // A session that breaks is what these tests are about.
            let _ = serve(&mut stream, &platform, version, messages).await;
        }
    }
}

enum Up {
    Connect,
    Publish { pkid: u16, payload: Vec<u8> },
    Other,
}

async fn serve(
    stream: &mut tokio_rustls::server::TlsStream<TcpStream>,
    platform: &Shared,
    version: Version,
    messages: usize,
) -> std::io::Result<()> {
    let mut input = BytesMut::new();
    let mut out = BytesMut::new();
    let mut greeted = false;
    for _ in 0..messages {
        let (pkid, payload) = loop {
            match read(&mut input, version) {
                Some(Up::Publish { pkid, payload }) => break (pkid, payload),
                Some(Up::Connect | Up::Other) => {}
                None => {
                    if stream.read_buf(&mut input).await? == 0 {
                        return Ok(());
                    }
                }
            }
        };
        if !std::mem::replace(&mut greeted, true) {
            // Only now: HELLO must have come without waiting for this.
            accept(&mut out, version);
        }
        let now = WorldClock::new().now();
        let down = platform.lock().unwrap().hear(&payload, None, now);
        let mqtt = Mqtt::new(version);
        if pkid > 0 {
            mqtt.puback(&mut out, pkid);
        }
        for (place, message) in (1..).zip(down) {
            mqtt.publish(&mut out, "s1/x/d", Some(place), &message);
        }
        stream.write_all_buf(&mut out).await?;
        stream.flush().await?;
    }
    Ok(())
}

fn read(input: &mut BytesMut, version: Version) -> Option<Up> {
    match version {
        Version::V4 => Some(match v4::Packet::read(input, MAX_PACKET).ok()? {
            v4::Packet::Connect(_) => Up::Connect,
            v4::Packet::Publish(publish) => Up::Publish {
                pkid: if publish.qos == QoS::AtMostOnce {
                    0
                } else {
                    publish.pkid
                },
                payload: publish.payload.to_vec(),
            },
            _ => Up::Other,
        }),
        Version::V5 => Some(match v5::Packet::read(input, None).ok()? {
            v5::Packet::Connect(..) => Up::Connect,
            v5::Packet::Publish(publish) => Up::Publish {
                pkid: if publish.qos == m5::QoS::AtMostOnce {
                    0
                } else {
                    publish.pkid
                },
                payload: publish.payload.to_vec(),
            },
            _ => Up::Other,
        }),
    }
}

fn accept(out: &mut BytesMut, version: Version) {
    match version {
        Version::V4 => {
            let ack = v4::ConnAck::new(v4::ConnectReturnCode::Success, false);
            v4::Packet::ConnAck(ack).write(out, usize::MAX).unwrap();
        }
        Version::V5 => {
            let ack = v5::ConnAck {
                session_present: false,
                code: v5::ConnectReturnCode::Success,
                properties: None,
            };
            v5::Packet::ConnAck(ack).write(out, None).unwrap();
        }
    }
}

/// A seal with a grant, driven over sockets, against a front whose sessions end after so many messages.
async fn started(version: Version, messages: usize) -> (SealHandle, Shared) {
    let pki = pki();
    let now = WorldClock::new().now();
    let (seal, platform) = World::granted_at(now, 5).into_parts();
    let platform = Arc::new(Mutex::new(platform));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let shared = Arc::clone(&platform);
    tasks::spawn(
        "front",
        front(listener, pki.server, shared, version, messages),
    );
    let trust = Trust::new(&pki.ca_pem).unwrap();
    let (control, orders) = mpsc::channel(4);
    let setup = Setup {
        seal,
        tls: trust.client(&pki.material).unwrap(),
        endpoint: Endpoint {
            address,
            name: ServerName::try_from("localhost").unwrap(),
        },
        version,
        clock: WorldClock::new(),
        stop: CancellationToken::new(),
    };
    tasks::spawn("seal", Driver::new(setup, None, orders).run());
    (SealHandle::new(pki.material.name, control), platform)
}

async fn until(seal: &SealHandle, what: &str, looks: impl Fn(&View) -> bool) {
    let patience = Duration::from_secs(60);
    let found = timeout(patience, async {
        while !looks(&seal.view().await.unwrap()) {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(found.await.is_ok(), "never {what}");
}

async fn stamps_over(version: Version) {
    let (seal, platform) = started(version, usize::MAX).await;
    seal.power_on().await.unwrap();
    until(&seal, "online", |view| view.leased).await;
    for _ in 0..3 {
        let press = seal.press(Press::proper()).await.unwrap();
        assert_eq!(press.map(|press| press.kind), Some(None));
    }
    until(&seal, "drained", |view| view.unsent == 0).await;
    assert_eq!(platform.lock().unwrap().stored.len(), 3);
}

#[tokio::test]
async fn a_seal_stamps_over_mqtt_3() {
    stamps_over(Version::V4).await;
}

#[tokio::test]
async fn a_seal_stamps_over_mqtt_5() {
    stamps_over(Version::V5).await;
}

#[tokio::test]
async fn sessions_that_keep_breaking_lose_and_double_nothing() {
    let (seal, platform) = started(Version::V4, 5).await;
    seal.fault(LinkFault::Duplicate(true)).await.unwrap();
    seal.power_on().await.unwrap();
    until(&seal, "online", |view| view.leased).await;
    for _ in 0..6 {
        seal.press(Press::proper()).await.unwrap();
    }
    until(&seal, "drained", |view| view.unsent == 0).await;
    let truth = seal.truth().await.unwrap();
    assert_eq!(truth.records().count(), 6);
    assert_eq!(platform.lock().unwrap().stored.len(), 6);
}

#[tokio::test]
async fn a_cut_link_is_used_again_once_restored() {
    let (seal, platform) = started(Version::V5, usize::MAX).await;
    seal.power_on().await.unwrap();
    until(&seal, "online", |view| view.leased).await;
    seal.fault(LinkFault::Cut).await.unwrap();
    until(&seal, "offline", |view| !view.online).await;
    seal.press(Press::proper()).await.unwrap();
    seal.act(Input::Keys(1)).await.unwrap();
    seal.fault(LinkFault::Restore).await.unwrap();
    until(&seal, "drained", |view| view.unsent == 0).await;
    assert_eq!(platform.lock().unwrap().stored.len(), 1);
}

#[test]
fn a_bare_disconnect_of_version_5_is_read() {
    let mut bytes = BytesMut::from(&[0xe0_u8, 0x00][..]);
    let read = Mqtt::new(Version::V5).read(&mut bytes).unwrap();
    assert_eq!(read, Some(Inbound::Disconnect));
}

#[test]
fn half_a_packet_is_no_error() {
    let mut whole = BytesMut::new();
    Mqtt::new(Version::V4).publish(&mut whole, "s1/x/d", Some(7), b"hello");
    for cut in 0..whole.len() {
        let mut part = BytesMut::from(&whole[..cut]);
        assert!(Mqtt::new(Version::V4).read(&mut part).unwrap().is_none());
    }
}
