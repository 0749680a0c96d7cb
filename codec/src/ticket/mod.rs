//! Tickets: signed commands. What a seal obeys is decided here, and only here.
//!
//! Invariants:
//! - `op` fixes domain, arguments and scope ([`OPS`]); the arguments repeat the op as their tag, so that no argument
//!   can be read as another op's.
//! - Counters go up strictly in each of the four domains; gaps are legal. One counter, one effect.
//! - A ticket is for one device and one binding generation.

mod args;
mod journal;
mod ops;
mod verify;

use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

pub use args::{
    Area, Args, ConfigArgs, FirmwareArgs, GrantArgs, GrantFlags, MAX_COUNT, UseMode, Vertex,
};
pub use journal::{Admission, CounterJournal, Outcome, Taken};
pub use ops::{CounterDomain, OPS, Op, OpRow, Scope, TimeRule};
pub use verify::{DeviceView, verify_ticket, verify_ticket_by};

use crate::{
    DecodeError, DeviceId,
    cbor::{Reader, Writer},
    cose::{self, Purpose},
};

const MAX_PAYLOAD: usize = 1300;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// For which seal.
    pub dev: DeviceId,
    /// Counter domain: the op's.
    pub domain: CounterDomain,
    /// Counter within the domain, from 1.
    pub ctr: u32,
    /// What to do: the arguments' op.
    pub op: Op,
    /// Unix seconds when it was made.
    pub iat: u32,
    /// Binding generation of the seal.
    pub generation: u32,
    /// Not before, unix seconds. Of a grant: begin of its window.
    pub nbf: Option<u32>,
    /// Not after, unix seconds. Of a grant: end of its window.
    pub exp: Option<u32>,
    /// How to do it.
    pub args: Args,
}

impl Ticket {
    /// A ticket whose op and domain follow from its arguments.
    #[must_use]
    pub const fn new(dev: DeviceId, generation: u32, ctr: u32, iat: u32, args: Args) -> Self {
        let op = args.op();
        Self {
            dev,
            domain: op.domain(),
            ctr,
            op,
            iat,
            generation,
            nbf: None,
            exp: None,
            args,
        }
    }

    /// With a window.
    #[must_use]
    pub fn with_window(mut self, nbf: Option<u32>, exp: Option<u32>) -> Self {
        self.nbf = nbf;
        self.exp = exp;
        self
    }

    /// The bytes to be signed.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(96);
        w.map(7, &[self.nbf.is_some(), self.exp.is_some()]);
        w.key(0).bytes(self.dev.as_bytes());
        w.key(1).uint(self.domain.number());
        w.key(2).uint(self.ctr);
        w.key(3).uint(self.op.number());
        w.key(4).uint(self.iat);
        w.key(5).uint(self.generation);
        w.optional(6, self.nbf);
        w.optional(7, self.exp);
        w.key(8);
        self.args.write(&mut w);
        w.into_bytes()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// Not canonical, an unknown key, or op, domain and arguments that do not belong together.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::signed(payload, MAX_PAYLOAD)?;
        let mut map = r.map()?;
        let dev = DeviceId::new(map.required(0, Reader::fixed)?);
        let domain = map.required(1, Reader::u8)?;
        let ctr = map.required(2, Reader::u32)?;
        let op = map.required(3, |r| {
            Op::from_number(r.u8()?).ok_or(DecodeError::Range("op"))
        })?;
        if domain != op.domain().number() {
            return Err(DecodeError::Range("an op outside its domain"));
        }
        if ctr == 0 {
            return Err(DecodeError::Range("counters start at 1"));
        }
        let ticket = Self {
            dev,
            domain: op.domain(),
            ctr,
            op,
            iat: map.required(4, Reader::u32)?,
            generation: map.required(5, Reader::u32)?,
            nbf: map.optional(6, Reader::u32)?,
            exp: map.optional(7, Reader::u32)?,
            args: map.required(8, |r| Args::read(op, r))?,
        };
        map.finish()?;
        if let (Some(nbf), Some(exp)) = (ticket.nbf, ticket.exp)
            && nbf >= exp
        {
            return Err(DecodeError::Range("a window that ends before it begins"));
        }
        Ok(ticket)
    }

    /// Signs the ticket.
    #[must_use]
    pub fn sign(&self, key: &SigningKey, kid: u8) -> Vec<u8> {
        cose::sign_with(key, kid, Purpose::Command, &self.payload())
    }
}
