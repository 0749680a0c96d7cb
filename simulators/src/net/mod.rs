//! A seal on a real network: TLS with its own certificate, MQTT, one task a seal.

mod control;
mod driver;
mod mqtt;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

pub use control::{Control, LinkFault, SealGone, SealHandle, View};
pub use driver::{Driver, Endpoint, Setup};
pub use mqtt::{Inbound, MAX_PACKET, Mqtt, MqttError, Version};
pub use tls::{TlsError, Trust};
pub use wire::{Opening, Wire};
