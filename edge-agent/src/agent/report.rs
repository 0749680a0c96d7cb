//! Fills in the report.

use crate::report::{GatewayView, PortView, QueueView, Report, SealView};

use super::Agent;

impl Agent {
    pub(super) async fn report(&self) -> Report {
        let now = self.clock.monotonic();
        let state = self.queue.state().await.unwrap_or_default();
        let seals = self
            .director
            .all(now)
            .into_iter()
            .map(|(seen, address)| SealView {
                seal: seen.dev.to_string(),
                presence: seen.presence.to_string(),
                way: seen.way.to_string(),
                address: address.map(|address| address.to_string()),
                rssi: seen.rssi,
                state: seen.state.0,
                pending: seen.pending,
                battery: seen.battery,
                age_s: seen.age,
            });
        let ports = self.ports.iter().map(|port| {
            let state = self.port_states.get(&port.name());
            PortView {
                name: port.name().to_string(),
                up: matches!(state, Some(Ok(()))),
                trouble: state.and_then(|state| state.clone().err()),
            }
        });
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_s: now / 1000,
            gateway: GatewayView {
                address: self.gateway.address.clone(),
                connected: self.link.is_up(),
                since_s: now.saturating_sub(self.link.since) / 1000,
                trouble: self.link.trouble.clone(),
            },
            queue: QueueView {
                messages: state.messages,
                bytes: state.bytes,
                limit: state.limit,
                oldest_s: state.oldest,
                refused: state.refused,
                failures: self.queue.failures(),
            },
            ports: ports.collect(),
            assignment: self.assignment.version,
            seals: seals.collect(),
            refused: self.director.refused,
            leaving: self.leaving.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Degrees Celsius of the box, where the kernel tells.
pub(super) fn temperature() -> Option<i8> {
    let text = std::fs::read_to_string("/sys/class/thermal/thermal_zone0/temp").ok()?;
    let millis: i32 = text.trim().parse().ok()?;
    i8::try_from(millis / 1000).ok()
}
