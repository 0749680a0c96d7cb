//! Committed events for background work, and how far each follower that must not forget has come.

use sealgate_domain::Millis;

use super::{App, AppError};
use crate::store::{self, Lane, OutboxFilter, OutboxPage, StoreError, follower, retention::Aged};

pub use store::{EventRow as Committed, Topic};

/// How long events stay readable for those who catch up.
const EVENTS_KEPT: i64 = 30 * 24 * Millis::HOUR;
/// How long an answer is kept for a request that is sent again.
const ANSWERS_KEPT: i64 = 24 * Millis::HOUR;
/// How long codes are kept, for their rate limits.
const CODES_KEPT: i64 = 24 * Millis::HOUR;
/// A batch smaller than this was the last.
const FULL: u64 = 1_000;

impl App {
    /// Numbers committed events; says the newest position.
    ///
    /// # Errors
    /// The database.
    pub async fn sequence_outbox(&self) -> Result<i64, AppError> {
        Ok(self.store.sequence().await?)
    }

    /// Events behind a position.
    ///
    /// # Errors
    /// The database.
    pub async fn committed_after(
        &self,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Committed>, AppError> {
        let all = OutboxFilter::default();
        Ok(self.store.read().outbox_after(after, limit, &all).await?)
    }

    /// Events of some topics behind a position.
    ///
    /// # Errors
    /// The database.
    pub async fn committed_about(
        &self,
        after: i64,
        limit: u64,
        topics: &[Topic],
    ) -> Result<OutboxPage, AppError> {
        let filter = OutboxFilter {
            topics: topics.to_vec(),
            ..OutboxFilter::default()
        };
        let reader = self.store.read();
        Ok(reader.outbox_page(after, limit, &filter).await?)
    }

    /// How far a follower has come; one that never ran begins now.
    ///
    /// # Errors
    /// The database.
    pub async fn mark(&self, name: &'static str) -> Result<i64, AppError> {
        let reader = self.store.read();
        if let Some(position) = follower::position(&reader, name).await? {
            return Ok(position);
        }
        let head = reader.outbox_head().await?;
        self.set_mark(name, head).await?;
        Ok(head)
    }

    /// Remembers how far a follower has come.
    ///
    /// # Errors
    /// The database.
    pub async fn set_mark(&self, name: &'static str, position: i64) -> Result<(), AppError> {
        self.store
            .write(Lane::Normal, |tx| async move {
                follower::set(&tx, name, position).await
            })
            .await
            .map_err(|error: StoreError| AppError::from(error))
    }

    /// Moves what was committed from the write-ahead log into the database file.
    ///
    /// # Errors
    /// The database.
    pub async fn checkpoint_wal(&self) -> Result<(), AppError> {
        Ok(self.store.checkpoint_wal().await?)
    }

    /// Deletes one batch of what is old; true while there is more.
    ///
    /// # Errors
    /// The database.
    pub async fn delete_aged(&self) -> Result<bool, AppError> {
        let now = self.clock.now();
        let mut more = false;
        for (what, kept) in [
            (Aged::Outbox, EVENTS_KEPT),
            (Aged::Idempotency, ANSWERS_KEPT),
            (Aged::Codes, CODES_KEPT),
        ] {
            more |= self.store.delete_aged(what, now.plus(-kept)).await? >= FULL;
        }
        Ok(more)
    }
}
