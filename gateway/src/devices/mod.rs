//! Live sessions of devices: registry (terms), one actor a session, wire to domain translation, ingest, dispatch.

pub mod link;
