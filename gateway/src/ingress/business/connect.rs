//! From an accepted socket to a subscriber: TLS if configured, CONNECT, token, CONNACK.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::timeout;
use tracing::debug;

use super::{Core, TokenCheck, session};
use crate::ingress::{
    gate::Slot,
    mqtt::{
        Version,
        conn::{Conn, Counted, Link, Meter},
        connect::{self, Connect, First, Refused, Welcome},
    },
    stats::Count,
};

/// How long a refused client may take to hear why.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Longest check of a token.
const CHECK: Duration = Duration::from_secs(10);

/// Takes a connection through TLS, if any, and on.
pub(super) async fn admit<T: TokenCheck>(
    core: Arc<Core<T>>,
    socket: Counted,
    peer: SocketAddr,
    slot: Slot,
) {
    let meter = socket.shared_meter();
    let Some(tls) = core.tls.clone() else {
        return welcome(core, Conn::new(socket), &meter, peer, slot).await;
    };
    match core.gate.enter(socket, tls.config()).await {
        Ok(entered) => {
            let conn = Conn::new(entered.stream);
            welcome(core, conn, &meter, peer, slot).await;
        }
        Err(count) => core.gate.stats.bump(count),
    }
}

async fn welcome<T: TokenCheck, S: Link>(
    core: Arc<Core<T>>,
    mut conn: Conn<S>,
    meter: &Meter,
    peer: SocketAddr,
    slot: Slot,
) {
    let stats = &core.gate.stats;
    let first = read_first(&mut conn);
    let connect = match core
        .gate
        .patiently(meter, core.config.connect_timeout, first)
        .await
    {
        None => return stats.bump(Count::ConnectTimeout),
        Some(None) => return stats.bump(Count::ConnectMalformed),
        Some(Some(First::Level)) => {
            return refuse(&core, conn, Version::V4, Refused::Version).await;
        }
        Some(Some(First::Connect(connect))) => connect,
    };
    let version = connect.version;
    if connect.auth_method {
        return refuse(&core, conn, version, Refused::AuthMethod).await;
    }
    let Some(token) = connect.password.clone() else {
        return refuse(&core, conn, version, Refused::Credentials).await;
    };
    match timeout(CHECK, core.tokens.check(&token)).await {
        Err(_) => refuse(&core, conn, version, Refused::Unavailable).await,
        Ok(None) => refuse(&core, conn, version, Refused::Credentials).await,
        Ok(Some(subscriber)) => {
            let Some(seat) = core.seats.take(&subscriber.name) else {
                debug!(%peer, name = subscriber.name, "too many sessions with one token");
                return refuse(&core, conn, version, Refused::Quota).await;
            };
            debug!(%peer, name = subscriber.name, "subscriber");
            let keep_alive = greet(&core, &mut conn, connect);
            let reader =
                session::Reader::new(core.clone(), conn, (version, keep_alive), subscriber);
            // Boxed: sessions are long, and this task's own state is done with.
            let session = Box::new(reader).run(token, (slot, seat));
            core.gate.spawn("reader", session);
        }
    }
}

fn greet<T, S: Link>(core: &Core<T>, conn: &mut Conn<S>, connect: Connect) -> Duration {
    let (keep_alive, told) = connect.keep_alive(core.config.max_keep_alive);
    let assigned = format!("reader-{:016x}", rand::random::<u64>());
    let welcome = Welcome {
        receive_maximum: None,
        alias_maximum: 0,
        max_qos: 0,
        wildcards: true,
        keep_alive: told,
        client_id: connect.client_id.is_empty().then_some(assigned),
    };
    connect::accept(&mut conn.outbox, connect.version, welcome);
    keep_alive
}

async fn read_first<S: Link>(conn: &mut Conn<S>) -> Option<First> {
    loop {
        match connect::next(&mut conn.inbox) {
            Ok(Some(first)) => return Some(first),
            Ok(None) => conn.fill().await.ok()?,
            Err(_) => return None,
        }
    }
}

async fn refuse<T, S: Link>(core: &Core<T>, mut conn: Conn<S>, version: Version, why: Refused) {
    core.gate.stats.bump(Count::ConnectRefused);
    connect::refuse(&mut conn.outbox, version, why);
    conn.close(CLOSE_PATIENCE).await;
}
