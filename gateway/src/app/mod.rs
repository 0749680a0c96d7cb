//! Use cases: check access, load, decide, save with audit and outbox rows in one transaction, wake.
//!
//! Access is checked before anything is loaded; what belongs to others does not exist. Nothing outward happens
//! inside a transaction: rows first, messages and commands after the commit, by background work if need be.

pub mod access;
mod actor;
mod error;
mod handle;
pub mod order;
mod readiness;
mod wake;

pub use actor::{Actor, ActorKind, RequestKey};
pub use error::{AppError, AuthFailure};
pub use handle::App;
pub use readiness::{Readiness, Report};
pub use wake::Wake;
