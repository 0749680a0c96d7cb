//! Where links enter: seals through the [`front`], business subscribers through [`business`].
//!
//! Invariants of both listeners: the accept loop never waits for a peer; before a peer has proven who it is it
//! costs one slot and bounded memory for a bounded time; every queue is bounded; whatever one peer sends, the
//! others are served.

pub mod business;
pub mod front;
mod gate;
mod mqtt;
mod rate;
pub mod stats;
