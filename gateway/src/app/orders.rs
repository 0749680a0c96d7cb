//! Commands as people follow them.

use sealgate_domain::{CommandId, DeviceId};

use crate::store::command;

use super::{Actor, App, AppError, access::Permission};

pub use crate::store::command::Row as Command;

impl App {
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
