//! The key set: which key may sign what, signed by the root. A seal keeps the root's public key and the newest set.

use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

use crate::{
    DecodeError, ErrorCode,
    cbor::{Reader, Writer},
    cose::{self, Dalek, ED25519, Purpose, Sign1, Verify},
    ticket::Scope,
};

/// Most keys in a set.
pub const MAX_KEYS: usize = 16;
const MAX_PAYLOAD: usize = 1200;

/// A key of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its id.
    pub kid: u8,
    /// COSE algorithm; only [`ED25519`] is used, others are kept and never match.
    pub alg: i32,
    /// The public key.
    pub public: [u8; 32],
    /// What it may sign. Never [`Scope::KEYSET`]: that is the root's alone.
    pub scopes: Scope,
    /// Unix seconds after which it signs nothing; a seal without signed time does not check it.
    pub not_after: u32,
}

/// The keys of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet {
    /// Counts up with every new set; a seal never goes back.
    pub version: u32,
    /// In ascending order of key ids, each once, at most [`MAX_KEYS`].
    pub entries: Vec<KeyEntry>,
}

/// The anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootKey {
    /// Its id.
    pub kid: u8,
    /// The public key.
    pub public: [u8; 32],
}

impl KeySet {
    /// The bytes to be signed.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(64 + 56 * self.entries.len());
        w.map(2, &[]);
        w.key(0).uint(self.version);
        w.key(1).array(self.entries.len());
        for entry in &self.entries {
            w.array(5)
                .uint(entry.kid)
                .int(entry.alg)
                .bytes(&entry.public)
                .uint(entry.scopes.bits())
                .uint(entry.not_after);
        }
        w.into_bytes()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// Not canonical, key ids unsorted or twice, or the root's scope given away.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::signed(payload, MAX_PAYLOAD)?;
        let mut map = r.map()?;
        let set = Self {
            version: map.required(0, Reader::u32)?,
            entries: map.required(1, |r| {
                let count = r.array_in(1..=MAX_KEYS as u64, "keys of a set")?;
                (0..count).map(|_| read_entry(r)).collect()
            })?,
        };
        map.finish()?;
        if !set.entries.is_sorted_by(|a, b| a.kid < b.kid) {
            return Err(DecodeError::NotCanonical("key ids unsorted or twice"));
        }
        Ok(set)
    }

    /// Signs the set with the root's key.
    #[must_use]
    pub fn sign(&self, root: &SigningKey, kid: u8) -> Vec<u8> {
        cose::sign_with(root, kid, Purpose::KeySet, &self.payload())
    }

    /// Verifies a set by the root's key. Whether its version is newer than the one held is the caller's check.
    ///
    /// # Errors
    /// The number a seal answers with.
    pub fn verify(bytes: &[u8], root: &RootKey) -> Result<Self, ErrorCode> {
        Self::verify_by(bytes, root, &Dalek)
    }

    /// As [`KeySet::verify`], with another verifier.
    ///
    /// # Errors
    /// The number a seal answers with.
    pub fn verify_by(
        bytes: &[u8],
        root: &RootKey,
        verifier: &dyn Verify,
    ) -> Result<Self, ErrorCode> {
        let signed = cose::parse(bytes)?;
        if signed.kid != root.kid {
            return Err(ErrorCode::KeyScope);
        }
        if !signed.verify(Purpose::KeySet, &root.public, verifier) {
            return Err(ErrorCode::Signature);
        }
        Ok(Self::decode(signed.payload)?)
    }

    /// The key with this id, if it may sign this now.
    ///
    /// # Errors
    /// [`ErrorCode::KeyScope`]: no such key, another algorithm, not in its scope, or expired.
    pub fn key_for(&self, kid: u8, scope: Scope, now: Option<u32>) -> Result<&KeyEntry, ErrorCode> {
        self.entries
            .iter()
            .find(|entry| entry.kid == kid)
            .filter(|entry| entry.alg == ED25519 && entry.scopes.contains(scope))
            .filter(|entry| now.is_none_or(|now| now <= entry.not_after))
            .ok_or(ErrorCode::KeyScope)
    }

    /// Verifies a signed body by the key it names.
    ///
    /// # Errors
    /// [`ErrorCode::KeyScope`] or [`ErrorCode::Signature`].
    pub(crate) fn check(
        &self,
        signed: &Sign1<'_>,
        purpose: Purpose,
        scope: Scope,
        now: Option<u32>,
        verifier: &dyn Verify,
    ) -> Result<(), ErrorCode> {
        let key = self.key_for(signed.kid, scope, now)?;
        if signed.verify(purpose, &key.public, verifier) {
            Ok(())
        } else {
            Err(ErrorCode::Signature)
        }
    }
}

fn read_entry(r: &mut Reader<'_>) -> Result<KeyEntry, DecodeError> {
    r.array(5)?;
    let entry = KeyEntry {
        kid: r.u8()?,
        alg: r.i32_in(i32::MIN..=i32::MAX, "algorithm")?,
        public: r.fixed()?,
        scopes: Scope::from_bits(r.u16()?),
        not_after: r.u32()?,
    };
    if entry.scopes.intersects(Scope::KEYSET) {
        return Err(DecodeError::Range("the root's scope in a key set"));
    }
    Ok(entry)
}
