//! The seal against a platform in memory.

mod rules;
mod schedules;
pub(crate) mod world;
