//! Connections: which there are, and how they are opened.

use std::{
    fs::{self, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sea_orm::{
    DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector,
    sqlx::{
        ConnectOptions as _,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::{
    StoreError,
    gate::Gate,
    ingest::Writer,
    tls,
    wal::{self, Checkpointer},
};
use crate::config::StoreConfig;

/// Connections that only the priority lane uses (PostgreSQL).
const PRIORITY_CONNECTIONS: u32 = 2;

/// The pools of the moment; replaced as a whole when the database failed.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    /// Readers.
    pub(super) read: DatabaseConnection,
    /// The one writer (SQLite), or the writers of the normal lane.
    pub(super) write: DatabaseConnection,
    /// Writers of the priority lane; on SQLite the same as `write`.
    pub(super) priority: DatabaseConnection,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// SQLite, with its gate.
    Sqlite {
        /// The file.
        options: SqliteConnectOptions,
        /// Before the one writer.
        gate: Gate,
        /// Writes records.
        ingest: Writer,
        /// Moves what was written into the file.
        checkpointer: Checkpointer,
    },
    /// PostgreSQL.
    Postgres(PgConnectOptions),
}

/// The file of the database; none on PostgreSQL.
///
/// # Errors
/// The address makes no sense.
pub fn file(config: &StoreConfig) -> Result<Option<PathBuf>, StoreError> {
    if !config.url.starts_with("sqlite:") {
        return Ok(None);
    }
    let options = SqliteConnectOptions::from_str(&config.url)
        .map_err(|error| StoreError::Setup(format!("store.url: {error}")))?;
    Ok(Some(options.get_filename().to_owned()))
}

pub(super) fn kind(config: &StoreConfig) -> Result<Kind, StoreError> {
    let wait = Duration::from_millis(config.acquire_timeout_ms);
    let invalid = |error: &dyn std::fmt::Display| StoreError::Setup(format!("store.url: {error}"));
    if config.url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(&config.url)
            .map_err(|error| invalid(&error))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(wait)
            .pragma("wal_autocheckpoint", wal::MAX_PAGES.to_string())
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging();
        let pages = max_pages(config);
        let options = options.pragma("max_page_count", pages.to_string());
        let file = options.get_filename().to_owned();
        let name = file.to_string_lossy();
        if name.is_empty() || name.contains(":memory:") || name.starts_with("file:") {
            return Err(invalid(&"a database in memory keeps nothing"));
        }
        keep_private(&file);
        return Ok(Kind::Sqlite {
            checkpointer: Checkpointer::new(file.clone(), wait),
            ingest: Writer::start(file, wait, pages)
                .map_err(|error| StoreError::Io(error.to_string()))?,
            options,
            gate: Gate::default(),
        });
    }
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(|error| invalid(&error))?
        .application_name("sealgate")
        .disable_statement_logging();
    Ok(Kind::Postgres(tls::secure(options, config)?))
}

/// Names and phone numbers are in it: nobody else on the machine reads the database, whatever the folder allows. SQLite
/// gives its other files the mode of the first. What cannot be done here is said when the file is opened.
fn keep_private(file: &Path) {
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file);
    drop(made);
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        let private = Permissions::from_mode(0o600);
        if let Err(error) = fs::set_permissions(&name, private)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = ?name, %error, "others may be able to read the database");
        }
    }
}

/// The file's limit in pages of 4,096 bytes; the greatest SQLite knows if there is none.
fn max_pages(config: &StoreConfig) -> u32 {
    const NO_LIMIT: u32 = u32::MAX - 1;
    match config.max_size_mb {
        0 => NO_LIMIT,
        megabytes => u32::try_from(megabytes.saturating_mul(256)).unwrap_or(NO_LIMIT),
    }
}

pub(super) fn pools(kind: &Kind, config: &StoreConfig) -> Pools {
    let wait = Duration::from_millis(config.acquire_timeout_ms);
    match kind {
        Kind::Sqlite { options, .. } => {
            // A file is not lost as a server is: asking a connection whether it lives would cost every transaction a
            // statement.
            let writer = SqlitePoolOptions::new()
                .test_before_acquire(false)
                .max_connections(1)
                .acquire_timeout(wait)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(options.clone().pragma("cache_size", "-32768"));
            let readers = SqlitePoolOptions::new()
                .test_before_acquire(false)
                .max_connections(config.connections.max(1))
                .acquire_timeout(wait)
                .connect_lazy_with(options.clone().pragma("query_only", "ON"));
            let write = SqlxSqliteConnector::from_sqlx_sqlite_pool(writer);
            Pools {
                read: SqlxSqliteConnector::from_sqlx_sqlite_pool(readers),
                priority: write.clone(),
                write,
            }
        }
        Kind::Postgres(options) => {
            let pool = |connections: u32| {
                let pool = PgPoolOptions::new()
                    .max_connections(connections.max(1))
                    .acquire_timeout(wait)
                    .connect_lazy_with(options.clone());
                SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
            };
            let write = pool(config.connections);
            Pools {
                read: write.clone(),
                priority: pool(PRIORITY_CONNECTIONS),
                write,
            }
        }
    }
}
