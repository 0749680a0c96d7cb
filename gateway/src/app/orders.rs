//! Commands as people follow them.

use sealgate_codec::ErrorCode;
use sealgate_domain::{CommandId, DeviceId};

use crate::store::command;

use super::{Actor, App, AppError, access::Permission};

pub use crate::store::command::Row as Command;

/// The name of a reason to reject a command.
#[must_use]
pub fn error_name(code: i32) -> Option<String> {
    let code = u16::try_from(code).ok()?;
    Some(ErrorCode::from_number(code).to_string())
}

/// Whose move is next in a command that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// The seal is here, and its ticket is not signed.
    Signer,
    /// The seal has to connect, or to answer.
    Seal,
}

impl Waits {
    /// Of this command, of a device with or without a session; none when it is over.
    #[must_use]
    pub fn of(command: &Command, connected: bool) -> Option<Self> {
        match (&command.ended_at, &command.ticket) {
            (Some(_), _) => None,
            (None, None) if connected => Some(Self::Signer),
            (None, _) => Some(Self::Seal),
        }
    }

    /// As the interface names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signer => "signer",
            Self::Seal => "seal",
        }
    }
}

impl App {
    /// Has the device of a command that was just read a live session?
    ///
    /// # Errors
    /// The database.
    pub async fn has_session(&self, device: DeviceId) -> Result<bool, AppError> {
        super::device::connected(&self.store.read(), device).await
    }

    /// Commands of a device before `before`, newest first.
    ///
    /// # Errors
    /// No access, no such device, or the database.
    pub async fn commands(
        &self,
        actor: &Actor,
        device: DeviceId,
        before: Option<CommandId>,
        limit: u32,
    ) -> Result<Vec<Command>, AppError> {
        actor.may(Permission::ReadCommands)?;
        self.seen(actor, device).await?;
        Ok(command::list(&self.store.read(), device, before, limit.into()).await?)
    }

    /// One command.
    ///
    /// # Errors
    /// No access, no such command, or the database.
    pub async fn command(&self, actor: &Actor, id: CommandId) -> Result<Command, AppError> {
        actor.may(Permission::ReadCommands)?;
        let found = command::find(&self.store.read(), id).await?;
        let row = found.ok_or(AppError::NotFound("command"))?;
        match self.seen(actor, row.device()).await {
            Err(AppError::NotFound(_)) => Err(AppError::NotFound("command")),
            Err(error) => Err(error),
            Ok(_) => Ok(row),
        }
    }
}
