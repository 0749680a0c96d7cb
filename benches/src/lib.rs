//! The load generator's parts.
//!
//! Load runs in its own process against a gateway child on loopback; whatever can be prepared (keys, signatures,
//! encoded messages) is prepared before the clock starts, so that the generator measures the gateway and not itself.
//! Everything is bounded: counts, durations, descriptors.

pub mod ceiling;
pub mod client;
pub mod idle;
pub mod lock;
pub mod pages;
pub mod peer;
pub mod prepared;
pub mod reconcile;
pub mod report;
pub mod seed;
pub mod servers;
pub mod stamps;
pub mod storm;
pub mod timer;
pub mod world;
