//! The audit: who did what to what, never changed, each row with the SHA-256 of its canonical bytes.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use sealgate_domain::{DeviceId, Millis, OrganizationId};
use sha2::{Digest, Sha256};

use super::{Reader, StoreError, Tx, entity::audit as table};

/// A row as read.
pub use table::Model as Row;

/// What to write down.
#[derive(Debug, Clone)]
pub struct Audit {
    /// When.
    pub at: Millis,
    /// Whose audit shows it; `None` = the platform's only.
    pub organization: Option<OrganizationId>,
    /// Which device it is about.
    pub device: Option<DeviceId>,
    /// Who.
    pub actor: String,
    /// Did what, such as `device.lock`.
    pub action: &'static str,
    /// To what: the id as text.
    pub subject: String,
    /// More of it.
    pub detail: Option<serde_json::Value>,
}

impl Audit {
    /// Every field behind its length, so that no two rows share their bytes.
    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(b"sealgate/audit/1");
        field(&self.at.0.to_be_bytes());
        field(self.organization.map_or(&[][..], |_| &[1]));
        field(
            self.organization
                .unwrap_or(OrganizationId(uuid::Uuid::nil()))
                .0
                .as_bytes(),
        );
        field(self.device.as_ref().map_or(&[][..], |device| &device.0));
        field(self.actor.as_bytes());
        field(self.action.as_bytes());
        field(self.subject.as_bytes());
        let detail = self.detail.as_ref().map(ToString::to_string);
        field(detail.unwrap_or_default().as_bytes());
        hash.finalize().into()
    }
}

impl Tx {
    /// Writes a row of the audit, with the others of the transaction at its end.
    ///
    /// # Errors
    /// None: what the database says, the commit says.
    pub async fn audit(&self, audit: Audit) -> Result<(), StoreError> {
        let hash = audit.hash();
        self.later().audit.push(table::ActiveModel {
            id: NotSet,
            organization_id: Set(audit.organization.map(|id| id.0)),
            device_id: Set(audit.device.map(DeviceId::to_key)),
            actor: Set(audit.actor),
            action: Set(audit.action.to_owned()),
            subject: Set(audit.subject),
            detail: Set(audit.detail),
            hash: Set(hash.to_vec()),
            at: Set(audit.at.0),
        });
        Ok(())
    }
}

/// Actions a device's rows are found by, word for word as the partial index of them says it.
const MARKED: &str = "action IN ('device.suspend', 'device.suspended', 'device.alarm', 'log.fork')";

/// What a device's newest row is looked for about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It was taken out of use, by people or by the platform.
    Suspension,
    /// Somebody should look.
    Alarm,
}

impl Mark {
    const fn actions(self) -> [&'static str; 2] {
        match self {
            Self::Suspension => ["device.suspend", "device.suspended"],
            Self::Alarm => ["device.alarm", "log.fork"],
        }
    }
}

fn marked(
    device: DeviceId,
    organization: Option<OrganizationId>,
    mark: Mark,
) -> sea_orm::Select<table::Entity> {
    let query = table::Entity::find()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(Expr::cust(MARKED))
        .filter(table::Column::Action.is_in(mark.actions()))
        .order_by_desc(table::Column::Id);
    match organization {
        Some(organization) => query.filter(table::Column::OrganizationId.eq(organization.0)),
        None => query,
    }
}

/// The newest row about a device and that.
///
/// # Errors
/// The database.
pub async fn newest_of(
    r: &Reader,
    device: DeviceId,
    organization: Option<OrganizationId>,
    mark: Mark,
) -> Result<Option<Row>, StoreError> {
    let query = marked(device, organization, mark).limit(1);
    Ok(query.one(r).await?)
}

/// The newest rows first, before row `before`.
///
/// # Errors
/// The database.
pub async fn list(
    r: &Reader,
    organization: Option<OrganizationId>,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    let mut query = table::Entity::find()
        .order_by_desc(table::Column::Id)
        .limit(limit);
    if let Some(organization) = organization {
        query = query.filter(table::Column::OrganizationId.eq(organization.0));
    }
    if let Some(before) = before {
        query = query.filter(table::Column::Id.lt(before));
    }
    Ok(query.all(r).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestStore;

    #[tokio::test]
    async fn a_devices_suspension_and_alarm_walk_an_index_that_holds_nothing_else() {
        let test = TestStore::sqlite().await;
        let organization = OrganizationId(uuid::Uuid::from_u128(1));
        for mark in [Mark::Suspension, Mark::Alarm] {
            for organization in [None, Some(organization)] {
                let plan = test
                    .plan(marked(DeviceId([1; 8]), organization, mark))
                    .await;
                let walked = plan.contains("audit_marked");
                assert!(walked && !plan.contains("TEMP"), "{mark:?}: {plan}");
            }
        }
        for mark in [Mark::Suspension, Mark::Alarm] {
            for action in mark.actions() {
                assert!(MARKED.contains(action), "{action}");
            }
        }
    }
}
