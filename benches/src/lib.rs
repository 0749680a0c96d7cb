//! The load generator's parts.
//!
//! Load runs in its own process against a gateway child on loopback; whatever can be prepared (keys, signatures,
//! encoded messages) is prepared before the clock starts, so that the generator measures the gateway and not itself.
//! Everything is bounded: counts, durations, descriptors.

pub mod ceiling;
pub mod client;
pub mod peer;
pub mod report;
pub mod servers;
pub mod timer;
