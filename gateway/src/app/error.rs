//! Why a use case did not happen. Knows nothing of HTTP.

use sealgate_domain::RuleError;

use crate::{providers::sms::SmsError, store::StoreError};

use super::{
    Words,
    access::{Reach, Scope},
};

/// Why a use case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// No such thing, or none the actor may know of.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The token is missing, unknown, expired or revoked.
    #[error("not authenticated: {0}")]
    Unauthenticated(AuthFailure),
    /// The actor lacks the right.
    #[error("not permitted: needs {} ({reach:?})", scope.name())]
    Denied {
        /// The scope it needs.
        scope: Scope,
        /// Whether it must be the platform's.
        reach: Reach,
    },
    /// A business rule forbids it.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The state of things forbids it and no business rule has a name for it.
    #[error("{0}")]
    Conflict(Words),
    /// It was changed in the meantime.
    #[error("it is at version {current}")]
    Stale {
        /// The version it has now.
        current: i64,
    },
    /// A value no field of its kind may have.
    #[error("{field}: {message}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        message: Words,
    },
    /// Too often: after this many seconds again.
    #[error("again in {0} s")]
    TooOften(u64),
    /// The database failed, or two changes met.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The message service failed.
    #[error("a text message was not sent")]
    Sms(#[from] SmsError),
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// There is none.
    #[error("no token")]
    Missing,
    /// The header has another form than `Bearer TOKEN`.
    #[error("no bearer token")]
    Malformed,
    /// Nobody has it.
    #[error("unknown token")]
    Unknown,
    /// Its time is over.
    #[error("expired token")]
    Expired,
    /// It was revoked.
    #[error("revoked token")]
    Revoked,
}

impl AppError {
    /// Did the database fail, so that nothing may be acknowledged?
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_outage())
    }

    /// The state of things forbids it: why, in Chinese and in English.
    #[must_use]
    pub const fn conflict(chinese: &'static str, english: &'static str) -> Self {
        Self::Conflict(Words::new(chinese, english))
    }

    /// A refused field.
    pub fn invalid(field: impl Into<String>, message: impl Into<Words>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }
}
