//! A bad network for UDP: loss, delay, jitter, little bandwidth, outages, and a NAT that forgets.
//!
//! - [`Lane`]: one direction as a queue without clock or socket; the same seed and the same offers give the same fate.
//! - [`UdpProxy`]: two lanes a client between real sockets.
//!
//! A lane is first in, first out, unless reordering is asked for: a delay line with one timer a packet would reorder,
//! and QUIC takes that for loss.

mod lane;
mod udp;

#[cfg(test)]
mod tests;

pub use lane::{Fate, Lane, Weather};
pub use udp::{Counters, UdpProxy};
