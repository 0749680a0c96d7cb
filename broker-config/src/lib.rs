//! Material that brokers, seals and the gateway share before any of them runs: the development fleet CA, device
//! certificates, the key hierarchy, settings of the embedded broker and of an outside MQTT 5 cluster, ACL files.
//!
//! Nothing here reads a clock (`now` is an argument, in Unix seconds) or touches the network. Secret files are
//! created with mode 600, whole or not at all, and are never overwritten. Secrets do not appear in `Debug` output.

pub mod acl;
pub mod ca;
pub mod device;
pub mod error;
pub mod files;
pub mod keys;
pub mod settings;

pub use error::Error;

/// Seconds since 1970-01-01T00:00:00Z.
pub type UnixSeconds = u64;

/// One day.
pub const DAY: UnixSeconds = 86_400;
