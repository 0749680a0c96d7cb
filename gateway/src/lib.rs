//! Sealgate: the gateway and platform for smart company seals.
//!
//! Rooms and the arrows between them are drawn in `ARCHITECTURE.md`; a tidy test reads the `use` lines and
//! fails on any other arrow. `http` and `devices` never see each other: they meet in `app` and `store`.

pub mod app;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod devices;
pub mod http;
pub mod ingress;
pub mod jobs;
pub mod providers;
pub mod server;
pub mod signer;
pub mod store;
pub mod tasks;
pub mod telemetry;
