//! The counters of a seal: the last one taken in each domain, with what became of it.
//!
//! The seal keeps this in flash and writes counter, effect and outcome in one record: after a power cut either all of
//! it happened or nothing did. `== last` gets the stored answer, `< last` is stale, `> last` is verified and taken.

use super::{CounterDomain, DeviceView, Ticket, verify_ticket_by};
use crate::{
    ErrorCode,
    cose::{Dalek, Verify},
    message::{CmdAck, CmdStatus},
    statement::KeySet,
};

/// What became of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The status.
    pub status: CmdStatus,
    /// Why it was rejected.
    pub err: Option<ErrorCode>,
}

impl Outcome {
    /// Done.
    pub const APPLIED: Self = Self {
        status: CmdStatus::Applied,
        err: None,
    };
    /// Taken, the result follows.
    pub const ACCEPTED: Self = Self {
        status: CmdStatus::Accepted,
        err: None,
    };

    /// Refused.
    #[must_use]
    pub const fn rejected(code: ErrorCode) -> Self {
        Self {
            status: CmdStatus::Rejected,
            err: Some(code),
        }
    }

    /// The message that says so.
    #[must_use]
    pub const fn ack(self, domain: CounterDomain, ctr: u32) -> CmdAck {
        CmdAck {
            domain,
            ctr,
            status: self.status,
            err: self.err,
        }
    }
}

/// How a counter stands to the last one taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is the last one: answer with what became of it.
    Repeat(Outcome),
    /// Below the last one.
    Stale,
    /// Above: verify and take.
    New,
}

/// A ticket that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Seen before: answer with this, change nothing.
    Repeat(CmdAck),
    /// To be done: do it, then [`CounterJournal::commit`] together with the effect.
    New(Ticket),
}

/// The last counter of each domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterJournal {
    entries: [(u32, Outcome); 4],
}

impl Default for CounterJournal {
    fn default() -> Self {
        Self {
            entries: [(0, Outcome::APPLIED); 4],
        }
    }
}

impl CounterJournal {
    /// Nothing taken yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As read from flash: last counter and its outcome, in the order of the domains.
    #[must_use]
    pub const fn restore(entries: [(u32, Outcome); 4]) -> Self {
        Self { entries }
    }

    /// What flash must keep.
    #[must_use]
    pub const fn entries(&self) -> &[(u32, Outcome); 4] {
        &self.entries
    }

    /// Last counter of each domain, as HELLO reports them.
    #[must_use]
    pub fn counters(&self) -> [u32; 4] {
        self.entries.map(|(ctr, _)| ctr)
    }

    /// How a counter stands to the last one taken.
    #[must_use]
    pub fn admit(&self, domain: CounterDomain, ctr: u32) -> Admission {
        let (last, outcome) = self.entries[domain.index()];
        match ctr.cmp(&last) {
            core::cmp::Ordering::Less => Admission::Stale,
            core::cmp::Ordering::Equal => Admission::Repeat(outcome),
            core::cmp::Ordering::Greater => Admission::New,
        }
    }

    /// Checks a command completely, with this journal's counters in place of the view's.
    ///
    /// # Errors
    /// The number the seal answers with.
    pub fn receive(
        &self,
        bytes: &[u8],
        keys: &KeySet,
        view: &DeviceView,
    ) -> Result<Taken, ErrorCode> {
        self.receive_by(bytes, keys, view, &Dalek)
    }

    /// As [`CounterJournal::receive`], with another verifier.
    ///
    /// # Errors
    /// The number the seal answers with.
    pub fn receive_by(
        &self,
        bytes: &[u8],
        keys: &KeySet,
        view: &DeviceView,
        verifier: &dyn Verify,
    ) -> Result<Taken, ErrorCode> {
        let view = DeviceView {
            counters: self.counters(),
            ..*view
        };
        let ticket = verify_ticket_by(bytes, keys, &view, verifier)?;
        match self.admit(ticket.domain, ticket.ctr) {
            Admission::Repeat(outcome) => Ok(Taken::Repeat(outcome.ack(ticket.domain, ticket.ctr))),
            Admission::New => Ok(Taken::New(ticket)),
            Admission::Stale => Err(ErrorCode::CounterStale),
        }
    }

    /// Takes a counter with its outcome. Called again with the same counter it corrects the outcome ("accepted"
    /// becomes what it came to); a lower one changes nothing.
    pub fn commit(&mut self, domain: CounterDomain, ctr: u32, outcome: Outcome) {
        let entry = &mut self.entries[domain.index()];
        if ctr >= entry.0 {
            *entry = (ctr, outcome);
        }
    }
}
