//! The queue's file: its schema, its settings, and whether it is as it was written.

use std::path::Path;

use rusqlite::Connection;
use sealgate_codec::{DeviceId, link::crc32c};

use super::store::QueueError;

/// "SLGE" in the file's header.
const APPLICATION_ID: i32 = 0x534c_4745;
const VERSION: u32 = 1;
const SCHEMA: &str = "
    CREATE TABLE lane (
        dev INTEGER PRIMARY KEY,
        term INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE message (
        dev INTEGER NOT NULL,
        pos INTEGER NOT NULL,
        term INTEGER NOT NULL,
        at INTEGER NOT NULL,
        sum INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (dev, pos)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kept (
        name TEXT PRIMARY KEY,
        sum INTEGER NOT NULL,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Settings, read back; the schema of a new file.
pub(super) fn prepare(db: &Connection, file: &Path) -> Result<(), QueueError> {
    let fail = |error: rusqlite::Error| classify(file, &error);
    let shown = || file.display().to_string();
    let version: u32 = db
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(fail)?;
    let owner: i32 = db
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(fail)?;
    let tables: u32 = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fail)?;
    if version > VERSION {
        return Err(QueueError::Newer {
            file: shown(),
            version,
        });
    }
    let fresh = version == 0 && tables == 0;
    if !fresh && owner != APPLICATION_ID {
        return Err(QueueError::Damaged {
            file: shown(),
            detail: "a database of another program".to_owned(),
        });
    }
    if fresh {
        // Only effective before the first table.
        db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")
            .map_err(fail)?;
    }
    let mode: String = db
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(fail)?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 256")
        .map_err(fail)?;
    let synchronous: i32 = db
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .map_err(fail)?;
    if mode != "wal" || synchronous != 2 {
        return Err(QueueError::Unsafe {
            file: shown(),
            what: format!("a write-ahead log with full sync (mode {mode}, sync {synchronous})"),
        });
    }
    if fresh {
        let create = format!(
            "BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {VERSION}; COMMIT"
        );
        db.execute_batch(&create).map_err(fail)?;
    }
    Ok(())
}

/// The file's own structure, then every message.
pub(super) fn check(db: &Connection, file: &Path) -> Result<(), QueueError> {
    let fail = |error: rusqlite::Error| classify(file, &error);
    let damaged = |detail: String| QueueError::Damaged {
        file: file.display().to_string(),
        detail,
    };
    let verdict: String = db
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(fail)?;
    if verdict != "ok" {
        return Err(damaged(verdict));
    }
    let mut rows = db
        .prepare("SELECT dev, pos, term, at, sum, body FROM message")
        .map_err(fail)?;
    let mut rows = rows.query([]).map_err(fail)?;
    while let Some(row) = rows.next().map_err(fail)? {
        let dev: i64 = row.get(0).map_err(fail)?;
        let pos: i64 = row.get(1).map_err(fail)?;
        let (term, at) = (row.get(2).map_err(fail)?, row.get(3).map_err(fail)?);
        let sum: u32 = row.get(4).map_err(fail)?;
        let body: Vec<u8> = row.get(5).map_err(fail)?;
        if sum != sum_of(dev, term, at, &body) {
            return Err(damaged(format!(
                "message {pos} of seal {} is not as it was written",
                DeviceId::from_i64(dev)
            )));
        }
    }
    let orphans: u32 = db
        .query_row(
            "SELECT count(*) FROM message m LEFT JOIN lane l ON l.dev = m.dev
             WHERE l.last IS NULL OR l.last < m.pos",
            [],
            |row| row.get(0),
        )
        .map_err(fail)?;
    if orphans > 0 {
        return Err(damaged(format!("{orphans} messages without their numbers")));
    }
    Ok(())
}

/// Without the message's number, which a queue begun anew may have to raise.
pub(super) fn sum_of(dev: i64, term: u32, at: i64, body: &[u8]) -> u32 {
    let mut bytes = Vec::with_capacity(body.len() + 20);
    bytes.extend_from_slice(&dev.to_be_bytes());
    bytes.extend_from_slice(&term.to_be_bytes());
    bytes.extend_from_slice(&at.to_be_bytes());
    bytes.extend_from_slice(body);
    crc32c(&bytes)
}

pub(super) fn classify(file: &Path, error: &rusqlite::Error) -> QueueError {
    use rusqlite::ErrorCode as Code;
    let damaged = matches!(
        error.sqlite_error_code(),
        Some(Code::DatabaseCorrupt | Code::NotADatabase)
    ) || matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    );
    if damaged {
        QueueError::Damaged {
            file: file.display().to_string(),
            detail: error.to_string(),
        }
    } else {
        QueueError::Io(format!("{}: {error}", file.display()))
    }
}
