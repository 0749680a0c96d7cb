//! The outbox: positions are given out after the commit, then everybody hears.
//!
//! The bus may lose events (subscribers read the database), so where it stands is kept in memory only. The same reader
//! tells sessions of changed devices: on every node, whichever node changed them.

use bytes::Bytes;
use sealgate_domain::DeviceId;

use super::Parts;
use crate::{
    app::{
        AppError,
        outbox::{Committed, Topic},
    },
    bus::{Family, Topic as BusTopic},
};

/// Events of one read.
const PAGE: u64 = 256;

/// Numbers what was committed, and wakes whoever follows.
pub(super) async fn sequence(parts: Parts) -> Result<(), AppError> {
    let head = parts.app.sequence_outbox().await?;
    parts.app.wake.numbered(head);
    Ok(())
}

/// Follows committed events: to the bus, to the sessions of changed devices, into the counters.
pub(super) async fn publish(parts: Parts) -> Result<(), AppError> {
    let mut positions = parts.app.wake.positions();
    let mut after = parts.app.newest_position().await?;
    // Whatever changed before this moment is found by looking at all.
    for device in parts.devices.live() {
        parts.devices.changed(device);
    }
    loop {
        let events = parts.app.committed_after(after, PAGE).await?;
        for event in &events {
            tell(&parts, event);
            after = event.position;
        }
        if events.is_empty() && positions.changed().await.is_err() {
            return Ok(());
        }
    }
}

fn tell(parts: &Parts, event: &Committed) {
    parts.metrics.outbox_sequenced.inc();
    if let Some(device) = event.device
        && event.topic == Topic::Device
    {
        parts.devices.changed(device);
    }
    match event.topic {
        Topic::Command => count_command(parts, event),
        Topic::Alarm => count_alarm(parts, event),
        _ => {}
    }
    let (Some(bus), Some(organization), Some(family)) =
        (&parts.bus, event.organization, family(event.topic))
    else {
        return;
    };
    if !bus.is_heard() {
        return;
    }
    let message = serde_json::json!({
        "position": event.position,
        "topic": event.topic.as_str(),
        "device": event.device.map(|device: DeviceId| device.to_string()),
        "at": event.at.0,
        "event": event.payload,
    });
    let topic = BusTopic {
        organization: organization.0,
        family,
    };
    if bus
        .publish(topic, Bytes::from(message.to_string()))
        .is_err()
    {
        parts.metrics.bus_dropped.inc();
    }
}

const fn family(topic: Topic) -> Option<Family> {
    match topic {
        Topic::Stamp => Some(Family::Stamp),
        Topic::Alarm => Some(Family::Alarm),
        Topic::Presence => Some(Family::Presence),
        Topic::Command => Some(Family::Command),
        _ => None,
    }
}

/// An alarm raised ahead of its record is counted when the record comes.
fn count_alarm(parts: &Parts, event: &Committed) {
    let payload = &event.payload;
    let kind = payload.get("kind").and_then(|kind| kind.as_str());
    if payload.get("early").is_some() {
        return;
    }
    let alarms = &parts.metrics.alarms;
    alarms.with_label_values(&[kind.unwrap_or("other")]).inc();
    let stamps = payload.get("stamps").and_then(|stamps| stamps.as_array());
    for class in stamps
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("class")?.as_u64())
    {
        let abnormal = &parts.metrics.stamps_abnormal;
        abnormal
            .with_label_values(&[class.to_string().as_str()])
            .inc();
    }
}

fn count_command(parts: &Parts, event: &Committed) {
    let text = |key: &str| event.payload.get(key).and_then(|value| value.as_str());
    let (Some(op), Some(state)) = (text("op"), text("state")) else {
        return;
    };
    let commands = &parts.metrics.commands;
    commands.with_label_values(&[op, state]).inc();
    let created = event
        .payload
        .get("created_at")
        .and_then(serde_json::Value::as_i64);
    if let Some(created) = created.filter(|_| state == "applied") {
        let took = event.at.0.saturating_sub(created).max(0) as f64 / 1_000.0;
        let seconds = &parts.metrics.command_seconds;
        seconds.with_label_values(&[op]).observe(took);
    }
}
