//! Rows in bulk, into SQLite or PostgreSQL.
//!
//! Invariants:
//! - Indexes that are no keys are dropped before the first row and made again behind the last: sorted once they cost a
//!   fraction of row by row. What a key or a reference forbids is still refused.
//! - SQLite writes without a journal meanwhile: a fill that breaks off is thrown away, never gone on with.

use anyhow::{Context as _, Result};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::SinkExt as _;
use indicatif::ProgressBar;
use rusqlite::{Connection, types::Value};
use tokio_postgres::{Client, NoTls};

/// A value as its column wants it.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    /// NULL.
    Null,
    /// BOOLEAN.
    Bool(bool),
    /// INTEGER.
    Int(i32),
    /// BIGINT.
    Big(i64),
    /// TEXT or JSON.
    Text(String),
    /// BYTEA or BLOB.
    Bytes(Vec<u8>),
    /// UUID, or BLOB of sixteen bytes.
    Uuid([u8; 16]),
}

impl Cell {
    /// NULL for none.
    pub(super) fn big(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Big)
    }

    fn sqlite(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Integer((*value).into()),
            Self::Int(value) => Value::Integer((*value).into()),
            Self::Big(value) => Value::Integer(*value),
            Self::Text(value) => Value::Text(value.clone()),
            Self::Bytes(value) => Value::Blob(value.clone()),
            Self::Uuid(value) => Value::Blob(value.to_vec()),
        }
    }

    /// A field of PostgreSQL's binary COPY: its length, then its bytes.
    fn copy(&self, out: &mut BytesMut) {
        let mut field = |bytes: &[u8]| {
            out.put_i32(i32::try_from(bytes.len()).expect("a short field"));
            out.put_slice(bytes);
        };
        match self {
            Self::Null => out.put_i32(-1),
            Self::Bool(value) => field(&[u8::from(*value)]),
            Self::Int(value) => field(&value.to_be_bytes()),
            Self::Big(value) => field(&value.to_be_bytes()),
            Self::Text(value) => field(value.as_bytes()),
            Self::Bytes(value) => field(value),
            Self::Uuid(value) => field(value),
        }
    }
}

/// A table and the columns that are written; the others keep their defaults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// Its columns, separated by commas.
    pub(super) columns: &'static str,
}

impl Table {
    fn insert(&self) -> String {
        let places = vec!["?"; self.columns.split(',').count()].join(", ");
        format!(
            "INSERT INTO {} ({}) VALUES ({places})",
            self.name, self.columns
        )
    }
}

/// Rows of one table that wait to be written.
#[derive(Debug)]
pub(super) struct Rows {
    table: Table,
    waiting: Vec<Vec<Cell>>,
}

impl Rows {
    /// None yet.
    pub(super) fn of(table: Table) -> Self {
        Self {
            table,
            waiting: Vec::new(),
        }
    }

    /// One more.
    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.waiting.push(row);
    }
}

/// A database being filled.
pub(super) enum Sink {
    /// A file.
    Sqlite(Connection, Vec<String>),
    /// A server.
    Postgres(Client, Vec<String>),
}

impl Sink {
    /// Opens it and takes the indexes away.
    pub(super) async fn open(url: &str) -> Result<Self> {
        let Some(file) = url.strip_prefix("sqlite://") else {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            sealgate::tasks::spawn("fill-connection", async move {
                let _ = connection.await;
            });
            return Self::bare_postgres(client).await;
        };
        let database = Connection::open(file)?;
        database.pragma_update(None, "journal_mode", "OFF")?;
        database.pragma_update(None, "synchronous", "OFF")?;
        database.pragma_update(None, "foreign_keys", "ON")?;
        database.pragma_update(None, "cache_size", -500_000)?;
        database.set_prepared_statement_cache_capacity(32);
        let indexes: Vec<(String, String)> = database
            .prepare(
                "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (name, _) in &indexes {
            database.execute_batch(&format!("DROP INDEX {name}"))?;
        }
        let made = indexes.into_iter().map(|(_, sql)| sql).collect();
        Ok(Self::Sqlite(database, made))
    }

    async fn bare_postgres(client: Client) -> Result<Self> {
        let found = client
            .query(
                "SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = current_schema() \
                 AND indexname NOT IN (SELECT conname FROM pg_constraint)",
                &[],
            )
            .await?;
        let mut made = Vec::new();
        for row in found {
            let name: String = row.get(0);
            client.batch_execute(&format!("DROP INDEX {name}")).await?;
            made.push(row.get(1));
        }
        client
            .batch_execute("SET maintenance_work_mem = '1GB'; SET synchronous_commit = off")
            .await?;
        Ok(Self::Postgres(client, made))
    }

    /// Writes what waits.
    pub(super) async fn write(&mut self, rows: &mut Rows) -> Result<()> {
        let (table, waiting) = (rows.table, std::mem::take(&mut rows.waiting));
        if waiting.is_empty() {
            return Ok(());
        }
        match self {
            Self::Sqlite(database, _) => {
                let transaction = database.transaction()?;
                let mut statement = transaction.prepare_cached(&table.insert())?;
                for row in &waiting {
                    let values = row.iter().map(Cell::sqlite);
                    statement
                        .execute(rusqlite::params_from_iter(values))
                        .with_context(|| format!("{}: {row:?}", table.name))?;
                }
                drop(statement);
                transaction.commit()?;
            }
            Self::Postgres(client, _) => {
                let sql = format!(
                    "COPY {} ({}) FROM STDIN (FORMAT binary)",
                    table.name, table.columns
                );
                let sink = client.copy_in::<_, Bytes>(&sql).await?;
                let mut sink = std::pin::pin!(sink);
                sink.send(copied(&waiting)).await?;
                sink.finish().await.with_context(|| table.name.to_owned())?;
            }
        }
        Ok(())
    }

    /// Runs a statement that both databases know.
    pub(super) async fn run(&mut self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(database, _) => database.execute_batch(sql)?,
            Self::Postgres(client, _) => client.batch_execute(sql).await?,
        }
        Ok(())
    }

    /// Makes the indexes again, and does what the database's own upkeep would have done by now.
    pub(super) async fn finish(mut self) -> Result<()> {
        let indexes = match &mut self {
            Self::Sqlite(_, made) | Self::Postgres(_, made) => std::mem::take(made),
        };
        let bar = ProgressBar::new(indexes.len() as u64).with_message("indexes");
        for sql in indexes {
            self.run(&sql).await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        match self {
            Self::Sqlite(database, _) => {
                database.pragma_update(None, "journal_mode", "WAL")?;
                database.close().map_err(|(_, error)| error)?;
            }
            Self::Postgres(client, _) => {
                for (table, column) in [("outbox", "id"), ("audit", "id"), ("stamp", "position")] {
                    let sql = format!(
                        "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table}))"
                    );
                    client.batch_execute(&sql).await?;
                }
                client.batch_execute("VACUUM ANALYZE").await?;
                client.batch_execute("CHECKPOINT").await?;
            }
        }
        Ok(())
    }
}

/// Rows as PostgreSQL's binary COPY takes them.
fn copied(rows: &[Vec<Cell>]) -> Bytes {
    let mut out = BytesMut::with_capacity(rows.len() * 256);
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    out.put_i32(0);
    out.put_i32(0);
    for row in rows {
        out.put_i16(i16::try_from(row.len()).expect("few columns"));
        for cell in row {
            cell.copy(&mut out);
        }
    }
    out.put_i16(-1);
    out.freeze()
}

/// The one text a query finds.
pub(super) async fn ask(url: &str, sql: &str) -> Result<String> {
    if let Some(file) = url.strip_prefix("sqlite://") {
        let database = Connection::open(file)?;
        return Ok(database.query_row(sql, [], |row| row.get(0))?);
    }
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    sealgate::tasks::spawn("ask-connection", async move {
        let _ = connection.await;
    });
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// How large each table and index is, largest first.
pub(super) async fn sizes(url: &str) -> Result<Vec<(String, u64)>> {
    if let Some(file) = url.strip_prefix("sqlite://") {
        return sqlite_sizes(file);
    }
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    sealgate::tasks::spawn("sizes-connection", async move {
        let _ = connection.await;
    });
    let rows = client
        .query(
            "SELECT c.relname::text, pg_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'i') ORDER BY 2 DESC",
            &[],
        )
        .await?;
    let sizes = rows.iter().map(|row| {
        let bytes: i64 = row.get(1);
        (row.get(0), bytes.unsigned_abs())
    });
    Ok(sizes.collect())
}

/// By pages, where this build of SQLite can count them; nothing otherwise.
fn sqlite_sizes(file: &str) -> Result<Vec<(String, u64)>> {
    let database = Connection::open(file)?;
    let Ok(mut statement) = database
        .prepare("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE ORDER BY pgsize DESC")
    else {
        return Ok(Vec::new());
    };
    let rows = statement.query_map([], |row| {
        let bytes: i64 = row.get(1)?;
        Ok((row.get(0)?, bytes.unsigned_abs()))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_row_names_its_fields_lengths() {
        let rows = [vec![Cell::Null, Cell::Int(7), Cell::Text("ab".to_owned())]];
        let bytes = copied(&rows);
        let expected = [
            &b"PGCOPY\n\xff\r\n\0"[..],
            &[0; 8],
            &[0, 3],
            &[0xff; 4],
            &[0, 0, 0, 4, 0, 0, 0, 7],
            &[0, 0, 0, 2, b'a', b'b'],
            &[0xff; 2],
        ]
        .concat();
        assert_eq!(bytes, expected);
    }
}
