//! Simulated seals that speak SL/1 as real ones do.
//!
//! - [`seal`]: one GL seal as a machine without clock or socket, and the world's memory of it for oracles.
//! - [`net`]: such a seal over mTLS and MQTT, in a task of its own.
//! - [`fleet`]: many of them, and the people who use them.
//!
//! A simulator never decides what a test should find: it plays, and remembers what really happened.

pub mod clock;
pub mod fleet;
pub mod net;
pub mod seal;
mod tasks;
