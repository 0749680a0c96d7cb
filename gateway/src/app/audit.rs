//! Reading the audit.

use sealgate_domain::OrganizationId;

use crate::store::audit;

use super::{Actor, App, AppError, access::Permission};

pub use crate::store::audit::Row as AuditRow;

impl App {
    /// Changes before row `before`, newest first.
    ///
    /// # Errors
    /// No access, a foreign organization, or the database.
    pub async fn audit(
        &self,
        actor: &Actor,
        organization: Option<OrganizationId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, AppError> {
        actor.may(Permission::ReadAudit)?;
        let organization = actor.narrowed(organization)?;
        let rows = audit::list(&self.store.read(), organization, before, limit.into()).await?;
        Ok(rows)
    }
}
