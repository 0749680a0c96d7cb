//! Ingest on PostgreSQL: device rows locked in the order of their ids, everything read and written in a fixed number
//! of statements whatever the number of groups. Groups that the database refuses together are tried one by one.

mod load;
mod write;

use std::{collections::HashMap, time::Duration};

use sea_orm::sqlx;

use self::write::Written;
use super::{
    IngestBatch, IngestOutcome, IngestRefusal,
    decide::{self, Decision},
};
use crate::store::{Store, StoreError, Topic, error};

/// Times a transaction that lost a race is run at most.
const ATTEMPTS: u32 = 10;

/// Why a transaction did not come through.
#[derive(Debug)]
enum Failure {
    /// Run it again.
    Race,
    /// Something in it can't be stored.
    Content,
    /// The database.
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if error::sqlx_lost_race(&error) {
            return Self::Race;
        }
        if let sqlx::Error::Database(inner) = &error
            && inner
                .code()
                .is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
        {
            return Self::Content;
        }
        Self::Store(StoreError::from(error))
    }
}

pub(super) async fn run(
    store: &Store,
    groups: &[IngestBatch],
) -> Result<Vec<IngestOutcome>, StoreError> {
    let all: Vec<&IngestBatch> = groups.iter().collect();
    match attempts(store, &all, false).await {
        Ok(outcomes) => return Ok(outcomes),
        Err(Failure::Store(error)) => return Err(error),
        Err(Failure::Race) => return Err(StoreError::Busy),
        Err(Failure::Content) => {}
    }
    let mut outcomes = Vec::with_capacity(groups.len());
    for group in groups {
        outcomes.push(match attempts(store, &[group], true).await {
            Ok(outcome) => outcome[0],
            Err(Failure::Content) => IngestOutcome::Refused(IngestRefusal::Content),
            Err(Failure::Race) => return Err(StoreError::Busy),
            Err(Failure::Store(error)) => return Err(error),
        });
    }
    Ok(outcomes)
}

async fn attempts(
    store: &Store,
    groups: &[&IngestBatch],
    careful: bool,
) -> Result<Vec<IngestOutcome>, Failure> {
    let mut attempt = 1;
    loop {
        match once(store, groups, careful).await {
            Err(Failure::Race) if attempt < ATTEMPTS => {
                let pause = rand::random_range(1..=5 * attempt);
                tokio::time::sleep(Duration::from_millis(u64::from(pause))).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// `careful`: compare with everything stored, for a group that met rows its cursor knows nothing of.
async fn once(
    store: &Store,
    groups: &[&IngestBatch],
    careful: bool,
) -> Result<Vec<IngestOutcome>, Failure> {
    let pools = store.pools();
    let mut tx = pools.write.get_postgres_connection_pool().begin().await?;
    let mut contexts = load::contexts(&mut tx, groups).await?;
    let mut grants = load::grants(&mut tx, groups).await?;
    let mut written = Written::default();
    let mut outcomes = Vec::with_capacity(groups.len());
    for batch in groups {
        let key = (batch.device.to_key(), i64::from(batch.epoch));
        let known = contexts.get(&key);
        let stored = match careful || decide::must_compare(known, batch) {
            true => load::hashes(&mut tx, batch, &written).await?,
            false => HashMap::new(),
        };
        let named = grants.entry(key.0).or_default();
        match decide::decide(known, named, &stored, batch) {
            Decision::Done(outcome) => outcomes.push(outcome),
            Decision::Fork { seq } => {
                write::quarantine(&mut tx, batch, seq).await?;
                let organization = known.and_then(|known| known.organization);
                let (row, alarm) = decide::fork_row(batch, seq);
                written.audit(organization, batch, row);
                written.event(organization, batch, Topic::Alarm, alarm);
                if let Some(log) = contexts
                    .get_mut(&key)
                    .and_then(|context| context.log.as_mut())
                {
                    log.audit = true;
                }
                outcomes.push(IngestOutcome::Fork);
            }
            Decision::Store(plan) => {
                outcomes.push(plan.outcome());
                let organization = known.and_then(|known| known.organization);
                let log = plan.log;
                written.plan(organization, batch, plan);
                if let Some(context) = contexts.get_mut(&key) {
                    context.log = Some(log);
                }
            }
        }
    }
    written.flush(&mut tx, &grants).await?;
    tx.commit().await?;
    Ok(outcomes)
}
