//! Migrations: append-only SQL files inside the binary, the same versions for both databases.
//!
//! A file that was applied is never edited: its checksum is compared at every start. A database with a version this
//! program does not know is refused, for an older program must not write into a newer schema.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use sha2::{Digest, Sha256};

use super::{Lane, Store, StoreError, Tx};

/// One step, in both dialects.
struct Migration {
    version: i32,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// The same file name in both dialects' folders.
macro_rules! migration {
    ($version:literal, $name:literal, $file:literal) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../../migrations/postgres/", $file)),
        }
    };
}

const MIGRATIONS: &[Migration] = &[
    migration!(1, "spine", "0001_spine.sql"),
    migration!(2, "reading_mark", "0002_reading_mark.sql"),
    migration!(3, "follower", "0003_follower.sql"),
    migration!(4, "stamp_time", "0004_stamp_time.sql"),
    migration!(5, "request_started", "0005_request_started.sql"),
    migration!(6, "renewal", "0006_renewal.sql"),
    migration!(7, "times", "0007_times.sql"),
    migration!(8, "unsettled", "0008_unsettled.sql"),
    migration!(9, "marked", "0009_marked.sql"),
    migration!(10, "lists", "0010_lists.sql"),
];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (\
    version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)";

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 = empty.
    pub from: i32,
    /// The version now.
    pub to: i32,
}

impl Store {
    /// Brings the schema up to this program's version. May run any number of times, on several nodes at once.
    ///
    /// # Errors
    /// The database can't be written, is newer than this program, or was migrated by other files.
    pub async fn migrate(&self) -> Result<Migrated, StoreError> {
        // A step over a large table takes as long as it takes.
        self.write_within(None, Lane::Normal, |tx| async move { migrate(&tx).await })
            .await
            .map_err(|error| self.note(error))
    }
}

async fn migrate(tx: &Tx) -> Result<Migrated, StoreError> {
    if tx.is_postgres() {
        // Several nodes may start at once; the number is ours.
        tx.execute_unprepared("SELECT pg_advisory_xact_lock(7377264125)")
            .await?;
    }
    tx.execute_unprepared(VERSIONS).await?;
    let applied = applied(tx).await?;
    let from = applied.last().map_or(0, |(version, _)| *version);
    for (version, checksum) in &applied {
        let Some(known) = MIGRATIONS.iter().find(|known| known.version == *version) else {
            return Err(StoreError::Setup(format!(
                "the database has schema version {version}, which this program does not know: use a newer one"
            )));
        };
        if *checksum != self::checksum(known.sql(tx)) {
            return Err(StoreError::Setup(format!(
                "schema version {version} of the database was made by other files than this program's"
            )));
        }
    }
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version > from)
    {
        apply(tx, migration).await?;
    }
    let to = MIGRATIONS.last().map_or(0, |migration| migration.version);
    Ok(Migrated { from, to })
}

async fn applied(tx: &Tx) -> Result<Vec<(i32, String)>, StoreError> {
    let sql = "SELECT version, checksum FROM schema_version ORDER BY version";
    let rows = tx
        .query_all_raw(Statement::from_string(tx.get_database_backend(), sql))
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("", "version")?, row.try_get("", "checksum")?)))
        .collect()
}

async fn apply(tx: &Tx, migration: &Migration) -> Result<(), StoreError> {
    let sql = migration.sql(tx);
    tx.execute_unprepared(sql).await?;
    let place = match tx.get_database_backend() {
        DbBackend::Postgres => "$1, $2, $3",
        _ => "?, ?, ?",
    };
    let sql_row = format!("INSERT INTO schema_version (version, name, checksum) VALUES ({place})");
    tx.execute_raw(Statement::from_sql_and_values(
        tx.get_database_backend(),
        sql_row,
        [
            migration.version.into(),
            migration.name.into(),
            checksum(sql).into(),
        ],
    ))
    .await?;
    Ok(())
}

impl Migration {
    fn sql(&self, tx: &Tx) -> &'static str {
        if tx.is_postgres() {
            self.postgres
        } else {
            self.sqlite
        }
    }
}

fn checksum(sql: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(sql.as_bytes()))
}
