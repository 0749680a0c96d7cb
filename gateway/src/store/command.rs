//! Commands: rows first, delivery later.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, ExprTrait as _},
};
use sealgate_domain::{
    CommandId, DeviceId, Millis,
    command::{Domain, Event, Op, State},
};

use super::{
    Reader, StoreError, Tx,
    device::number,
    entity::{command as table, device_report},
    rows,
};

/// A row.
pub use table::Model as Row;

impl Row {
    /// Its typed id.
    #[must_use]
    pub fn key(&self) -> CommandId {
        CommandId(self.id)
    }

    /// Its device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::from_key(self.device_id)
    }

    /// Its counter.
    #[must_use]
    pub fn counter(&self) -> u32 {
        number(self.counter)
    }

    /// Its counter domain.
    ///
    /// # Errors
    /// The stored number is no domain.
    pub fn domain(&self) -> Result<Domain, StoreError> {
        let domain = u8::try_from(self.domain).ok().and_then(Domain::from_number);
        domain.ok_or_else(|| StoreError::unreadable("command.domain", self.domain))
    }

    /// What is ordered.
    ///
    /// # Errors
    /// The stored text is no op.
    pub fn op(&self) -> Result<Op, StoreError> {
        let op = self.op.parse();
        op.map_err(|_| StoreError::unreadable("command.op", &self.op))
    }

    /// How far it has come.
    ///
    /// # Errors
    /// The stored text is no state.
    pub fn state(&self) -> Result<State, StoreError> {
        let state = self.state.parse();
        state.map_err(|_| StoreError::unreadable("command.state", &self.state))
    }

    /// Moves it on, with the times that go with it; [`save`] makes it count. `Ok(false)` = it may not move so (over,
    /// or a late repeat), nothing changed.
    ///
    /// # Errors
    /// The stored text is no state.
    pub fn advance(&mut self, event: Event, now: Millis) -> Result<bool, StoreError> {
        let before = self.state()?;
        let Ok(state) = before.next(event) else {
            return Ok(false);
        };
        self.state = state.as_str().to_owned();
        match event {
            Event::Sent => {
                self.sent_at = Some(now.0);
                self.attempts += 1;
            }
            Event::Acknowledged => self.acknowledged_at = self.acknowledged_at.or(Some(now.0)),
            Event::Applied => self.applied_at = self.applied_at.or(Some(now.0)),
            Event::Rejected | Event::Expired | Event::Superseded => {}
        }
        if state.is_final() && !before.is_final() {
            self.ended_at = Some(now.0);
        }
        Ok(true)
    }

    /// No session took it after it was marked as sent: it waits again. That it was marked stays known, so that a
    /// device which has it all the same is asked for its answer. `Ok(false)` = it has moved on, nothing changed.
    ///
    /// # Errors
    /// The stored text is no state.
    pub fn take_back(&mut self) -> Result<bool, StoreError> {
        let sent = self.state()? == State::Sent;
        if sent {
            self.state = State::Pending.as_str().to_owned();
        }
        Ok(sent)
    }
}

/// One command.
///
/// # Errors
/// The database.
pub async fn find(r: &Reader, id: CommandId) -> Result<Option<Row>, StoreError> {
    Ok(table::Entity::find_by_id(id.0).one(r).await?)
}

/// One command, kept from others until the commit.
///
/// # Errors
/// The database.
pub async fn lock(tx: &Tx, id: CommandId) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find_by_id(id.0).lock_exclusive();
    Ok(query.one(&**tx).await?)
}

/// The command a device answers, kept from others until the commit.
///
/// # Errors
/// The database.
pub async fn lock_by_counter(
    tx: &Tx,
    device: DeviceId,
    domain: Domain,
    counter: u32,
) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(table::Column::Domain.eq(i32::from(domain.number())))
        .filter(table::Column::Counter.eq(i64::from(counter)))
        .lock_exclusive();
    Ok(query.one(&**tx).await?)
}

/// The newest command of a device among some ops of one domain.
///
/// # Errors
/// The database.
pub async fn newest_of(
    r: &Reader,
    device: DeviceId,
    domain: Domain,
    ops: &[Op],
) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(table::Column::Domain.eq(i32::from(domain.number())))
        .filter(table::Column::Op.is_in(ops.iter().map(|op| op.as_str())))
        .order_by_desc(table::Column::Counter);
    Ok(query.one(r).await?)
}

/// The commands with these counters, one of each domain at most, kept from others until the commit.
///
/// # Errors
/// The database.
pub async fn lock_by_counters(
    tx: &Tx,
    device: DeviceId,
    counters: [u32; 4],
) -> Result<Vec<Row>, StoreError> {
    let mut any = Condition::any();
    for (domain, counter) in (0i32..).zip(counters).filter(|(_, counter)| *counter > 0) {
        any = any.add(
            Condition::all()
                .add(table::Column::Domain.eq(domain))
                .add(table::Column::Counter.eq(i64::from(counter))),
        );
    }
    if any.is_empty() {
        return Ok(Vec::new());
    }
    let query = table::Entity::find()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(any)
        .order_by_asc(table::Column::Domain)
        .lock_exclusive();
    Ok(query.all(&**tx).await?)
}

/// Ends that are on their way are superseded by nothing from now on: a newer grant queues behind them.
///
/// # Errors
/// The database.
pub async fn keep_ends(tx: &Tx, device: DeviceId) -> Result<(), StoreError> {
    table::Entity::update_many()
        .col_expr(
            table::Column::SupersedeKey,
            Expr::value(Option::<String>::None),
        )
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(table::Column::Op.eq(Op::End.as_str()))
        .filter(table::Column::EndedAt.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Commands of a device before `before`, newest first.
///
/// # Errors
/// The database.
pub async fn list(
    r: &Reader,
    device: DeviceId,
    before: Option<CommandId>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    let mut query = table::Entity::find()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .order_by_desc(table::Column::Id)
        .limit(limit);
    if let Some(before) = before {
        query = query.filter(table::Column::Id.lt(before.0));
    }
    Ok(query.all(r).await?)
}

/// The newest command of one op.
///
/// # Errors
/// The database.
pub async fn newest(r: &Reader, device: DeviceId, op: Op) -> Result<Option<Row>, StoreError> {
    let query = table::Entity::find()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(table::Column::Op.eq(op.as_str()))
        .order_by_desc(table::Column::Id);
    Ok(query.one(r).await?)
}

/// Commands of a device that are not over, most urgent first.
///
/// # Errors
/// The database.
pub async fn live_of(r: &Reader, device: DeviceId) -> Result<Vec<Row>, StoreError> {
    let query = live()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .order_by_asc(table::Column::Priority)
        .order_by_asc(table::Column::Id);
    Ok(query.all(r).await?)
}

/// Commands that are not over, of all devices, most urgent first.
///
/// # Errors
/// The database.
pub async fn live_all(r: &Reader, limit: u64) -> Result<Vec<Row>, StoreError> {
    let query = live()
        .order_by_asc(table::Column::Priority)
        .order_by_asc(table::Column::Id)
        .limit(limit);
    Ok(query.all(r).await?)
}

/// How many commands are not over.
///
/// # Errors
/// The database.
pub async fn count_live(r: &Reader) -> Result<u64, StoreError> {
    Ok(live().count(r).await?)
}

/// Commands that wait for their signature, most urgent first.
///
/// # Errors
/// The database.
pub async fn unsigned(r: &Reader, limit: u64) -> Result<Vec<Row>, StoreError> {
    let query = live()
        .filter(table::Column::Ticket.is_null())
        .order_by_asc(table::Column::Priority)
        .order_by_asc(table::Column::Id)
        .limit(limit);
    Ok(query.all(r).await?)
}

/// Devices with a session on `node` for which a signed command waits.
///
/// # Errors
/// The database.
pub async fn waiting_devices(
    r: &Reader,
    node: &str,
    limit: u64,
) -> Result<Vec<DeviceId>, StoreError> {
    let query = waiting(node).limit(limit).into_tuple();
    let devices: Vec<i64> = query.all(r).await?;
    Ok(devices.into_iter().map(DeviceId::from_key).collect())
}

pub(super) fn waiting(node: &str) -> sea_orm::Select<device_report::Entity> {
    // Asked for each device that is here: what waits for the others may be far more.
    let of_it = Expr::col((table::Entity, table::Column::DeviceId))
        .equals((device_report::Entity, device_report::Column::DeviceId));
    let waiting = live()
        .select_only()
        .column(table::Column::DeviceId)
        .filter(of_it)
        .filter(table::Column::Ticket.is_not_null())
        .filter(table::Column::State.eq(State::Pending.as_str()))
        .into_query();
    device_report::Entity::find()
        .select_only()
        .column(device_report::Column::DeviceId)
        .filter(device_report::Column::Connected.eq(true))
        .filter(device_report::Column::Node.eq(node))
        .filter(Expr::exists(waiting))
}

/// Is any command overdue?
///
/// # Errors
/// The database.
pub async fn has_overdue(r: &Reader, now: Millis) -> Result<bool, StoreError> {
    Ok(overdue(now).one(r).await?.is_some())
}

pub(super) fn overdue(now: Millis) -> sea_orm::Select<table::Entity> {
    live()
        .filter(table::Column::ExpiresAt.lte(now.0))
        .order_by_asc(table::Column::ExpiresAt)
}

/// Commands that are not over and whose time is, kept from others until the commit; another node's are left out.
///
/// # Errors
/// The database.
pub async fn lock_overdue(tx: &Tx, now: Millis, limit: u64) -> Result<Vec<Row>, StoreError> {
    let query = overdue(now).limit(limit).lock_exclusive();
    Ok(query.all(&**tx).await?)
}

/// A new one. Older commands of its key that are not over are superseded by it; they are returned, for their events.
///
/// # Errors
/// The database.
pub async fn insert(tx: &Tx, row: &Row, now: Millis) -> Result<Vec<Row>, StoreError> {
    let superseded = match &row.supersede_key {
        Some(key) => supersede(tx, row.device(), key, now).await?,
        None => Vec::new(),
    };
    rows::insert(tx, row).await?;
    Ok(superseded)
}

/// Supersedes the commands of a key that are not over.
///
/// # Errors
/// The database.
pub async fn supersede(
    tx: &Tx,
    device: DeviceId,
    key: &str,
    now: Millis,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = live()
        .filter(table::Column::DeviceId.eq(device.to_key()))
        .filter(table::Column::SupersedeKey.eq(key))
        .lock_exclusive()
        .all(&**tx)
        .await?;
    for row in &mut rows {
        row.advance(Event::Superseded, now)?;
        save(tx, row).await?;
    }
    Ok(rows)
}

/// Writes all columns.
///
/// # Errors
/// The database.
pub async fn save(tx: &Tx, row: &Row) -> Result<(), StoreError> {
    let key = table::Column::Id.eq(row.id);
    rows::save(tx, row, key).await?;
    Ok(())
}

fn live() -> sea_orm::Select<table::Entity> {
    table::Entity::find().filter(table::Column::EndedAt.is_null())
}
