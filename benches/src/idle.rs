//! What an idle session costs: resident memory of the gateway before and after thousands of seals have connected and
//! said HELLO.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};

use crate::{
    client::Client,
    prepared::Seal,
    report::Report,
    stamps::HELLO_ACK,
    timer::to_f64,
    world::{Gateway, source},
};

/// Connects everybody and leaves them alone.
///
/// # Errors
/// A session was refused.
pub async fn connect(front: SocketAddr, seals: &[Seal]) -> Result<Vec<Client>> {
    let sessions = stream::iter(seals.iter().enumerate()).map(|(number, seal)| async move {
        let hello = seal.hello(1);
        let tls = Arc::clone(&seal.tls);
        let mut client = Client::connect(front, source(number), tls, &seal.name, Some(&hello))
            .await
            .with_context(|| format!("session {number}"))?;
        client.wait_for(HELLO_ACK).await?;
        client.shrink();
        anyhow::Ok(client)
    });
    let opened: Vec<Result<Client>> = sessions.buffered(64).collect().await;
    opened.into_iter().collect()
}

/// Measures.
///
/// # Errors
/// A session was refused.
pub async fn run(gateway: &Gateway, seals: &[Seal]) -> Result<Report> {
    let mut report = Report::of("idle: resident memory of sessions that do nothing");
    report.set("sessions", seals.len());
    // Pools, caches and threads that the first sessions bring are the gateway's, not the sessions'.
    let (warm, rest) = seals.split_at(seals.len().min(64));
    let first = connect(gateway.at.front, warm).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = gateway.resident()?;
    let clients = connect(gateway.at.front, rest).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = gateway.resident()?;
    let each = to_f64(after.saturating_sub(before)) / to_f64(rest.len().max(1) as u64) / 1000.0;
    report.figure("resident before", to_f64(before) / 1e6, "MB", None);
    report.figure("resident after", to_f64(after) / 1e6, "MB", None);
    report.figure("a session", each, "kB", Some("12 kB"));
    drop((first, clients));
    Ok(report)
}
