//! Decisions about seals, grants, stamps and commands: `(state, input, now) -> Result<new state + effects, RuleError>`.
//!
//! No clock, no IO, no serialization: time is an argument, rows, DTOs and wire structs convert at their own boundary.

mod ids;
mod time;

pub use ids::DeviceId;
pub use time::Millis;
