//! Decisions about seals, grants, stamps and commands: `(state, input, now) -> Result<new state + effects, RuleError>`.
//!
//! No clock, no IO, no serialization: time is an argument, rows, DTOs and wire structs convert at their own boundary.
//! Every refusal is a [`RuleError`] that names the business rule it enforces.

#![warn(missing_docs)]

#[macro_use]
mod text_enum;

pub mod code;
pub mod command;
pub mod device;
mod error;
pub mod grant;
mod ids;
pub mod member;
pub mod organization;
pub mod presence;
pub mod screen;
pub mod settings;
pub mod stamp;
mod time;

pub use error::RuleError;
pub use ids::{
    AuditId, CodeId, CommandId, DeviceId, GrantId, InvalidDeviceId, MemberId, OrganizationId,
    TokenId,
};
pub use text_enum::UnknownName;
pub use time::Millis;
