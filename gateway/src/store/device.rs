//! Devices: identity, life, and what is wanted of them.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, JoinType, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use sealgate_domain::{
    DeviceId, Millis, OrganizationId,
    command::Domain,
    device::{Device, Life},
    stamp::LockSpan,
};

use super::{
    Reader, StoreError, Tx,
    entity::{device as table, device_report},
    rows,
};

/// A row.
pub use table::Model as Row;

impl Row {
    /// Its typed id.
    #[must_use]
    pub fn key(&self) -> DeviceId {
        DeviceId::from_key(self.id)
    }

    /// Whose it is.
    #[must_use]
    pub fn organization(&self) -> Option<OrganizationId> {
        self.organization_id.map(OrganizationId)
    }

    /// What its life cycle decides on.
    ///
    /// # Errors
    /// A stored text is no state.
    pub fn state(&self) -> Result<Device, StoreError> {
        let life = |text: &str| {
            let life = text.parse::<Life>();
            life.map_err(|_| StoreError::unreadable("device.life", text))
        };
        Ok(Device {
            life: life(&self.life)?,
            suspended_from: self.suspended_from.as_deref().map(life).transpose()?,
            organization: self.organization(),
            generation: number(self.generation),
        })
    }

    /// What was decided.
    pub fn set_state(&mut self, device: Device) {
        self.life = device.life.as_str().to_owned();
        self.suspended_from = device.suspended_from.map(|life| life.as_str().to_owned());
        self.organization_id = device.organization.map(|id| id.0);
        self.generation = i64::from(device.generation);
    }

    /// The newest lock.
    #[must_use]
    pub fn lock_span(&self) -> Option<LockSpan> {
        Some(LockSpan {
            issued_at: Millis(self.lock_issued_at?),
            applied_at: self.lock_applied_at.map(Millis),
            lifted_at: self.lock_lifted_at.map(Millis),
        })
    }

    /// The last counter given in a domain.
    #[must_use]
    pub fn counter(&self, domain: Domain) -> u32 {
        number(match domain {
            Domain::Lock => self.counter_lock,
            Domain::Grant => self.counter_grant,
            Domain::Config => self.counter_config,
            Domain::Firmware => self.counter_firmware,
        })
    }

    /// Gives the next counter of a domain; [`save`] makes it count.
    pub fn next_counter(&mut self, domain: Domain) -> u32 {
        let next = self.counter(domain).saturating_add(1);
        self.raise_counter(domain, next);
        next
    }

    /// The device reports a counter above ours: go on from there.
    pub fn raise_counter(&mut self, domain: Domain, reported: u32) {
        let counter = match domain {
            Domain::Lock => &mut self.counter_lock,
            Domain::Grant => &mut self.counter_grant,
            Domain::Config => &mut self.counter_config,
            Domain::Firmware => &mut self.counter_firmware,
        };
        *counter = (*counter).max(i64::from(reported));
    }

    /// Gives the next grant number.
    pub fn take_grant_no(&mut self) -> u32 {
        let no = number(self.next_grant_no).max(1);
        self.next_grant_no = i64::from(no) + 1;
        no
    }
}

/// A counter as stored; what is out of range can't have been written by us.
pub(super) fn number(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

/// Which devices to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// In this part of their lives.
    pub life: Option<Life>,
    /// With, or without, a live session.
    pub connected: Option<bool>,
}

/// One device.
///
/// # Errors
/// The database.
pub async fn find(r: &Reader, id: DeviceId) -> Result<Option<Row>, StoreError> {
    Ok(table::Entity::find_by_id(id.to_key()).one(r).await?)
}

/// Several devices, in no order.
///
/// # Errors
/// The database.
pub async fn of(r: &Reader, devices: &[DeviceId]) -> Result<Vec<Row>, StoreError> {
    let keys = devices.iter().map(|device| device.to_key());
    let query = table::Entity::find().filter(table::Column::Id.is_in(keys));
    Ok(query.all(r).await?)
}

/// Which of these certificates (their SHA-256) devices have, or were given for later.
///
/// # Errors
/// The database.
pub async fn with_certificates(
    r: &Reader,
    certificates: &[Vec<u8>],
) -> Result<Vec<(Vec<u8>, DeviceId)>, StoreError> {
    const AT_ONCE: usize = 500;
    let mut found = Vec::new();
    for some in certificates.chunks(AT_ONCE) {
        for column in [
            table::Column::CertFingerprint,
            table::Column::NextCertFingerprint,
        ] {
            let query = table::Entity::find()
                .select_only()
                .column(column)
                .column(table::Column::Id)
                .filter(column.is_in(some.iter().cloned()));
            let rows: Vec<(Vec<u8>, i64)> = query.into_tuple().all(r).await?;
            found.extend(
                rows.into_iter()
                    .map(|(certificate, id)| (certificate, DeviceId::from_key(id))),
            );
        }
    }
    Ok(found)
}

/// One device, kept from others until the commit.
///
/// # Errors
/// The database.
pub async fn lock(tx: &Tx, id: DeviceId) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find_by_id(id.to_key()).lock_exclusive();
    Ok(query.one(&**tx).await?)
}

/// Devices behind `after`, in order of their ids.
///
/// # Errors
/// The database.
pub async fn list(
    r: &Reader,
    filter: &DeviceFilter,
    after: Option<DeviceId>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    Ok(page(filter, after).limit(limit).all(r).await?)
}

pub(super) fn page(
    filter: &DeviceFilter,
    after: Option<DeviceId>,
) -> sea_orm::Select<table::Entity> {
    let by_report =
        filter.connected.is_some() && filter.organization.is_none() && filter.life.is_none();
    let mut query = match by_report {
        // Along the sessions, not along all devices.
        true => table::Entity::find().order_by_asc(device_report::Column::DeviceId),
        false => table::Entity::find().order_by_asc(table::Column::Id),
    };
    if let Some(organization) = filter.organization {
        query = query.filter(table::Column::OrganizationId.eq(organization.0));
    }
    if let Some(life) = filter.life {
        query = query.filter(table::Column::Life.eq(life.as_str()));
    }
    if let Some(connected) = filter.connected {
        query = query
            .join(JoinType::InnerJoin, with_report())
            .filter(device_report::Column::Connected.eq(connected));
    }
    if let Some(after) = after {
        query = match by_report {
            true => query.filter(device_report::Column::DeviceId.gt(after.to_key())),
            false => query.filter(table::Column::Id.gt(after.to_key())),
        };
    }
    query
}

/// Devices in offline mode.
///
/// # Errors
/// The database.
pub async fn in_offline_mode(r: &Reader, limit: u64) -> Result<Vec<DeviceId>, StoreError> {
    let found: Vec<i64> = table::Entity::find()
        .select_only()
        .column(table::Column::Id)
        .filter(Expr::col(table::Column::DesiredOffline))
        .limit(limit)
        .into_tuple()
        .all(r)
        .await?;
    Ok(found.into_iter().map(DeviceId::from_key).collect())
}

/// Every device has its report row.
fn with_report() -> sea_orm::RelationDef {
    sea_orm::RelationDef::from(
        table::Entity::belongs_to(device_report::Entity)
            .from(table::Column::Id)
            .to(device_report::Column::DeviceId),
    )
}

/// A new device, with its empty report.
///
/// # Errors
/// [`StoreError::Exists`] if its id or serial number is known.
pub async fn insert(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    rows::insert(tx, row).await?;
    let report = device_report::ActiveModel {
        device_id: Set(row.id),
        connected: Set(false),
        term: Set(0),
        ..Default::default()
    };
    device_report::Entity::insert(report)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Writes all columns and counts the change.
///
/// # Errors
/// [`StoreError::Stale`] if somebody else did so since `row` was read.
pub async fn save(tx: &Tx, row: &mut Row) -> Result<(), StoreError> {
    let as_read = Condition::all()
        .add(table::Column::Id.eq(row.id))
        .add(table::Column::Version.eq(row.version));
    let next = Row {
        version: row.version + 1,
        ..row.clone()
    };
    if !rows::save(tx, &next, as_read).await? {
        return Err(StoreError::Stale("the device"));
    }
    *row = next;
    Ok(())
}
