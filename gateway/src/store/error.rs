//! What can go wrong with the database, sorted by what the caller can do about it.

use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// The database said no.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Disk full, I/O error, connection lost, read-only: nothing may be acknowledged, the gateway goes unready.
    #[error("the database cannot be written: {0}")]
    Io(String),
    /// Waited too long for the database.
    #[error("the database is busy")]
    Busy,
    /// The row was changed by somebody else since it was read.
    #[error("{0} was changed in the meantime")]
    Stale(&'static str),
    /// A row with this key exists.
    #[error("such a row exists already: {0}")]
    Exists(String),
    /// Stored content that no version of this program writes.
    #[error("stored {what} is not readable: {text}")]
    Unreadable {
        /// Which column.
        what: &'static str,
        /// What is there.
        text: String,
    },
    /// The database is not what it has to be.
    #[error("{0}")]
    Setup(String),
    /// Anything else, a defect.
    #[error("the database refused a statement")]
    Statement(#[source] DbErr),
}

impl StoreError {
    /// Must the gateway stop acknowledging until the database is back?
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Busy)
    }

    pub(super) fn unreadable(what: &'static str, text: impl ToString) -> Self {
        Self::Unreadable {
            what,
            text: text.to_string(),
        }
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(text)) = error.sql_err() {
            return Self::Exists(text);
        }
        match &error {
            DbErr::ConnectionAcquire(_) => Self::Busy,
            DbErr::Conn(inner) | DbErr::Exec(inner) | DbErr::Query(inner) => match inner {
                RuntimeErr::SqlxError(inner) => Self::sqlx(inner).unwrap_or(Self::Statement(error)),
                RuntimeErr::Internal(_) => Self::Statement(error),
            },
            _ => Self::Statement(error),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(inner) = &error
            && inner.is_unique_violation()
        {
            return Self::Exists(inner.to_string());
        }
        Self::sqlx(&error).unwrap_or_else(|| {
            let text = error.to_string();
            Self::Statement(DbErr::Custom(text))
        })
    }
}

impl StoreError {
    /// Sorts out what is not the statement's fault.
    fn sqlx(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_) => Some(Self::Io(error.to_string())),
            sqlx::Error::PoolTimedOut => Some(Self::Busy),
            sqlx::Error::Database(inner) => {
                let code = inner.code()?;
                if inner
                    .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                    .is_some()
                {
                    return postgres(&code, error);
                }
                sqlite(code.parse().ok()?, &error.to_string())
            }
            _ => None,
        }
    }
}

/// PostgreSQL: no disk or memory (53), shut down (57), broken storage (58), connection (08), read-only (25006).
fn postgres(code: &str, error: &sqlx::Error) -> Option<StoreError> {
    let class = code.get(..2)?;
    let outage = matches!(class, "53" | "57" | "58" | "08") || code == "25006" || code == "XX001";
    outage.then(|| StoreError::Io(error.to_string()))
}

/// SQLite: primary result codes that mean the file, not the statement.
pub(super) fn sqlite(code: i32, text: &str) -> Option<StoreError> {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const NOTADB: i32 = 26;
    match code & 0xff {
        BUSY | LOCKED => Some(StoreError::Busy),
        READONLY | IOERR | CORRUPT | FULL | CANTOPEN | NOTADB => {
            Some(StoreError::Io(text.to_owned()))
        }
        _ => None,
    }
}

/// What went wrong on a connection of rusqlite's.
pub(super) fn rusqlite(error: rusqlite::Error) -> StoreError {
    if let rusqlite::Error::SqliteFailure(inner, _) = &error
        && let Some(error) = sqlite(inner.extended_code, &error.to_string())
    {
        return error;
    }
    StoreError::Statement(DbErr::Custom(error.to_string()))
}

/// Did PostgreSQL end this transaction so that another could go on (serialization failure, deadlock)?
pub(super) fn lost_race(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) =
        error
    else {
        return false;
    };
    sqlx_lost_race(inner)
}

/// Does it mean that the database can't be written?
pub(super) fn is_io(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(inner))
    | DbErr::Exec(RuntimeErr::SqlxError(inner))
    | DbErr::Query(RuntimeErr::SqlxError(inner))) = error
    else {
        return false;
    };
    matches!(StoreError::sqlx(inner), Some(StoreError::Io(_)))
}

/// [`lost_race`] for statements that go to sqlx directly.
pub(super) fn sqlx_lost_race(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(inner) => {
            inner
                .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                .is_some()
                && matches!(inner.code().as_deref(), Some("40001" | "40P01"))
        }
        _ => false,
    }
}
