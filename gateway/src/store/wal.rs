//! SQLite's write-ahead log is moved into the file beside the writer, not by it.
//!
//! - A commit never waits for pages of other commits to be moved: it would be the one in a thousand that takes a
//!   hundred times as long.
//! - While everybody writes, the log only grows. When it is long, writers wait for the short rest that was written
//!   during the move; then it begins anew.
//! - Should nobody call [`Store::checkpoint_wal`], the writer moves pages itself at [`MAX_PAGES`].

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::Connection;

use super::{Lane, Store, StoreError, error};
use crate::tasks;

/// Pages at which a writer moves them, because nobody else did.
pub(super) const MAX_PAGES: u32 = 64_000;
/// Pages at which the log is to begin anew.
const LONG: i64 = 16_000;

/// The connection that moves pages, opened at the first use.
#[derive(Debug, Clone)]
pub(super) struct Checkpointer {
    file: Arc<PathBuf>,
    busy: Duration,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Checkpointer {
    pub(super) fn new(file: PathBuf, busy: Duration) -> Self {
        Self {
            file: Arc::new(file),
            busy,
            connection: Arc::default(),
        }
    }

    /// Moves what can be moved without waiting for anybody; the length of the log in pages.
    async fn run(&self) -> Result<i64, StoreError> {
        let this = self.clone();
        let work = move || {
            let mut slot = this
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let result = run(&mut slot, &this.file, this.busy);
            if result.is_err() {
                *slot = None;
            }
            result
        };
        let gone = || StoreError::Io("the checkpoint was abandoned".to_owned());
        tasks::compute("checkpoint", work).await.ok_or_else(gone)?
    }
}

fn run(slot: &mut Option<Connection>, file: &Path, busy: Duration) -> Result<i64, StoreError> {
    let connection = match slot {
        Some(connection) => connection,
        None => slot.insert(open(file, busy).map_err(error::rusqlite)?),
    };
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
        .map_err(error::rusqlite)
}

fn open(file: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

impl Store {
    /// Moves committed pages from the write-ahead log into the file. Nothing to do on PostgreSQL.
    ///
    /// # Errors
    /// The database.
    pub async fn checkpoint_wal(&self) -> Result<(), StoreError> {
        let Some(checkpointer) = self.checkpointer() else {
            return Ok(());
        };
        if checkpointer.run().await? < LONG {
            return Ok(());
        }
        let permit = self.pass(Lane::Normal).await;
        checkpointer.run().await?;
        drop(permit);
        Ok(())
    }
}
