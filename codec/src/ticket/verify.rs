//! What a seal checks before it obeys, in this order; the first that fails is the answer.
//!
//! size, form -> key known, of the op's scope, not expired -> signature -> own device -> (a repeat of the last ticket
//! taken: nothing more) -> own generation -> counter -> time -> bound or not, link.
//!
//! A repeat is let through before the generation is compared: UNBIND raises the generation, and its repeat must get
//! the stored answer, not a rejection.

use super::{CounterDomain, Op, Ticket, TimeRule};
use crate::{
    DeviceId, ErrorCode,
    cose::{self, Dalek, Purpose, Verify},
    record::LinkKind,
    statement::KeySet,
};

/// What a seal compares a ticket with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceView {
    /// Its id.
    pub dev: DeviceId,
    /// Its binding generation.
    pub generation: u32,
    /// Last counter taken in each domain.
    pub counters: [u32; 4],
    /// Signed time, if it has one.
    pub now: Option<u32>,
    /// Whether it is bound.
    pub bound: bool,
    /// The link the ticket came on.
    pub link: LinkKind,
}

impl DeviceView {
    /// Last counter taken in a domain.
    #[must_use]
    pub const fn last(&self, domain: CounterDomain) -> u32 {
        self.counters[domain.index()]
    }
}

/// Checks a ticket. One whose counter is the last taken comes back too: its stored result is the answer, see
/// [`super::CounterJournal`].
///
/// # Errors
/// The number the seal answers with.
pub fn verify_ticket(bytes: &[u8], keys: &KeySet, view: &DeviceView) -> Result<Ticket, ErrorCode> {
    verify_ticket_by(bytes, keys, view, &Dalek)
}

/// As [`verify_ticket`], with another verifier.
///
/// # Errors
/// The number the seal answers with.
pub fn verify_ticket_by(
    bytes: &[u8],
    keys: &KeySet,
    view: &DeviceView,
    verifier: &dyn Verify,
) -> Result<Ticket, ErrorCode> {
    let signed = cose::parse(bytes)?;
    let ticket = Ticket::decode(signed.payload)?;
    keys.check(
        &signed,
        Purpose::Command,
        ticket.op.scope(),
        view.now,
        verifier,
    )?;
    if ticket.dev != view.dev {
        return Err(ErrorCode::WrongDevice);
    }
    let last = view.last(ticket.domain);
    if ticket.ctr == last {
        return Ok(ticket);
    }
    if ticket.generation != view.generation {
        return Err(ErrorCode::Generation);
    }
    if ticket.ctr < last {
        return Err(ErrorCode::CounterStale);
    }
    check_time(&ticket, view.now)?;
    check_state(&ticket, view)?;
    Ok(ticket)
}

fn check_time(ticket: &Ticket, now: Option<u32>) -> Result<(), ErrorCode> {
    let rule = ticket.op.row().time;
    let Some(now) = now else {
        let checkable =
            rule == TimeRule::Validity && (ticket.nbf.is_some() || ticket.exp.is_some());
        return if checkable {
            Err(ErrorCode::NoSecureTime)
        } else {
            Ok(())
        };
    };
    if ticket.exp.is_some_and(|exp| now > exp) {
        return Err(ErrorCode::Expired);
    }
    if rule == TimeRule::Validity && ticket.nbf.is_some_and(|nbf| now < nbf) {
        return Err(ErrorCode::NotYetValid);
    }
    Ok(())
}

fn check_state(ticket: &Ticket, view: &DeviceView) -> Result<(), ErrorCode> {
    match ticket.op.row().bound {
        Some(true) if !view.bound => return Err(ErrorCode::Unbound),
        Some(false) if view.bound => return Err(ErrorCode::Busy),
        _ => {}
    }
    // ORG-5: fingerprints are enrolled over the mobile network only.
    if ticket.op == Op::FpEnrol && view.link == LinkKind::Ble {
        return Err(ErrorCode::NotOnThisLink);
    }
    Ok(())
}
