//! The keys of the published vectors: the seed of every key is its id, 32 times.

use ed25519_dalek::SigningKey;
use sealgate_codec::{
    DeviceId,
    statement::{KeyEntry, KeySet, RootKey},
    ticket::{Op, Scope},
};

pub(crate) const DEVICE: DeviceId = DeviceId::new([0, 1, 2, 3, 4, 5, 6, 7]);
pub(crate) const OTHER_DEVICE: DeviceId = DeviceId::new([0, 1, 2, 3, 4, 5, 6, 8]);
pub(crate) const NOW: u32 = 1_795_000_000;
pub(crate) const ROOT: u8 = 1;
pub(crate) const LEASE: u8 = 7;
pub(crate) const RECEIPT: u8 = 8;
pub(crate) const LINK: u8 = 9;
pub(crate) const LOG: u8 = 0xd0;

pub(crate) fn key(id: u8) -> SigningKey {
    SigningKey::from_bytes(&[id; 32])
}

pub(crate) fn public(id: u8) -> [u8; 32] {
    key(id).verifying_key().to_bytes()
}

pub(crate) fn root() -> RootKey {
    RootKey {
        kid: ROOT,
        public: public(ROOT),
    }
}

pub(crate) fn key_set() -> KeySet {
    let entry = |kid, scopes| KeyEntry {
        kid,
        alg: sealgate_codec::cose::ED25519,
        public: public(kid),
        scopes,
        not_after: NOW + 365 * 86_400,
    };
    KeySet {
        version: 3,
        entries: vec![
            entry(2, Scope::GRANT),
            entry(3, Scope::LOCK),
            entry(4, Scope::UNLOCK),
            entry(5, Scope::CONFIG),
            entry(6, Scope::FIRMWARE),
            entry(LEASE, Scope::LEASE),
            entry(RECEIPT, Scope::RECEIPT),
        ],
    }
}

/// The key set with a key for link tickets.
pub(crate) fn link_keys() -> KeySet {
    let mut keys = key_set();
    keys.entries.push(KeyEntry {
        kid: LINK,
        public: public(LINK),
        scopes: Scope::LINK,
        ..keys.entries[0]
    });
    keys
}

/// The key of the vectors' key set that may sign this op.
pub(crate) fn kid_for(op: Op) -> u8 {
    key_set()
        .entries
        .iter()
        .find(|entry| entry.scopes.contains(op.scope()))
        .expect("every op has a key")
        .kid
}
