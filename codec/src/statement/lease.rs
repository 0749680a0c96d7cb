//! Leases: signed permission to keep stamping without hearing from the platform, and the seal's source of time.
//!
//! A seal takes a lease only for its present boot and only with the nonce it last sent, so that an old one cannot be
//! played back. A lease never survives a restart.

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

/// Permission to stamp for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// For which seal.
    pub dev: DeviceId,
    /// Its binding generation.
    pub generation: u32,
    /// Its boot.
    pub boot: u32,
    /// The nonce it sent.
    pub nonce: [u8; 8],
    /// Unix seconds when it was made: the seal's signed time.
    pub iat: u32,
    /// Unix seconds when it ends, after `iat`.
    pub exp: u32,
}

/// What a seal compares a lease with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseView {
    /// Its id.
    pub dev: DeviceId,
    /// Its binding generation.
    pub generation: u32,
    /// Its present boot.
    pub boot: u32,
    /// The nonce it last sent and got no lease for; a nonce is good for one lease.
    pub nonce: Option<[u8; 8]>,
    /// Highest signed time it ever saw, 0 for none: time never goes back.
    pub high_water: u32,
}

impl Lease {
    /// The bytes to be signed.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(64);
        w.map(6, &[]);
        w.key(0).bytes(self.dev.as_bytes());
        w.key(1).uint(self.generation);
        w.key(2).uint(self.boot);
        w.key(3).bytes(&self.nonce);
        w.key(4).uint(self.iat);
        w.key(5).uint(self.exp);
        w.into_bytes()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// Not canonical, or it ends before it begins.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::signed(payload, MAX_PAYLOAD)?;
        let mut map = r.map()?;
        let lease = Self {
            dev: DeviceId::new(map.required(0, Reader::fixed)?),
            generation: map.required(1, Reader::u32)?,
            boot: map.required(2, Reader::u32)?,
            nonce: map.required(3, Reader::fixed)?,
            iat: map.required(4, Reader::u32)?,
            exp: map.required(5, Reader::u32)?,
        };
        map.finish()?;
        if lease.exp <= lease.iat {
            return Err(DecodeError::Range("a lease that ends before it begins"));
        }
        Ok(lease)
    }

    /// Signs the lease.
    #[must_use]
    pub fn sign(&self, key: &SigningKey, kid: u8) -> Vec<u8> {
        cose::sign_with(key, kid, Purpose::Lease, &self.payload())
    }

    /// What a seal does with a lease it got: the lease it may use, or why not. The key's end is compared with the
    /// lease's own time, so that a seal without time can take its first one.
    ///
    /// # Errors
    /// Signature, key and scope, device and generation as for tickets; [`ErrorCode::LeaseExpired`] for another boot,
    /// another nonce, or a time that goes back.
    pub fn accept(bytes: &[u8], keys: &KeySet, view: &LeaseView) -> Result<Self, ErrorCode> {
        Self::accept_by(bytes, keys, view, &Dalek)
    }

    /// As [`Lease::accept`], with another verifier.
    ///
    /// # Errors
    /// As [`Lease::accept`].
    pub fn accept_by(
        bytes: &[u8],
        keys: &KeySet,
        view: &LeaseView,
        verifier: &dyn Verify,
    ) -> Result<Self, ErrorCode> {
        let signed = cose::parse(bytes)?;
        let lease = Self::decode(signed.payload)?;
        keys.check(
            &signed,
            Purpose::Lease,
            Scope::LEASE,
            Some(lease.iat),
            verifier,
        )?;
        if lease.dev != view.dev {
            return Err(ErrorCode::WrongDevice);
        }
        if lease.generation != view.generation {
            return Err(ErrorCode::Generation);
        }
        if lease.boot != view.boot || view.nonce != Some(lease.nonce) || lease.iat < view.high_water
        {
            return Err(ErrorCode::LeaseExpired);
        }
        Ok(lease)
    }

    /// Seconds it lasts.
    #[must_use]
    pub const fn lasts(&self) -> u32 {
        self.exp.saturating_sub(self.iat)
    }
}
