//! Deleting what has served its purpose. Records, grants, commands and the audit are kept.

use sea_orm::{ConnectionTrait, Statement};
use sealgate_domain::Millis;

use super::{Lane, Store, StoreError};

/// Rows deleted in one transaction, so that nobody waits long for the writer.
const BATCH: u64 = 2_000;

/// What is deleted, by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aged {
    /// Events that were told.
    Outbox,
    /// Answers kept for repeats.
    Idempotency,
    /// Verification codes.
    Codes,
}

impl Aged {
    /// Events are kept in the order they were made: only the oldest are looked at, so that finding nothing due costs
    /// nothing. One that is younger than the next keeps it a while longer.
    const fn sql(self, postgres: bool) -> &'static str {
        match (self, postgres) {
            (Self::Outbox, false) => {
                "DELETE FROM outbox WHERE created_at < ? AND id IN (SELECT id FROM outbox ORDER BY id LIMIT ?)"
            }
            (Self::Outbox, true) => {
                "DELETE FROM outbox WHERE created_at < $1 AND id IN (SELECT id FROM outbox WHERE position IS NOT NULL ORDER BY position LIMIT $2)"
            }
            (Self::Idempotency, false) => {
                "DELETE FROM idempotency WHERE (token_id, key) IN (SELECT token_id, key FROM idempotency WHERE created_at < ? LIMIT ?)"
            }
            (Self::Idempotency, true) => {
                "DELETE FROM idempotency WHERE (token_id, key) IN (SELECT token_id, key FROM idempotency WHERE created_at < $1 LIMIT $2)"
            }
            (Self::Codes, false) => {
                "DELETE FROM verification_code WHERE id IN (SELECT id FROM verification_code WHERE created_at < ? LIMIT ?)"
            }
            (Self::Codes, true) => {
                "DELETE FROM verification_code WHERE id IN (SELECT id FROM verification_code WHERE created_at < $1 LIMIT $2)"
            }
        }
    }
}

impl Store {
    /// Deletes a batch of what is older than `before`, and says how many rows that were: call again while it is many.
    ///
    /// # Errors
    /// The database.
    pub async fn delete_aged(&self, what: Aged, before: Millis) -> Result<u64, StoreError> {
        self.write(Lane::Normal, |tx| async move {
            let sql = what.sql(tx.is_postgres());
            let values = [before.0.into(), BATCH.into()];
            let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
            Ok(tx.execute_raw(statement).await?.rows_affected())
        })
        .await
    }
}
