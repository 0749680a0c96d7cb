//! How far each device's log is stored, what it declared lost, and what contradicts it.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sealgate_domain::{
    DeviceId, Millis,
    stamp::{Cursor, Hash},
};

use super::{
    Reader, StoreError, Tx,
    device::number,
    entity::{device_log as table, log_gap, log_quarantine},
    rows,
};

/// A row.
pub use table::Model as Row;

/// The log takes records.
pub const OK: &str = "ok";
/// A fork was found: the log takes nothing until somebody decided.
pub const AUDIT: &str = "audit";

impl Row {
    /// What deciding needs.
    ///
    /// # Errors
    /// The stored head is no hash.
    pub fn cursor(&self) -> Result<Cursor, StoreError> {
        Ok(Cursor {
            epoch: number(self.epoch),
            next: number(self.next_seq),
            head: hash(&self.head, "device_log.head")?,
        })
    }
}

pub(super) fn hash(stored: &[u8], what: &'static str) -> Result<Hash, StoreError> {
    let hash = stored.try_into();
    hash.map_err(|_| StoreError::unreadable(what, format!("{} bytes", stored.len())))
}

/// The newest log of a device.
///
/// # Errors
/// The database.
pub async fn newest(r: &Reader, device: DeviceId) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .order_by_desc(table::Column::Epoch);
    Ok(query.one(r).await?)
}

/// Opens a log at its first record, with the chain's head before it. Opening it again changes nothing.
///
/// # Errors
/// The database.
pub async fn open(tx: &Tx, device: DeviceId, epoch: u32, genesis: Hash) -> Result<Row, StoreError> {
    let known = table::Entity::find_by_id((device.to_key(), i64::from(epoch)));
    if let Some(row) = known.one(&**tx).await? {
        return Ok(row);
    }
    let row = Row {
        device_id: device.to_key(),
        epoch: i64::from(epoch),
        next_seq: 1,
        head: genesis.to_vec(),
        state: OK.to_owned(),
        last_at: None,
    };
    rows::insert(tx, &row).await?;
    Ok(row)
}

/// Writes all columns.
///
/// # Errors
/// The database.
pub async fn save(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let key = Condition::all()
        .add(table::Column::DeviceId.eq(row.device_id))
        .add(table::Column::Epoch.eq(row.epoch));
    rows::save(tx, row, key).await?;
    Ok(())
}

/// Notes numbers that will never be stored.
///
/// # Errors
/// The database.
pub async fn give_up(
    tx: &Tx,
    row: &Row,
    count: i64,
    reason: &str,
    at: Millis,
) -> Result<(), StoreError> {
    let gap = log_gap::Model {
        device_id: row.device_id,
        epoch: row.epoch,
        from_seq: row.next_seq,
        count,
        reason: reason.to_owned(),
        at: at.0,
    };
    rows::insert(tx, &gap).await
}

/// Ranges that will never be stored: a device declared them lost, or a person gave them up.
///
/// # Errors
/// The database.
pub async fn gaps(
    r: &Reader,
    device: DeviceId,
    limit: u64,
) -> Result<Vec<log_gap::Model>, StoreError> {
    let query = log_gap::Entity::find()
        .filter(log_gap::Column::DeviceId.eq(device.to_key()))
        .order_by_asc(log_gap::Column::Epoch)
        .order_by_asc(log_gap::Column::FromSeq)
        .limit(limit);
    Ok(query.all(r).await?)
}

/// Records that contradict stored ones.
///
/// # Errors
/// The database.
pub async fn quarantined(
    r: &Reader,
    device: DeviceId,
    limit: u64,
) -> Result<Vec<log_quarantine::Model>, StoreError> {
    let query = log_quarantine::Entity::find()
        .filter(log_quarantine::Column::DeviceId.eq(device.to_key()))
        .order_by_asc(log_quarantine::Column::Epoch)
        .order_by_asc(log_quarantine::Column::Seq)
        .limit(limit);
    Ok(query.all(r).await?)
}
