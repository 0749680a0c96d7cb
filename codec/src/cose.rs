//! Signed bodies: COSE_Sign1 (RFC 9052), one shape only.
//!
//! `[bstr {1: alg, 4: kid}, {}, bstr payload, bstr signature]`, untagged. Algorithm and key id are protected, the
//! unprotected map is empty, the algorithm is Ed25519 (-19, RFC 9864), the key id one byte. Every purpose has its own
//! external data, so that a signature made for one purpose proves nothing for another.
//!
//! Whoever verifies many signatures brings its own [`Verify`]; [`Dalek`] is the one that works everywhere.

use alloc::vec::Vec;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::{
    DecodeError,
    cbor::{Reader, Writer},
};

/// COSE's number for Ed25519.
pub const ED25519: i32 = -19;
/// Longest signed body.
pub const MAX_SIGN1: usize = crate::message::MAX_COSE;
/// Bytes around a payload of up to 255 bytes.
pub const OVERHEAD: usize = 1 + 7 + 1 + 2 + 66;

/// What a signature is for; part of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A command.
    Command,
    /// Permission to stamp for a while.
    Lease,
    /// Records are stored.
    Receipt,
    /// The state of a seal's log, by the seal.
    Checkpoint,
    /// The keys that may sign what, by the root.
    KeySet,
    /// One record, by the seal.
    Event,
    /// Who may open a link to a seal.
    Link,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 7] = [
        Self::Command,
        Self::Lease,
        Self::Receipt,
        Self::Checkpoint,
        Self::KeySet,
        Self::Event,
        Self::Link,
    ];

    /// The external data.
    #[must_use]
    pub const fn aad(self) -> &'static [u8] {
        match self {
            Self::Command => b"SL1/cmd",
            Self::Lease => b"SL1/lease",
            Self::Receipt => b"SL1/receipt",
            Self::Checkpoint => b"SL1/checkpoint",
            Self::KeySet => b"SL1/keyset",
            Self::Event => b"SL1/event",
            Self::Link => b"SL1/link",
        }
    }
}

/// Verifies Ed25519 signatures.
pub trait Verify {
    /// Whether the signature of the message is the key's.
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;
}

impl<F: Fn(&[u8; 32], &[u8], &[u8; 64]) -> bool> Verify for F {
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        self(public, message, signature)
    }
}

/// Verification by ed25519-dalek, strict (no small-order keys).
#[derive(Debug, Clone, Copy, Default)]
pub struct Dalek;

impl Verify for Dalek {
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(public)
            .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
            .is_ok()
    }
}

/// A signed body, taken apart but not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign1<'b> {
    /// Which key signed it.
    pub kid: u8,
    /// What is signed.
    pub payload: &'b [u8],
    /// The signature.
    pub signature: [u8; 64],
}

impl Sign1<'_> {
    /// The bytes the signature covers, for this purpose.
    #[must_use]
    pub fn message(&self, purpose: Purpose) -> Vec<u8> {
        to_be_signed(self.kid, purpose.aad(), self.payload)
    }

    /// Whether the signature is the key's, for this purpose.
    #[must_use]
    pub fn verify(&self, purpose: Purpose, public: &[u8; 32], verifier: &dyn Verify) -> bool {
        verifier.verify(public, &self.message(purpose), &self.signature)
    }
}

/// Takes a signed body apart.
///
/// # Errors
/// Not exactly the one shape: another algorithm, headers elsewhere, a tag, not canonical.
pub fn parse(bytes: &[u8]) -> Result<Sign1<'_>, DecodeError> {
    let mut r = Reader::signed(bytes, MAX_SIGN1)?;
    r.array(4)?;
    let kid = parse_protected(r.bytes()?)?;
    r.map()?.finish()?;
    Ok(Sign1 {
        kid,
        payload: r.bytes()?,
        signature: r.fixed()?,
    })
}

fn parse_protected(bytes: &[u8]) -> Result<u8, DecodeError> {
    match bytes {
        // {1: -19, 4: h'kid'}
        [0xa2, 0x01, 0x32, 0x04, 0x41, kid] => Ok(*kid),
        _ => Err(DecodeError::Malformed(
            "protected header other than {1: -19, 4: kid}",
        )),
    }
}

const fn protected(kid: u8) -> [u8; 6] {
    [0xa2, 0x01, 0x32, 0x04, 0x41, kid]
}

/// The bytes a signature covers: RFC 9052's Sig_structure.
#[must_use]
pub fn to_be_signed(kid: u8, aad: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(payload.len() + aad.len() + 32);
    w.array(4)
        .text("Signature1")
        .bytes(&protected(kid))
        .bytes(aad)
        .bytes(payload);
    w.into_bytes()
}

/// Puts a signed body together.
#[must_use]
pub fn assemble(kid: u8, payload: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    let mut w = Writer::with_capacity(payload.len() + OVERHEAD);
    w.array(4)
        .bytes(&protected(kid))
        .map(0, &[])
        .bytes(payload)
        .bytes(signature);
    w.into_bytes()
}

/// Signs a payload with whatever makes signatures.
pub fn sign1(kid: u8, aad: &[u8], payload: &[u8], sign: &dyn Fn(&[u8]) -> [u8; 64]) -> Vec<u8> {
    let signature = sign(&to_be_signed(kid, aad, payload));
    assemble(kid, payload, &signature)
}

/// Signs a payload with a key at hand.
#[must_use]
pub fn sign_with(key: &SigningKey, kid: u8, purpose: Purpose, payload: &[u8]) -> Vec<u8> {
    sign1(kid, purpose.aad(), payload, &|message| {
        key.sign(message).to_bytes()
    })
}
