//! Link tickets: the platform says which box or phone may open a link to a seal, and until when.
//!
//! A seal checks a ticket by itself, without asking anyone. The handshake proves that whoever shows the ticket holds the
//! key in it, so a ticket that was overheard opens nothing.

use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

use crate::{
    DecodeError, DeviceId, ErrorCode,
    cbor::{Reader, Writer},
    cose::{self, Dalek, Purpose, Verify},
    statement::KeySet,
    ticket::Scope,
};

const MAX_PAYLOAD: usize = 96;
/// Seconds a ticket may seem to be from the future: the seal's clock runs behind.
const SKEW: u32 = 300;

wire_enum! { @closed
    /// Who opens a link.
    LinkRole: u8 {
        /// A user's phone.
        User = 0 => "user",
        /// An edge box; it yields to a user.
        Edge = 1 => "edge box",
    }
}

impl LinkRole {
    /// Seconds a ticket of this role may last.
    #[must_use]
    pub const fn longest(self) -> u32 {
        match self {
            Self::User => 15 * 60,
            Self::Edge => 24 * 3600,
        }
    }

    /// Whether a link of this role ends when the other one wants in: a seal has one link at a time.
    #[must_use]
    pub const fn yields_to(self, other: Self) -> bool {
        matches!((self, other), (Self::Edge, Self::User))
    }
}

/// Permission to open a link to one seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTicket {
    /// To which seal.
    pub dev: DeviceId,
    /// X25519 public key of the box or phone.
    pub key: [u8; 32],
    /// What it is.
    pub role: LinkRole,
    /// Number of the user; of a box, number of the box.
    pub user: u32,
    /// Unix seconds when it was made.
    pub iat: u32,
    /// Unix seconds of its end, after `iat` by at most [`LinkRole::longest`].
    pub exp: u32,
}

/// What a seal compares a link ticket with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkView {
    /// Its id.
    pub dev: DeviceId,
    /// Signed time; without it neither the ticket's end nor the key's is checked and the link stays restricted.
    pub now: Option<u32>,
}

impl LinkTicket {
    /// The bytes to be signed.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(80);
        w.map(6, &[]);
        w.key(0).bytes(self.dev.as_bytes());
        w.key(1).bytes(&self.key);
        w.key(2).uint(self.role.number());
        w.key(3).uint(self.user);
        w.key(4).uint(self.iat);
        w.key(5).uint(self.exp);
        w.into_bytes()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// Not canonical, ends before it begins, or lasts longer than its role allows.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::signed(payload, MAX_PAYLOAD)?;
        let mut map = r.map()?;
        let ticket = Self {
            dev: DeviceId::new(map.required(0, Reader::fixed)?),
            key: map.required(1, Reader::fixed)?,
            role: map.required(2, |r| {
                LinkRole::from_number(r.u8()?).ok_or(DecodeError::Range("role"))
            })?,
            user: map.required(3, Reader::u32)?,
            iat: map.required(4, Reader::u32)?,
            exp: map.required(5, Reader::u32)?,
        };
        map.finish()?;
        match ticket.exp.checked_sub(ticket.iat) {
            None | Some(0) => Err(DecodeError::Range(
                "a link ticket that ends before it begins",
            )),
            Some(lasts) if lasts > ticket.role.longest() => {
                Err(DecodeError::Range("a link ticket that lasts too long"))
            }
            Some(_) => Ok(ticket),
        }
    }

    /// Signs the ticket.
    #[must_use]
    pub fn sign(&self, key: &SigningKey, kid: u8) -> Vec<u8> {
        cose::sign_with(key, kid, Purpose::Link, &self.payload())
    }

    /// Reads a signed ticket without verifying it: what a box does with its own.
    ///
    /// # Errors
    /// Not a signed link ticket.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(cose::parse(bytes)?.payload)
    }

    /// What a seal does with a ticket it is shown.
    ///
    /// # Errors
    /// What is wrong with the bytes, [`ErrorCode::KeyScope`], [`ErrorCode::Signature`], [`ErrorCode::WrongDevice`], and
    /// with signed time [`ErrorCode::Expired`] or [`ErrorCode::NotYetValid`].
    pub fn accept(bytes: &[u8], keys: &KeySet, view: &LinkView) -> Result<Self, ErrorCode> {
        Self::accept_by(bytes, keys, view, &Dalek)
    }

    /// As [`LinkTicket::accept`], with another verifier.
    ///
    /// # Errors
    /// As [`LinkTicket::accept`].
    pub fn accept_by(
        bytes: &[u8],
        keys: &KeySet,
        view: &LinkView,
        verifier: &dyn Verify,
    ) -> Result<Self, ErrorCode> {
        let signed = cose::parse(bytes)?;
        let ticket = Self::decode(signed.payload)?;
        keys.check(&signed, Purpose::Link, Scope::LINK, view.now, verifier)?;
        if ticket.dev != view.dev {
            return Err(ErrorCode::WrongDevice);
        }
        ticket.check_time(view.now)?;
        Ok(ticket)
    }

    /// Whether it is good at this time; without a time it is.
    ///
    /// # Errors
    /// [`ErrorCode::Expired`] or [`ErrorCode::NotYetValid`].
    pub const fn check_time(&self, now: Option<u32>) -> Result<(), ErrorCode> {
        match now {
            Some(now) if now > self.exp => Err(ErrorCode::Expired),
            Some(now) if now.saturating_add(SKEW) < self.iat => Err(ErrorCode::NotYetValid),
            _ => Ok(()),
        }
    }
}
