//! The signer's own book: an append-only file that the gateway cannot write.
//!
//! One JSON line says how many signatures of one class (purpose, op, key) were given, or refused. Tickets are written
//! before their signatures leave; leases and receipts, which every seal asks for all the time, are summed up.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use sealgate_domain::Millis;
use serde::Serialize;

use super::{Purpose, Refused};

/// Sums are written when they are this old.
const SUM_MILLIS: i64 = 10_000;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    /// `ticket`, `lease` or `receipt`.
    pub(super) purpose: Purpose,
    /// The ticket's op.
    pub(super) op: Option<u8>,
    /// The key that signed, or why none did.
    pub(super) outcome: Outcome,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Signed { kid: u8 },
    Refused(Refused),
}

/// The open file.
#[derive(Debug)]
pub(super) struct Audit {
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    file: File,
    sums: BTreeMap<Class, u64>,
    since: Option<Millis>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    purpose: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    count: u64,
}

impl Audit {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let book = Book {
            file,
            sums: BTreeMap::new(),
            since: None,
        };
        Ok(Self {
            book: Mutex::new(book),
        })
    }

    /// Books what was done. When this fails nothing may leave the signer.
    pub(super) fn book(&self, classes: impl Iterator<Item = Class>, now: Millis) -> io::Result<()> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at_once = false;
        for class in classes {
            at_once |= class.purpose == Purpose::Ticket;
            *book.sums.entry(class).or_default() += 1;
        }
        let since = *book.since.get_or_insert(now);
        if at_once || now.0 - since.0 >= SUM_MILLIS {
            book.write(now)?;
        }
        Ok(())
    }

    /// Writes what is summed up.
    pub(super) fn flush(&self, now: Millis) -> io::Result<()> {
        self.book
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(now)
    }
}

impl Book {
    fn write(&mut self, now: Millis) -> io::Result<()> {
        let at = jiff::Timestamp::from_millisecond(now.0)
            .map_or_else(|_| now.0.to_string(), |at| at.to_string());
        let mut text = Vec::new();
        for (class, count) in &self.sums {
            let (kid, refused) = match class.outcome {
                Outcome::Signed { kid } => (Some(kid), None),
                Outcome::Refused(refused) => (None, Some(refused.to_string())),
            };
            let line = Line {
                at: at.clone(),
                purpose: class.purpose.as_str(),
                op: class.op,
                kid,
                refused,
                count: *count,
            };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.sums.clear();
        self.since = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> Class {
        Class {
            purpose: Purpose::Lease,
            op: None,
            outcome: Outcome::Signed { kid: 7 },
        }
    }

    fn lock(outcome: Outcome) -> Class {
        Class {
            purpose: Purpose::Ticket,
            op: Some(4),
            outcome,
        }
    }

    #[test]
    fn tickets_are_booked_at_once_and_leases_are_summed_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let audit = Audit::open(&path).unwrap();
        let text = || std::fs::read_to_string(&path).unwrap();
        audit
            .book([lease(), lease()].into_iter(), Millis(0))
            .unwrap();
        assert_eq!(text(), "");
        let signed = Outcome::Signed { kid: 2 };
        audit
            .book(
                [
                    lock(signed),
                    lock(signed),
                    lock(Outcome::Refused(Refused::NoKey)),
                ]
                .into_iter(),
                Millis(1_000),
            )
            .unwrap();
        assert_eq!(
            text(),
            "{\"at\":\"1970-01-01T00:00:01Z\",\"purpose\":\"ticket\",\"op\":4,\"kid\":2,\"count\":2}\n\
             {\"at\":\"1970-01-01T00:00:01Z\",\"purpose\":\"ticket\",\"op\":4,\"refused\":\"no signing key covers this operation\",\"count\":1}\n\
             {\"at\":\"1970-01-01T00:00:01Z\",\"purpose\":\"lease\",\"kid\":7,\"count\":2}\n"
        );
        audit.book([lease()].into_iter(), Millis(2_000)).unwrap();
        audit.book([lease()].into_iter(), Millis(13_000)).unwrap();
        assert_eq!(text().lines().count(), 4);
        audit.flush(Millis(14_000)).unwrap();
        assert_eq!(text().lines().count(), 4);
    }
}
