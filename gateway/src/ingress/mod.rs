//! Where links enter: seals through the [`front`].
//!
//! Invariants of both listeners: the accept loop never waits for a peer; before a peer has proven who it is it
//! costs one slot and bounded memory for a bounded time; every queue is bounded; whatever one peer sends, the
//! others are served.

pub mod front;
pub mod gate;
mod mqtt;
pub mod stats;
