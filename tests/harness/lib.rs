//! What the integration tests stand on: gateways as children to kill, an API client, device material, a raw MQTT client
//! that may misbehave, seals, patience and seeds.
//!
//! Nothing here asserts a wall time; waiting is for a condition, with a deadline far beyond what any machine needs.

pub mod api;
pub mod database;
pub mod gateway;
pub mod impostor;
pub mod material;
pub mod postgres;
pub mod proxy;
pub mod raw;
pub mod seed;
pub mod signer;
pub mod storm;
pub mod tools;
pub mod wait;
pub mod world;
