//! Tests of the wire: vectors, schema, properties, tickets, statements, the log chain over a bad link.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps says where it failed"
)]

mod abnormal;
mod chain;
#[allow(unreachable_pub, reason = "also a module of the fuzz targets")]
mod checks;
mod cose;
mod documents;
mod edge;
mod edge_samples;
mod framing;
mod keys;
mod link;
mod link_lossy;
mod link_samples;
mod lossy;
mod negative;
mod oracle;
mod properties;
mod samples;
mod schema;
mod statements;
mod tickets;
mod topics;
mod vectors;
