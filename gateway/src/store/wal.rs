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
const LONG: i64 = 24_000;

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
        self.checkpoint_wal_beyond(LONG).await
    }

    async fn checkpoint_wal_beyond(&self, long: i64) -> Result<(), StoreError> {
        let Some(checkpointer) = self.checkpointer() else {
            return Ok(());
        };
        if checkpointer.run().await? < long {
            return Ok(());
        }
        // What was written during the first move, so that the rest is short.
        checkpointer.run().await?;
        let permit = self.pass(Lane::Normal).await;
        checkpointer.run().await?;
        drop(permit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sealgate_domain::Millis;

    use super::*;
    use crate::store::{Audit, testing::TestStore};

    /// Writes rows of some pages.
    async fn write_much(store: &Store) {
        let written: Result<(), StoreError> = store
            .write(Lane::Normal, |tx| async move {
                for _ in 0..100 {
                    tx.audit(Audit {
                        at: Millis(0),
                        organization: None,
                        device: None,
                        actor: "test".to_owned(),
                        action: "test.filled",
                        subject: "x".repeat(1_000),
                        detail: None,
                    })
                    .await?;
                }
                Ok(())
            })
            .await;
        written.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_log_begins_anew_although_somebody_always_writes() {
        const TIMES: u64 = 100;
        let kept = TestStore::sqlite().await;
        let store = kept.store.clone();
        let file = store.checkpointer().unwrap().file.display().to_string();
        let length = || std::fs::metadata(format!("{file}-wal")).unwrap().len();
        write_much(&store).await;
        let once = length();
        let writer = store.clone();
        let writing = tasks::spawn("writer", async move {
            for _ in 0..TIMES {
                write_much(&writer).await;
            }
        });
        while !writing.is_finished() {
            store.checkpoint_wal_beyond(1).await.unwrap();
        }
        assert!(length() < once * TIMES / 2, "{} of {once}", length());
    }
}
