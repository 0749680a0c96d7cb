//! Reports as tables.

use std::fmt::Write as _;

use sealgate_codec::link::AdvertState;

use crate::report::{NearbyView, Report};

/// A table with aligned columns.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths);
        let line: Vec<String> = padded
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", line.join("  ").trim_end())
    };
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let mut text = line(&head);
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn bits(state: u8) -> String {
    let names = [
        (AdvertState::RECORDS, "records"),
        (AdvertState::NEEDS_LEASE, "lease"),
        (AdvertState::LOCKED, "locked"),
        (AdvertState::UNBOUND, "unbound"),
        (AdvertState::LOW_BATTERY, "low battery"),
        (AdvertState::LINKED, "linked"),
    ];
    let set = names.iter().filter(|(bit, _)| AdvertState(state).has(*bit));
    let set: Vec<&str> = set.map(|(_, name)| *name).collect();
    if set.is_empty() {
        "-".to_owned()
    } else {
        set.join(", ")
    }
}

pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    let gateway = &report.gateway;
    let state = if gateway.connected {
        format!("connected for {} s", gateway.since_s)
    } else {
        let why = gateway.trouble.as_deref().unwrap_or("connecting");
        format!("not connected: {why}")
    };
    let queue = &report.queue;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "version   {}, up {} s", report.version, report.up_s);
    let _ = writeln!(text, "gateway   {}, {state}", gateway.address);
    let _ = writeln!(
        text,
        "queue     {} messages, {} of {} bytes, oldest {} s, {} refused, {} failed commits",
        queue.messages, queue.bytes, queue.limit, queue.oldest_s, queue.refused, queue.failures
    );
    for port in &report.ports {
        let state = match (&port.trouble, port.up) {
            (Some(trouble), _) => trouble.as_str(),
            (None, true) => "works",
            (None, false) => "starting",
        };
        let _ = writeln!(text, "port      {}: {state}", port.name);
    }
    for seal in &report.leaving {
        let _ = writeln!(text, "leaving   {seal}: its messages wait for the gateway");
    }
    let rows: Vec<Vec<String>> = report
        .seals
        .iter()
        .map(|seal| {
            vec![
                seal.seal.clone(),
                seal.presence.clone(),
                seal.way.clone(),
                or_dash(seal.rssi.as_ref()),
                seal.pending.to_string(),
                or_dash(seal.battery.as_ref()),
                seal.age_s.to_string(),
                bits(seal.state),
                or_dash(seal.address.as_ref()),
            ]
        })
        .collect();
    let head = [
        "seal", "presence", "way", "dBm", "pending", "battery", "age", "state", "address",
    ];
    text.push('\n');
    text.push_str(&table(&head, &rows));
    text
}

pub(super) fn nearby(found: &[NearbyView]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|seal| {
            vec![
                seal.address.clone(),
                seal.id.clone(),
                or_dash(seal.seal.as_ref()),
                or_dash(seal.rssi.as_ref()),
                seal.pending.to_string(),
                seal.battery.to_string(),
                bits(seal.state),
            ]
        })
        .collect();
    let head = [
        "address", "id", "seal", "dBm", "pending", "battery", "state",
    ];
    table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_a_table_with_aligned_columns() {
        let one = NearbyView {
            address: "AA:BB:CC:DD:EE:FF".to_owned(),
            id: "010203040506".to_owned(),
            seal: None,
            rssi: Some(-70),
            pending: 3,
            battery: 87,
            state: AdvertState::RECORDS | AdvertState::LOCKED,
        };
        let expected = "\
address            id            seal  dBm  pending  battery  state
AA:BB:CC:DD:EE:FF  010203040506  -     -70  3        87       records, locked
";
        assert_eq!(nearby(&[one]), expected);
    }
}
