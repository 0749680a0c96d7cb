//! Simulated seals that speak SL/1 as real ones do.
//!
//! - [`seal`]: one GL seal as a machine without clock or socket, and the world's memory of it for oracles.
//! - [`net`]: such a seal over mTLS and MQTT, in a task of its own.
//! - [`fleet`]: many of them, and the people who use them.
//! - [`peripheral`]: a seal as a radio or a wire sees it, and the media: [`bluez`], a Bluetooth daemon without a
//!   radio on a private D-Bus; [`serial`], pseudo-terminals.
//! - [`proxy`]: a bad network for UDP.
//!
//! A simulator never decides what a test should find: it plays, and remembers what really happened.

pub mod bluez;
pub mod clock;
pub mod fleet;
pub mod net;
pub mod peripheral;
pub mod proxy;
pub mod seal;
pub mod serial;
mod tasks;
