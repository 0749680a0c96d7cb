//! One device's presence and telemetry in a transaction of many.

use super::{PresenceNote, StatusReport};
use crate::store::{Event, StoreError, Topic, Tx, report};

pub(super) async fn presence(tx: &Tx, node: &str, note: &PresenceNote) -> Result<(), StoreError> {
    if simply(tx, node, note).await? {
        return match note.connected {
            Some((connected, link)) => tell(tx, note, connected, Some(link)).await,
            None => Ok(()),
        };
    }
    let Some(mut row) = report::lock(tx, note.device).await? else {
        return Ok(());
    };
    let before = row.presence();
    let mut after = before;
    match note.connected {
        Some((true, _)) => after = before.opened(note.term, note.at),
        Some((false, _)) => {
            // Begun and ended between two transactions: it still was.
            after = before.opened(note.term, note.at).closed(note.term, note.at);
        }
        // Only the live session of the registry notes contacts, always before its own end: whoever took it for over
        // (another process that started under this node's name) was wrong.
        None if note.term == before.term => after = before.opened(note.term, note.at),
        None => {}
    }
    row.set_presence(after);
    if let Some((_, link)) = note.connected
        && after.term == note.term
    {
        row.node = Some(node.to_owned());
        row.link = Some(link.to_owned());
        match after.connected {
            true => row.connected_at = Some(note.at.0),
            false => row.disconnected_at = Some(note.at.0),
        }
    }
    if note.connected.is_none() && after.connected && !before.connected {
        row.node = Some(node.to_owned());
        row.connected_at = Some(note.at.0);
    }
    if let Some(status) = &note.status
        && note.term >= before.term
    {
        telemetry(&mut row, status);
    }
    report::save(tx, &row).await?;
    if before.connected == after.connected {
        return Ok(());
    }
    tell(tx, note, after.connected, row.link.as_deref()).await
}

/// What happens to thousands at once takes one statement, when nothing stands against it.
async fn simply(tx: &Tx, node: &str, note: &PresenceNote) -> Result<bool, StoreError> {
    let (device, term, at) = (note.device, note.term, note.at);
    match (note.connected, &note.status) {
        (_, Some(_)) => Ok(false),
        (None, None) => report::heard(tx, device, term, at).await,
        (Some((true, link)), None) => report::opened(tx, device, term, at, (node, link)).await,
        (Some((false, link)), None) => report::closed(tx, device, term, at, (node, link)).await,
    }
}

async fn tell(
    tx: &Tx,
    note: &PresenceNote,
    connected: bool,
    link: Option<&str>,
) -> Result<(), StoreError> {
    tx.emit(Event {
        topic: Topic::Presence,
        organization: note.organization,
        device: Some(note.device),
        payload: serde_json::json!({
            "device": note.device.to_string(),
            "connected": connected,
            "link": link,
        }),
        at: note.at,
    })
    .await
}

fn telemetry(row: &mut report::Row, status: &StatusReport) {
    row.uptime_s = row.uptime_s.max(Some(i64::from(status.uptime_s)));
    row.battery = Some(i32::from(status.battery));
    row.rssi = status.rssi.map(i32::from).or(row.rssi);
    if let Some((position, at)) = status.position {
        row.lat_e7 = Some(position.lat_e7);
        row.lon_e7 = Some(position.lon_e7);
        row.accuracy = Some(i32::from(position.accuracy_m));
        row.position_at = Some(at.0);
        row.position_source = Some("device".to_owned());
    }
    if let Some(counted) = status.counted {
        row.counted = Some(serde_json::json!(counted));
    }
}
