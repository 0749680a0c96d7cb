//! Business subscribers: tokens, filters, and what a rude one costs the others.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sealgate::{
    bus::{Bus, Families, Family, Topic},
    clock::{SharedClock, SystemClock},
    ingress::{
        business::{Business, BusinessConfig, BusinessHandle, Sees, Subscriber, TokenCheck},
        front::TlsMaterial,
        stats::{Count, Stats},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use super::support::{Fleet, PATIENCE, until};

const ORGANIZATION: Uuid = Uuid::from_u128(0x0123);
const OTHER: Uuid = Uuid::from_u128(0x0456);

/// `sk_all` sees everything, `sk_stamps` stamps only, `sk_one` one organization.
#[derive(Default)]
struct Tokens {
    revoked: AtomicBool,
}

impl TokenCheck for Tokens {
    async fn check(&self, token: &str) -> Option<Subscriber> {
        let sees = match token {
            "sk_all" | "sk_stamps" => Sees::All,
            "sk_one" if !self.revoked.load(Ordering::SeqCst) => Sees::Organization(ORGANIZATION),
            _ => return None,
        };
        let families = match token {
            "sk_stamps" => [Family::Stamp].into_iter().collect(),
            _ => Families::all(),
        };
        Some(Subscriber {
            sees,
            families,
            name: token.to_owned(),
        })
    }
}

struct Desk {
    bus: Bus,
    listener: BusinessHandle,
    tokens: Arc<Tokens>,
}

impl Desk {
    fn with(change: impl FnOnce(&mut BusinessConfig)) -> Self {
        Self::start(None, change)
    }

    fn over(tls: TlsMaterial) -> Self {
        Self::start(Some(tls), |_| {})
    }

    fn start(tls: Option<TlsMaterial>, change: impl FnOnce(&mut BusinessConfig)) -> Self {
        let clock: SharedClock = Arc::new(SystemClock::new());
        let bus = Bus::start(clock.clone(), None);
        let tokens = Arc::new(Tokens::default());
        let mut config = BusinessConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            connect_timeout: Duration::from_secs(2),
            ..BusinessConfig::default()
        };
        change(&mut config);
        let stats = Arc::new(Stats::default());
        let listener = Business::start(config, tls, bus.clone(), tokens.clone(), clock, stats)
            .expect("a listener");
        Self {
            bus,
            listener,
            tokens,
        }
    }

    async fn reader(&self, level: u8, token: &str) -> Reader {
        let mut reader = Reader::dial(&self.listener, level).await;
        reader.send(&connect(level, "dashboard", token)).await;
        assert_eq!(reader.packet().await.expect("an answer")[3], 0, "accepted");
        reader
    }

    /// An event for everyone who may see it goes through the bus once it is up.
    async fn publish(&self, organization: Uuid, family: Family, payload: &'static str) {
        until("the bus", || self.bus.builds() > 0).await;
        let topic = Topic {
            organization,
            family,
        };
        self.bus.publish(topic, payload.into()).expect("taken");
    }

    async fn others_are_served(&self) {
        let mut bystander = self.reader(4, "sk_all").await;
        assert_eq!(bystander.subscribe("events/#").await, [0]);
        self.publish(ORGANIZATION, Family::Presence, "still here")
            .await;
        // What was published before and is still on its way may come first.
        while !bystander.event().await.ends_with("still here") {}
    }
}

/// A CONNECT with user name and password.
fn connect(level: u8, client_id: &str, token: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend_from_slice(&[level, 0xC2, 0, 60]);
    if level == 5 {
        body.push(0);
    }
    for text in [client_id, "anyone", token] {
        body.push(0);
        body.push(u8::try_from(text.len()).expect("short"));
        body.extend_from_slice(text.as_bytes());
    }
    framed(0x10, &body)
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first, u8::try_from(body.len()).expect("short")];
    assert!(body.len() < 128);
    out.extend_from_slice(body);
    out
}

/// A subscriber over plain TCP.
struct Reader {
    socket: TcpStream,
    level: u8,
}

impl Reader {
    async fn dial(listener: &BusinessHandle, level: u8) -> Self {
        let socket = TcpStream::connect(listener.local_addr())
            .await
            .expect("a connection");
        Self { socket, level }
    }

    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next packet; nothing when the listener has hung up.
    async fn packet(&mut self) -> Option<Vec<u8>> {
        timeout(PATIENCE, self.read())
            .await
            .expect("a packet or the end")
    }

    async fn read(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![self.socket.read_u8().await.ok()?];
        let mut length = 0usize;
        for shift in [0, 7, 14] {
            let byte = self.socket.read_u8().await.ok()?;
            packet.push(byte);
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let start = packet.len();
        packet.resize(start + length, 0);
        self.socket.read_exact(&mut packet[start..]).await.ok()?;
        Some(packet)
    }

    /// The codes of the answer.
    async fn subscribe(&mut self, filter: &str) -> Vec<u8> {
        let mut body = vec![0, 1];
        if self.level == 5 {
            body.push(0);
        }
        body.push(0);
        body.push(u8::try_from(filter.len()).expect("short"));
        body.extend_from_slice(filter.as_bytes());
        body.push(1);
        self.send(&framed(0x82, &body)).await;
        let packet = self.packet().await.expect("SUBACK");
        assert_eq!(packet[0], 0x90);
        packet[if self.level == 5 { 5 } else { 4 }..].to_vec()
    }

    /// The next event, topic and payload in one.
    async fn event(&mut self) -> String {
        let packet = self.packet().await.expect("an event");
        assert_eq!(packet[0], 0x30);
        String::from_utf8_lossy(&packet[4..]).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_read_what_their_token_may_see() {
    let desk = Desk::with(|_| {});
    let mut all = desk.reader(4, "sk_all").await;
    let mut one = desk.reader(5, "sk_one").await;
    assert_eq!(
        all.subscribe("events/+/stamp").await,
        [0],
        "QoS 0 is what there is"
    );
    assert_eq!(
        one.subscribe(&format!("events/{ORGANIZATION}/#")).await,
        [0]
    );
    for foreign in [
        "events/#",
        "events/+/stamp",
        "#",
        &format!("events/{OTHER}/stamp"),
    ] {
        assert_eq!(one.subscribe(foreign).await, [0x87], "{foreign}");
    }
    desk.publish(OTHER, Family::Stamp, "theirs").await;
    desk.publish(ORGANIZATION, Family::Alarm, "alarm").await;
    desk.publish(ORGANIZATION, Family::Stamp, "ours").await;
    assert!(all.event().await.ends_with("theirs"));
    assert!(all.event().await.ends_with("ours"));
    assert!(one.event().await.ends_with("alarm"));
    assert!(one.event().await.ends_with("ours"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_token_nobody_enters() {
    let desk = Desk::with(|_| {});
    for (level, code) in [(4, 4), (5, 0x86)] {
        let mut stranger = Reader::dial(&desk.listener, level).await;
        stranger.send(&connect(level, "x", "sk_guess")).await;
        assert_eq!(stranger.packet().await.expect("an answer")[3], code);
        assert_eq!(stranger.packet().await, None);
    }
    let mut nameless = Reader::dial(&desk.listener, 4).await;
    nameless
        .send(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        .await;
    assert_eq!(nameless.packet().await.expect("an answer")[3], 4);
    desk.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_is_refused() {
    let desk = Desk::with(|_| {});
    for level in [4, 5] {
        let mut writer = desk.reader(level, "sk_all").await;
        let topic = format!("events/{ORGANIZATION}/stamp");
        let mut body = vec![0, u8::try_from(topic.len()).expect("short")];
        body.extend_from_slice(topic.as_bytes());
        body.extend_from_slice(&[0, 0]);
        writer.send(&framed(0x30, &body)).await;
        if level == 5 {
            assert_eq!(writer.packet().await, Some(vec![0xE0, 1, 0x87]));
        }
        assert_eq!(writer.packet().await, None);
    }
    desk.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_its_sessions() {
    let desk = Desk::with(|config| config.recheck = Duration::from_millis(50));
    let mut one = desk.reader(5, "sk_one").await;
    desk.tokens.revoked.store(true, Ordering::SeqCst);
    assert_eq!(one.packet().await, Some(vec![0xE0, 1, 0x87]));
    assert_eq!(one.packet().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_keep_up_is_dropped_and_holds_nobody_up() {
    let desk = Desk::with(|config| config.write_timeout = Duration::from_secs(60));
    let mut lazy = desk.reader(5, "sk_all").await;
    let mut eager = desk.reader(4, "sk_all").await;
    assert_eq!(lazy.subscribe("events/#").await, [0]);
    assert_eq!(eager.subscribe("events/#").await, [0]);
    until("the bus", || desk.bus.builds() > 0).await;
    let payload = bytes::Bytes::from(vec![b'x'; 4_000]);
    let topic = Topic {
        organization: ORGANIZATION,
        family: Family::Stamp,
    };
    let flood = async {
        while desk.listener.stats().get(Count::Lagged) == 0 {
            let taken = (0..50).filter(|_| desk.bus.publish(topic, payload.clone()).is_ok());
            for _ in 0..taken.count() {
                eager.packet().await.expect("an event");
            }
        }
    };
    timeout(PATIENCE, flood)
        .await
        .expect("the lazy one is dropped");
    desk.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kills_a_router_from_outside_does_not_reach_it() {
    let desk = Desk::with(|config| config.max_sessions = 8);
    for round in 0..10 {
        for client_id in ["a/b", "+", "#", "$x", "\u{e9}"] {
            let mut odd = Reader::dial(&desk.listener, 4).await;
            odd.send(&connect(4, client_id, "sk_all")).await;
            assert_eq!(
                odd.packet().await.expect("an answer")[3],
                0,
                "ids mean nothing here"
            );
            assert_eq!(odd.subscribe("$share/g/events/#").await, [0x80]);
            assert_eq!(odd.subscribe("\u{e9}").await, [0x80]);
            assert_eq!(odd.subscribe("events/#").await, [0]);
            if round % 2 == 0 {
                odd.send(&[0xE0, 0]).await;
            }
        }
        let mut leaver = desk.reader(5, "sk_all").await;
        assert_eq!(leaver.subscribe("events/#").await, [0]);
        let mut body = vec![0, 2, 0, 0, 8];
        body.extend_from_slice(b"events/#");
        leaver.send(&framed(0xA2, &body)).await;
        assert_eq!(leaver.packet().await, Some(vec![0xB0, 4, 0, 2, 0, 0]));
        desk.publish(ORGANIZATION, Family::Command, "busy").await;
        until("places come back", || desk.listener.stats().sessions() < 2).await;
    }
    desk.others_are_served().await;
    assert_eq!(desk.bus.builds(), 1, "the router noticed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_delivers_only_the_families_of_the_token() {
    let desk = Desk::with(|_| {});
    let mut everything = desk.reader(4, "sk_all").await;
    assert_eq!(everything.subscribe("events/#").await, [0]);
    let mut stamps = desk.reader(4, "sk_stamps").await;
    assert_eq!(stamps.subscribe("events/+/presence").await, [0x80]);
    assert_eq!(stamps.subscribe("events/#").await, [0]);
    desk.publish(ORGANIZATION, Family::Presence, "hidden").await;
    assert!(everything.event().await.ends_with("hidden"));
    desk.publish(ORGANIZATION, Family::Stamp, "shown").await;
    assert!(stamps.event().await.ends_with("shown"));
}

/// The certificate the listener shows now.
async fn shown(listener: &BusinessHandle, fleet: &Fleet) -> Vec<u8> {
    let socket = TcpStream::connect(listener.local_addr())
        .await
        .expect("a connection");
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    let tls = tokio_rustls::TlsConnector::from(fleet.nobody());
    let secure = tls.connect(name, socket).await.expect("a handshake");
    let chain = secure.get_ref().1.peer_certificates().expect("a chain");
    chain[0].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_from_the_next_handshake_on() {
    let fleet = Fleet::new();
    let (old, new) = (fleet.server(), fleet.renewed());
    let (before, after) = (old.chain[0].to_vec(), new.chain[0].to_vec());
    let listener = Desk::over(old).listener;
    assert_eq!(shown(&listener, &fleet).await, before);
    let mut bad = new.clone();
    bad.chain.clear();
    assert!(listener.reload_tls(bad).is_err());
    assert_eq!(shown(&listener, &fleet).await, before);
    listener.reload_tls(new).expect("good material");
    assert_eq!(shown(&listener, &fleet).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_plain_text_gets_nothing_and_draining_says_goodbye() {
    let fleet = Fleet::new();
    let listener = Desk::over(fleet.server()).listener;
    let mut plain = Reader::dial(&listener, 4).await;
    plain.send(&connect(4, "x", "sk_all")).await;
    let answer = plain.packet().await;
    assert!(answer.is_none_or(|packet| packet[0] != 0x20));

    let socket = TcpStream::connect(listener.local_addr())
        .await
        .expect("a connection");
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    let tls = tokio_rustls::TlsConnector::from(fleet.nobody());
    let mut secure = tls.connect(name, socket).await.expect("a handshake");
    secure
        .write_all(&connect(5, "x", "sk_all"))
        .await
        .expect("sent");
    let mut answer = [0; 4];
    secure.read_exact(&mut answer).await.expect("CONNACK");
    assert_eq!((answer[0], answer[3]), (0x20, 0));
    assert!(listener.drain(Duration::from_secs(5)).await);
    let mut rest = Vec::new();
    let _ = secure.read_to_end(&mut rest).await;
    assert!(rest.ends_with(&[0xE0, 1, 0x8B]));
}
