//! What devices report, and their presence. Every device has its row from the import on.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, ExprTrait as _},
};
use sealgate_domain::{DeviceId, Millis, presence::Presence};

use super::{Reader, StoreError, Tx, entity::device_report as table, rows};

/// A row.
pub use table::Model as Row;

impl Row {
    /// Its device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::from_key(self.device_id)
    }

    /// The newest key set it is known to hold.
    #[must_use]
    pub fn key_set(&self) -> u32 {
        super::device::number(self.key_set_version)
    }

    /// Presence, as deciding needs it.
    #[must_use]
    pub fn presence(&self) -> Presence {
        Presence {
            connected: self.connected,
            term: u64::try_from(self.term).unwrap_or(0),
            last_contact_at: self.last_contact_at.map(Millis),
        }
    }

    /// What was decided.
    pub fn set_presence(&mut self, presence: Presence) {
        self.connected = presence.connected;
        self.term = i64::try_from(presence.term).unwrap_or(i64::MAX);
        self.last_contact_at = presence.last_contact_at.map(|at| at.0);
    }
}

/// One device's report.
///
/// # Errors
/// The database.
pub async fn find(r: &Reader, device: DeviceId) -> Result<Option<Row>, StoreError> {
    Ok(table::Entity::find_by_id(device.to_key()).one(r).await?)
}

/// One device's report, kept from others until the commit.
///
/// # Errors
/// The database.
pub async fn lock(tx: &Tx, device: DeviceId) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find_by_id(device.to_key()).lock_exclusive();
    Ok(query.one(&**tx).await?)
}

/// The reports of several devices, in no order.
///
/// # Errors
/// The database.
pub async fn of(r: &Reader, devices: &[DeviceId]) -> Result<Vec<Row>, StoreError> {
    let keys = devices.iter().map(|device| device.to_key());
    let query = table::Entity::find().filter(table::Column::DeviceId.is_in(keys));
    Ok(query.all(r).await?)
}

/// Devices behind `after` with a session on `node` that are not known to hold key set `version`, in order of their ids.
///
/// # Errors
/// The database.
pub async fn behind_key_set(
    r: &Reader,
    node: &str,
    version: u32,
    after: Option<DeviceId>,
    limit: u64,
) -> Result<Vec<DeviceId>, StoreError> {
    let mut query = table::Entity::find()
        .select_only()
        .column(table::Column::DeviceId)
        .filter(table::Column::Connected.eq(true))
        .filter(table::Column::Node.eq(node))
        .filter(table::Column::KeySetVersion.lt(i64::from(version)))
        .order_by_asc(table::Column::DeviceId)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(table::Column::DeviceId.gt(after.to_key()));
    }
    let keys: Vec<i64> = query.into_tuple().all(r).await?;
    Ok(keys.into_iter().map(DeviceId::from_key).collect())
}

/// The highest term any session had; 0 when there was none.
///
/// # Errors
/// The database.
pub async fn last_term(r: &Reader) -> Result<u64, StoreError> {
    let query = table::Entity::find()
        .select_only()
        .expr(table::Column::Term.max());
    let highest: Option<Option<i64>> = query.into_tuple().one(r).await?;
    Ok(u64::try_from(highest.flatten().unwrap_or(0)).unwrap_or(0))
}

/// Writes all columns.
///
/// # Errors
/// The database.
pub async fn save(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let key = table::Column::DeviceId.eq(row.device_id);
    rows::save(tx, row, key).await?;
    Ok(())
}

/// The device's live session of that term heard it again; false when there is no such session, or it was heard later.
///
/// # Errors
/// The database.
pub async fn heard(tx: &Tx, device: DeviceId, term: u64, at: Millis) -> Result<bool, StoreError> {
    let live = table::Column::Term
        .eq(stored(term))
        .and(table::Column::Connected.eq(true));
    change(tx, device, at, live, &[]).await
}

/// The session of that term began; false when it is not that simple: another is live or newer, or heard later.
///
/// # Errors
/// The database.
pub async fn opened(
    tx: &Tx,
    device: DeviceId,
    term: u64,
    at: Millis,
    (node, link): (&str, &str),
) -> Result<bool, StoreError> {
    let idle = table::Column::Term
        .lte(stored(term))
        .and(table::Column::Connected.eq(false));
    let now = [
        (table::Column::Connected, Expr::value(true)),
        (table::Column::Term, Expr::value(stored(term))),
        (table::Column::Node, Expr::value(node)),
        (table::Column::Link, Expr::value(link)),
        (table::Column::ConnectedAt, Expr::value(at.0)),
    ];
    change(tx, device, at, idle, &now).await
}

/// The live session of that term ended; false when it is not that simple.
///
/// # Errors
/// The database.
pub async fn closed(
    tx: &Tx,
    device: DeviceId,
    term: u64,
    at: Millis,
    (node, link): (&str, &str),
) -> Result<bool, StoreError> {
    let live = table::Column::Term
        .eq(stored(term))
        .and(table::Column::Connected.eq(true));
    let now = [
        (table::Column::Connected, Expr::value(false)),
        (table::Column::Node, Expr::value(node)),
        (table::Column::Link, Expr::value(link)),
        (table::Column::DisconnectedAt, Expr::value(at.0)),
    ];
    change(tx, device, at, live, &now).await
}

fn stored(term: u64) -> i64 {
    i64::try_from(term).unwrap_or(i64::MAX)
}

/// One statement for what happens to thousands: a contact, and what else is known with it, where `as_expected`.
async fn change(
    tx: &Tx,
    device: DeviceId,
    at: Millis,
    as_expected: Expr,
    columns: &[(table::Column, Expr)],
) -> Result<bool, StoreError> {
    let earlier = Condition::any()
        .add(table::Column::LastContactAt.is_null())
        .add(table::Column::LastContactAt.lte(at.0));
    let mut update = table::Entity::update_many()
        .col_expr(table::Column::LastContactAt, Expr::value(at.0))
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(as_expected)
        .filter(earlier);
    for (column, value) in columns {
        update = update.col_expr(*column, value.clone());
    }
    Ok(update.exec(&**tx).await?.rows_affected > 0)
}

/// Devices with a session on `node` that are not as they are wanted: lock, settings, offline mode, grants.
///
/// # Errors
/// The database.
pub async fn unmatched(
    r: &Reader,
    node: &str,
    now: Millis,
    limit: u64,
) -> Result<Vec<DeviceId>, StoreError> {
    let query = differing(node, now).limit(limit).into_tuple();
    let found: Vec<i64> = query.all(r).await?;
    Ok(found.into_iter().map(DeviceId::from_key).collect())
}

pub(super) fn differing(node: &str, now: Millis) -> sea_orm::Select<table::Entity> {
    use super::entity::{device, use_grant};
    let wanted = |column| Expr::col((device::Entity, column));
    let told = |column| Expr::col((table::Entity, column));
    // Asked for each device that is here, not collected for all.
    let of_it = Expr::col((use_grant::Entity, use_grant::Column::DeviceId))
        .equals((table::Entity, table::Column::DeviceId));
    let unsettled = use_grant::Entity::find()
        .select_only()
        .column(use_grant::Column::DeviceId)
        .filter(of_it)
        .filter(use_grant::Column::EndedAt.is_null())
        .filter(
            Condition::any()
                .add(use_grant::Column::EndRequestedAt.is_not_null())
                .add(use_grant::Column::DeliveredAt.is_null()),
        )
        .filter(
            Condition::any()
                .add(use_grant::Column::EndRequestedAt.is_not_null())
                .add(use_grant::Column::NotAfter.gt(now.0)),
        )
        .into_query();
    let offline = Condition::all()
        .add(told(table::Column::OfflineMode).eq(true))
        .add(wanted(device::Column::DesiredOffline).eq(false));
    let with_device = sea_orm::RelationDef::from(
        table::Entity::belongs_to(device::Entity)
            .from(table::Column::DeviceId)
            .to(device::Column::Id),
    );
    table::Entity::find()
        .select_only()
        .column(table::Column::DeviceId)
        .join(JoinType::InnerJoin, with_device)
        .filter(table::Column::Connected.eq(true))
        .filter(table::Column::Node.eq(node))
        .filter(
            Condition::any()
                .add(told(table::Column::Locked).ne(wanted(device::Column::DesiredLocked)))
                .add(
                    told(table::Column::ConfigVersion)
                        .lt(wanted(device::Column::DesiredConfigVersion)),
                )
                .add(offline)
                .add(Expr::exists(unsettled)),
        )
}

/// A node starts: none of the sessions it once had is live.
///
/// # Errors
/// The database.
pub async fn forget_sessions(tx: &Tx, node: &str, now: Millis) -> Result<u64, StoreError> {
    let done = table::Entity::update_many()
        .col_expr(table::Column::Connected, Expr::value(false))
        .col_expr(table::Column::DisconnectedAt, Expr::value(now.0))
        .filter(table::Column::Connected.eq(true))
        .filter(table::Column::Node.eq(node))
        .exec(&**tx)
        .await?;
    Ok(done.rows_affected)
}
