//! The outbox: events that were committed, in one order that everybody sees the same.
//!
//! A position is given after the commit and never before a lower one is visible, so a reader that remembers the last
//! position it saw misses nothing. On SQLite one writer commits in order and the row id is the position. On PostgreSQL
//! ids are drawn before the commit and show out of order: one sequencer at a time numbers committed rows
//! ([`Store::sequence`]).

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};
use sealgate_domain::{DeviceId, Millis, OrganizationId};

use super::{Lane, Reader, Store, StoreError, Tx, entity::outbox as table};

/// Rows numbered in one go.
const SEQUENCE_BATCH: i64 = 5_000;
/// Rows looked at for one page: whoever follows little of much never has one read walk all of it.
const SCAN: i64 = 8_192;

macro_rules! topics {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)+) => {
        /// What an event is about: the last part of its MQTT topic, the `event` of the stream.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Topic { $($(#[$meta])* $name),+ }

        impl Topic {
            /// Every topic.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// From the stable name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

topics! {
    /// Stamp records were stored.
    Stamp = "stamp",
    /// Somebody should look: abnormal use, a fork, a rolled-back counter.
    Alarm = "alarm",
    /// A device came or went.
    Presence = "presence",
    /// A command changed its state.
    Command = "command",
    /// A grant changed.
    Grant = "grant",
    /// A device changed.
    Device = "device",
    /// An organization or its members changed.
    Organization = "organization",
}

/// Something to tell once it is committed.
#[derive(Debug, Clone)]
pub struct Event {
    /// What it is about.
    pub topic: Topic,
    /// Whose; `None` = the platform's only.
    pub organization: Option<OrganizationId>,
    /// Which device.
    pub device: Option<DeviceId>,
    /// The event itself.
    pub payload: serde_json::Value,
    /// When.
    pub at: Millis,
}

/// A committed event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its place in the one order.
    pub position: i64,
    /// What it is about.
    pub topic: Topic,
    /// Whose.
    pub organization: Option<OrganizationId>,
    /// Which device.
    pub device: Option<DeviceId>,
    /// The event itself.
    pub payload: serde_json::Value,
    /// When.
    pub at: Millis,
}

/// Some events, and up to where everything was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxPage {
    /// In order.
    pub events: Vec<EventRow>,
    /// Go on behind this position; where it was when there is nothing behind it yet.
    pub after: i64,
}

/// Which events to read; empty = all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboxFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// Of this device.
    pub device: Option<DeviceId>,
    /// About these topics.
    pub topics: Vec<Topic>,
}

impl Tx {
    /// Writes an event, with the others of the transaction at its end; it is told after the commit.
    ///
    /// # Errors
    /// None: what the database says, the commit says.
    pub async fn emit(&self, event: Event) -> Result<(), StoreError> {
        self.later().outbox.push(table::ActiveModel {
            id: NotSet,
            position: NotSet,
            topic: Set(event.topic.as_str().to_owned()),
            organization_id: Set(event.organization.map(|id| id.0)),
            device_id: Set(event.device.map(DeviceId::to_key)),
            payload: Set(event.payload),
            created_at: Set(event.at.0),
        });
        Ok(())
    }
}

impl Reader {
    /// What an amount of looking finds behind `position`: at most `limit` events, maybe none although there are some
    /// further on. Whoever wants more goes on until `after` moves no more.
    ///
    /// # Errors
    /// The database.
    pub async fn outbox_page(
        &self,
        position: i64,
        limit: u64,
        filter: &OutboxFilter,
    ) -> Result<OutboxPage, StoreError> {
        // Read first: what is committed between the two reads is found by the next page.
        let head = self.outbox_head().await?;
        let upto = head.min(position.saturating_add(SCAN));
        if upto <= position {
            return Ok(OutboxPage {
                events: Vec::new(),
                after: position,
            });
        }
        let events = self.outbox_within(position, upto, limit, filter).await?;
        let full = events.len() as u64 >= limit;
        let last = events.last().map(|event| event.position);
        Ok(OutboxPage {
            after: last.filter(|_| full).unwrap_or(upto),
            events,
        })
    }

    /// Events behind `position`, oldest first, of those up to the newest.
    ///
    /// # Errors
    /// The database.
    pub async fn outbox_after(
        &self,
        position: i64,
        limit: u64,
        filter: &OutboxFilter,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.outbox_within(position, i64::MAX, limit, filter).await
    }

    async fn outbox_within(
        &self,
        position: i64,
        upto: i64,
        limit: u64,
        filter: &OutboxFilter,
    ) -> Result<Vec<EventRow>, StoreError> {
        let place = self.position_column();
        let mut query = table::Entity::find()
            .filter(place.gt(position))
            .filter(place.lte(upto))
            .order_by_asc(place)
            .limit(limit);
        if let Some(organization) = filter.organization {
            query = query.filter(table::Column::OrganizationId.eq(organization.0));
        }
        if let Some(device) = filter.device {
            query = query.filter(table::Column::DeviceId.eq(device.to_key()));
        }
        if !filter.topics.is_empty() {
            let names = filter.topics.iter().map(|topic| topic.as_str());
            query = query.filter(table::Column::Topic.is_in(names));
        }
        let rows = query.all(self).await?;
        rows.into_iter().map(EventRow::try_from).collect()
    }

    /// The newest position; 0 = none yet.
    ///
    /// # Errors
    /// The database.
    pub async fn outbox_head(&self) -> Result<i64, StoreError> {
        let sql = if self.is_postgres() {
            "SELECT position AS head FROM outbox_head WHERE one = 1"
        } else {
            "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) AS head"
        };
        self.number(sql, "head").await
    }

    /// The oldest position still kept; `None` = nothing is kept.
    ///
    /// # Errors
    /// The database.
    pub async fn outbox_oldest(&self) -> Result<Option<i64>, StoreError> {
        let place = self.position_column();
        let row = table::Entity::find()
            .filter(place.gt(0))
            .order_by_asc(place)
            .one(self)
            .await?;
        Ok(row.map(|row| row.position.unwrap_or(row.id)))
    }

    fn position_column(&self) -> table::Column {
        if self.is_postgres() {
            table::Column::Position
        } else {
            table::Column::Id
        }
    }

    pub(super) async fn number(&self, sql: &str, column: &str) -> Result<i64, StoreError> {
        let statement = Statement::from_string(self.get_database_backend(), sql);
        let row = self.query_one_raw(statement).await?;
        row.map_or(Ok(0), |row| Ok(row.try_get("", column)?))
    }
}

impl Store {
    /// Numbers what was committed since, and says up to where events are numbered now. Any node may call it at any
    /// time; on SQLite there is nothing to do.
    ///
    /// # Errors
    /// The database.
    pub async fn sequence(&self) -> Result<i64, StoreError> {
        if self.is_sqlite() {
            return self.read().outbox_head().await;
        }
        loop {
            let (head, numbered): (i64, u64) = self
                .write(Lane::Normal, |tx| async move { number(&tx).await })
                .await?;
            if numbered < SEQUENCE_BATCH.unsigned_abs() {
                return Ok(head);
            }
        }
    }
}

/// Under the head's row lock there is one sequencer; what it can see is committed, and what commits later gets a
/// higher number from the next one.
async fn number(tx: &Tx) -> Result<(i64, u64), StoreError> {
    const NUMBER: &str = "\
        WITH head AS (SELECT position FROM outbox_head WHERE one = 1), \
        batch AS (SELECT id FROM outbox WHERE position IS NULL ORDER BY id LIMIT $1), \
        numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS nth FROM batch) \
        UPDATE outbox SET position = head.position + numbered.nth FROM numbered, head \
        WHERE outbox.id = numbered.id";
    const MOVE: &str =
        "UPDATE outbox_head SET position = position + $1 WHERE one = 1 RETURNING position AS head";
    tx.execute_unprepared("SELECT one FROM outbox_head WHERE one = 1 FOR UPDATE")
        .await?;
    let statement = |sql: &str, value: i64| {
        Statement::from_sql_and_values(DbBackend::Postgres, sql, [value.into()])
    };
    let numbered = tx
        .execute_raw(statement(NUMBER, SEQUENCE_BATCH))
        .await?
        .rows_affected();
    let moved = i64::try_from(numbered).unwrap_or(i64::MAX);
    let row = tx.query_one_raw(statement(MOVE, moved)).await?;
    let head = row.map_or(Ok(0), |row| row.try_get("", "head"))?;
    Ok((head, numbered))
}

impl TryFrom<table::Model> for EventRow {
    type Error = StoreError;

    fn try_from(row: table::Model) -> Result<Self, StoreError> {
        Ok(Self {
            position: row.position.unwrap_or(row.id),
            topic: Topic::from_name(&row.topic)
                .ok_or_else(|| StoreError::unreadable("outbox.topic", &row.topic))?,
            organization: row.organization_id.map(OrganizationId),
            device: row.device_id.map(DeviceId::from_key),
            payload: row.payload,
            at: Millis(row.created_at),
        })
    }
}
