//! From an accepted socket to a session: handshake, identity, CONNECT, session host, CONNACK.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sealgate_domain::DeviceId;
use tokio::{io, time::timeout};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::{
    Core, identity,
    session::{Client, Pump},
    topics,
};
use crate::{
    devices::link::{Identity, LinkKind, Refusal, Session, SessionHost},
    ingress::{
        gate::Slot,
        mqtt::{
            Fault, MAX_PACKET, Version,
            conn::{Conn, Counted},
            connect::{self, Connect, First, Refused, Welcome},
        },
        stats::Count,
    },
};

/// How long a refused client may take to hear why.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A stream of this listener.
pub(super) type Stream = Box<TlsStream<Counted>>;

/// Why a first packet was not taken.
#[derive(Debug)]
enum Bad {
    Io,
    Fault,
    Level,
}

/// Takes a connection as far as its session, which runs in a task of its own: this one's memory is freed.
pub(super) async fn admit<H: SessionHost>(
    core: Arc<Core>,
    host: Arc<H>,
    socket: Counted,
    peer: SocketAddr,
    slot: Slot,
) {
    let gate = &core.gate;
    let meter = socket.shared_meter();
    let entered = match gate.enter(socket, core.tls.config()).await {
        Ok(entered) => entered,
        Err(count) => return gate.stats.bump(count),
    };
    let chain = entered.stream.get_ref().1.peer_certificates();
    let Some(proven) = identity::prove(chain, gate.clock.now()) else {
        return gate.stats.bump(Count::BadIdentity);
    };
    let identity = Identity {
        device: proven.device,
        certificate: proven.certificate,
        peer,
        kind: LinkKind::Mqtt,
    };
    let mut conn = Conn::new(entered.stream);
    let first = read_connect(&mut conn);
    let first = gate
        .patiently(&meter, core.config.connect_timeout, first)
        .await;
    drop(entered.place);
    let connect = match first {
        None => return gate.stats.bump(Count::ConnectTimeout),
        Some(Err(Bad::Io)) => return gate.stats.bump(Count::Lost),
        Some(Err(Bad::Fault)) => return gate.stats.bump(Count::ConnectMalformed),
        Some(Err(Bad::Level)) => return refuse(&core, conn, Version::V4, Refused::Version).await,
        Some(Ok(connect)) => connect,
    };
    match open(&core, host.as_ref(), identity, &connect).await {
        Ok(session) => begin(core, conn, connect, session, proven.device, slot),
        Err(why) => refuse(&core, conn, connect.version, why).await,
    }
}

async fn read_connect(conn: &mut Conn<Stream>) -> Result<Connect, Bad> {
    loop {
        match connect::next(&mut conn.inbox) {
            Ok(Some(First::Connect(connect))) => return Ok(connect),
            Ok(Some(First::Level)) => return Err(Bad::Level),
            Ok(None) => {}
            Err(fault) => {
                debug!(%fault, "CONNECT");
                return Err(Bad::Fault);
            }
        }
        conn.fill().await.map_err(|_: io::Error| Bad::Io)?;
    }
}

/// The client id repeats the certificate or is left to us; the session host has the last word.
async fn open<H: SessionHost>(
    core: &Core,
    host: &H,
    identity: Identity,
    connect: &Connect,
) -> Result<Session, Refused> {
    let id = &connect.client_id;
    if !id.is_empty() && id.parse() != Ok(identity.device) {
        return Err(Refused::ClientId);
    }
    if connect.auth_method {
        return Err(Refused::AuthMethod);
    }
    let device = identity.device;
    match timeout(core.config.open_timeout, host.open(identity)).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(refusal)) => {
            debug!(%device, ?refusal, "session refused");
            if matches!(refusal, Refusal::NotAuthorized | Refusal::Retired) {
                core.tls.forget(device);
            }
            Err(match refusal {
                Refusal::NotAuthorized => Refused::NotAuthorized,
                Refusal::Retired => Refused::Banned,
                Refusal::Busy(_) => Refused::Busy,
                Refusal::Unavailable => Refused::Unavailable,
            })
        }
        Err(_) => Err(Refused::Unavailable),
    }
}

fn begin(
    core: Arc<Core>,
    mut conn: Conn<Stream>,
    connect: Connect,
    session: Session,
    device: DeviceId,
    slot: Slot,
) {
    let (keep_alive, told) = connect.keep_alive(core.config.max_keep_alive);
    let welcome = Welcome {
        receive_maximum: Some(core.config.receive_maximum),
        alias_maximum: topics::ALIASES,
        max_qos: 1,
        wildcards: false,
        keep_alive: told,
        client_id: connect.client_id.is_empty().then(|| device.to_string()),
    };
    connect::accept(&mut conn.outbox, connect.version, welcome);
    let client = Client {
        device,
        version: connect.version,
        keep_alive,
        max_packet: connect.max_packet.min(MAX_PACKET),
        alias_maximum: connect.alias_maximum,
        in_flight: connect.receive_maximum.min(core.config.in_flight),
    };
    let pump = Pump::new(core.clone(), conn, client, session, slot);
    core.gate.spawn("seal", pump.run());
}

async fn refuse(core: &Core, mut conn: Conn<Stream>, version: Version, why: Refused) {
    core.gate.stats.bump(Count::ConnectRefused);
    connect::refuse(&mut conn.outbox, version, why);
    conn.close(CLOSE_PATIENCE).await;
}

impl From<Fault> for Bad {
    fn from(_: Fault) -> Self {
        Self::Fault
    }
}
