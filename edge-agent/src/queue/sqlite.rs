//! Storage in an SQLite file.
//!
//! Constraints and invariants:
//! - Write-ahead log with `synchronous=FULL`, both read back at start: a commit that returned survives a power cut. A
//!   torn tail of the log is cut off by SQLite at the last whole commit.
//! - Every message carries a CRC-32C of its fields, checked when the file is opened and at every read: a disk that
//!   changes bytes is seen, never passed on.
//! - Numbers of messages and links only rise, also after everything was dropped: they stand in `lane`, not in `message`.
//! - Space is given back in small steps (incremental vacuum), never in one long one.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, params};
use sealgate_codec::{DeviceId, edge::QueueState, link::crc32c};

use super::{
    file::{check, classify, prepare, sum_of},
    store::{Backlog, Done, OVERHEAD, Op, QueueError, Queued, Store, first_position, limit_for},
};

/// Pages given back in one step.
const VACUUM_STEP: u32 = 64;

/// A queue in a file.
#[derive(Debug)]
pub struct SqliteStore {
    db: Connection,
    file: PathBuf,
    limit: u64,
    totals: Totals,
    refused: u32,
}

/// Kept beside the file so that nobody counts rows; set only after a commit.
#[derive(Debug, Clone, Copy)]
struct Totals {
    messages: u64,
    bytes: u64,
    /// Unix milliseconds of the oldest message; may be older than true after some were dropped, until [`Store::tidy`].
    oldest: Option<u64>,
}

impl SqliteStore {
    /// Opens or creates the file and checks all of it.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub fn open(file: &Path, limit: u64) -> Result<Self, QueueError> {
        let fail = |error: rusqlite::Error| classify(file, &error);
        let db = Connection::open(file).map_err(fail)?;
        db.busy_timeout(std::time::Duration::from_secs(5))
            .map_err(fail)?;
        prepare(&db, file)?;
        check(&db, file)?;
        let mut store = Self {
            db,
            file: file.to_owned(),
            limit,
            totals: Totals {
                messages: 0,
                bytes: 0,
                oldest: None,
            },
            refused: 0,
        };
        store.totals = store.count()?;
        Ok(store)
    }

    fn count(&self) -> Result<Totals, QueueError> {
        self.db
            .query_row(
                "SELECT count(*), coalesce(sum(length(body)), 0), min(at) FROM message",
                [],
                |row| {
                    let messages: i64 = row.get(0)?;
                    let bytes: i64 = row.get(1)?;
                    let oldest: Option<i64> = row.get(2)?;
                    Ok(Totals {
                        messages: messages.unsigned_abs(),
                        bytes: bytes.unsigned_abs() + messages.unsigned_abs() * OVERHEAD,
                        oldest: oldest.map(i64::unsigned_abs),
                    })
                },
            )
            .map_err(|error| classify(&self.file, &error))
    }

    fn damaged(&self, detail: impl Into<String>) -> QueueError {
        QueueError::Damaged {
            file: self.file.display().to_string(),
            detail: detail.into(),
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// One batch inside its transaction.
struct Batch<'a> {
    db: &'a Connection,
    totals: Totals,
    limit: u64,
    refused: u32,
    now: u64,
}

impl Batch<'_> {
    fn one(&mut self, op: &Op) -> rusqlite::Result<Done> {
        match op {
            Op::Append {
                dev,
                term,
                body,
                reserve,
            } => self.append(dev.to_i64(), *term, body, *reserve),
            Op::Stored { dev, upto } => self.stored(dev.to_i64(), signed(*upto)),
            Op::Term { dev } => {
                let mut next = self.db.prepare_cached(
                    "INSERT INTO lane (dev, term, last) VALUES (?1, 1, 0)
                     ON CONFLICT (dev) DO UPDATE SET term = term + 1 RETURNING term",
                )?;
                let term = next.query_row([dev.to_i64()], |row| row.get(0))?;
                Ok(Done::Term(term))
            }
            Op::Put { name, value } => {
                let mut put = self.db.prepare_cached(
                    "INSERT INTO kept (name, sum, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (name) DO UPDATE SET sum = ?2, value = ?3",
                )?;
                put.execute(params![name, crc32c(value), value])?;
                Ok(Done::Kept)
            }
        }
    }

    fn append(
        &mut self,
        dev: i64,
        term: u32,
        body: &[u8],
        reserve: bool,
    ) -> rusqlite::Result<Done> {
        let size = body.len() as u64 + OVERHEAD;
        if self.totals.bytes + size > limit_for(self.limit, reserve) {
            self.refused = self.refused.saturating_add(1);
            return Ok(Done::Full);
        }
        let mut next = self.db.prepare_cached(
            "INSERT INTO lane (dev, term, last) VALUES (?1, 0, ?2)
             ON CONFLICT (dev) DO UPDATE SET last = CASE last WHEN 0 THEN ?2 ELSE last + 1 END
             RETURNING last",
        )?;
        let first = signed(first_position(self.now));
        let pos: i64 = next.query_row([dev, first], |row| row.get(0))?;
        let at = signed(self.now);
        let mut insert = self.db.prepare_cached(
            "INSERT INTO message (dev, pos, term, at, sum, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        insert.execute(params![
            dev,
            pos,
            term,
            at,
            sum_of(dev, term, at, body),
            body
        ])?;
        self.totals.messages += 1;
        self.totals.bytes += size;
        self.totals.oldest.get_or_insert(self.now);
        Ok(Done::At(pos.unsigned_abs()))
    }

    fn stored(&mut self, dev: i64, upto: i64) -> rusqlite::Result<Done> {
        let mut given = self
            .db
            .prepare_cached("SELECT last FROM lane WHERE dev = ?1")?;
        let given: i64 = given
            .query_row([dev], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        if upto > given {
            return self.raise(dev, upto);
        }
        let mut sizes = self.db.prepare_cached(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM message WHERE dev = ?1 AND pos <= ?2",
        )?;
        let (messages, bytes): (i64, i64) =
            sizes.query_row([dev, upto], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut drop = self
            .db
            .prepare_cached("DELETE FROM message WHERE dev = ?1 AND pos <= ?2")?;
        drop.execute([dev, upto])?;
        let messages = messages.unsigned_abs();
        self.totals.messages -= messages;
        self.totals.bytes -= bytes.unsigned_abs() + messages * OVERHEAD;
        if self.totals.messages == 0 {
            self.totals.oldest = None;
        }
        Ok(Done::Dropped(u32::try_from(messages).unwrap_or(u32::MAX)))
    }
}

impl Batch<'_> {
    /// The gateway has numbers this queue never gave: it had them from a queue that was lost. What waits here is new, so
    /// it goes behind them.
    fn raise(&self, dev: i64, above: i64) -> rusqlite::Result<Done> {
        let mut shift = self
            .db
            .prepare_cached("UPDATE message SET pos = pos + ?2 WHERE dev = ?1")?;
        shift.execute([dev, above])?;
        let mut raise = self.db.prepare_cached(
            "INSERT INTO lane (dev, term, last) VALUES (?1, 0, ?2)
             ON CONFLICT (dev) DO UPDATE SET last = last + ?2",
        )?;
        raise.execute([dev, above])?;
        Ok(Done::Dropped(0))
    }
}

impl Store for SqliteStore {
    fn apply(&mut self, batch: &[Op], now: u64) -> Result<Vec<Done>, QueueError> {
        let fail = |error: rusqlite::Error| classify(&self.file, &error);
        let transaction = self
            .db
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(fail)?;
        let mut work = Batch {
            db: &transaction,
            totals: self.totals,
            limit: self.limit,
            refused: self.refused,
            now,
        };
        let done: Result<Vec<Done>, _> = batch.iter().map(|op| work.one(op)).collect();
        let done = done.map_err(fail)?;
        let (totals, refused) = (work.totals, work.refused);
        transaction.commit().map_err(fail)?;
        self.totals = totals;
        self.refused = refused;
        Ok(done)
    }

    fn read(&mut self, dev: DeviceId, after: u64, bytes: usize) -> Result<Vec<Queued>, QueueError> {
        let fail = |error: rusqlite::Error| classify(&self.file, &error);
        let mut rows = self
            .db
            .prepare_cached(
                "SELECT pos, term, at, sum, body FROM message WHERE dev = ?1 AND pos > ?2
                 ORDER BY pos LIMIT 256",
            )
            .map_err(fail)?;
        let mut rows = rows.query([dev.to_i64(), signed(after)]).map_err(fail)?;
        let mut left = bytes;
        let mut found: Vec<Queued> = Vec::new();
        while let Some(row) = rows.next().map_err(fail)? {
            let pos: i64 = row.get(0).map_err(fail)?;
            let (term, at) = (row.get(1).map_err(fail)?, row.get(2).map_err(fail)?);
            let sum: u32 = row.get(3).map_err(fail)?;
            let body: Vec<u8> = row.get(4).map_err(fail)?;
            if sum != sum_of(dev.to_i64(), term, at, &body) {
                return Err(self.damaged(format!("message {pos} of seal {dev}")));
            }
            if body.len() > left && !found.is_empty() {
                break;
            }
            left = left.saturating_sub(body.len());
            found.push(Queued {
                pos: pos.unsigned_abs(),
                term,
                body,
            });
        }
        Ok(found)
    }

    fn backlogs(&mut self) -> Result<Vec<(DeviceId, Backlog)>, QueueError> {
        let fail = |error: rusqlite::Error| classify(&self.file, &error);
        let mut rows = self
            .db
            .prepare_cached(
                "SELECT l.dev, l.term, count(m.pos), coalesce(min(m.pos), 0)
                 FROM lane l LEFT JOIN message m ON m.dev = l.dev GROUP BY l.dev ORDER BY l.dev",
            )
            .map_err(fail)?;
        let rows = rows
            .query_map([], |row| {
                let first: i64 = row.get(3)?;
                let backlog = Backlog {
                    term: row.get(1)?,
                    messages: row.get(2)?,
                    first: first.unsigned_abs(),
                };
                Ok((DeviceId::from_i64(row.get(0)?), backlog))
            })
            .map_err(fail)?;
        rows.collect::<Result<_, _>>().map_err(fail)
    }

    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, QueueError> {
        let kept: Option<(u32, Vec<u8>)> = self
            .db
            .query_row(
                "SELECT sum, value FROM kept WHERE name = ?1",
                [name],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(|error| classify(&self.file, &error))?;
        match kept {
            Some((sum, value)) if sum != crc32c(&value) => {
                Err(self.damaged(format!("what is kept as {name:?}")))
            }
            kept => Ok(kept.map(|(_, value)| value)),
        }
    }

    fn state(&self, now: u64) -> QueueState {
        let age = |at: u64| u32::try_from(now.saturating_sub(at) / 1000).unwrap_or(u32::MAX);
        QueueState {
            messages: u32::try_from(self.totals.messages).unwrap_or(u32::MAX),
            bytes: self.totals.bytes,
            limit: self.limit,
            oldest: self.totals.oldest.map_or(0, age),
            refused: self.refused,
        }
    }

    fn tidy(&mut self) -> bool {
        let oldest = self.db.prepare_cached(
            "SELECT min(at) FROM (SELECT (SELECT at FROM message m WHERE m.dev = l.dev
             ORDER BY pos LIMIT 1) AS at FROM lane l)",
        );
        let oldest = oldest.and_then(|mut q| q.query_row([], |row| row.get::<_, Option<i64>>(0)));
        if let Ok(oldest) = oldest {
            self.totals.oldest = oldest.map(i64::unsigned_abs);
        }
        let free = |db: &Connection| -> u32 {
            db.query_row("PRAGMA freelist_count", [], |row| row.get(0))
                .unwrap_or(0)
        };
        if free(&self.db) > 0 {
            // The pragma yields a row a page; it works only while it is stepped.
            let step = self
                .db
                .prepare(&format!("PRAGMA incremental_vacuum({VACUUM_STEP})"))
                .and_then(|mut pragma| {
                    let mut rows = pragma.query([])?;
                    while rows.next()?.is_some() {}
                    Ok(())
                });
            if let Err(error) = step {
                tracing::warn!(%error, "space of the queue cannot be given back");
                return false;
            }
        }
        free(&self.db) > 0
    }
}
