//! The keys a signer holds, and the key set document that tells seals about them.

use std::path::Path;

use ed25519_dalek::SigningKey;
use sealgate_broker_config::{
    Error, UnixSeconds,
    keys::{Entry, KeyDir, KeyTable, ROOT_KID},
};
use sealgate_codec::{
    cose::ED25519,
    statement::{KeyEntry, KeySet, RootKey},
    ticket::Scope,
};

/// The loaded keys. Secrets are wiped from memory when it is dropped.
pub struct Keyring {
    keys: Vec<Held>,
    document: Vec<u8>,
    version: u32,
}

struct Held {
    entry: Entry,
    secret: SigningKey,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kids: Vec<u8> = self.keys.iter().map(|held| held.entry.kid).collect();
        f.debug_struct("Keyring")
            .field("version", &self.version)
            .field("kids", &kids)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads the keys in `dir` and checks that the key set on disk is signed by the root and names exactly them.
    ///
    /// # Errors
    /// A file is missing, may be read by others, or does not fit the others.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let files = KeyDir::new(dir);
        let table = files.table()?;
        let document = sealgate_broker_config::files::read(&files.key_set())?;
        let root = RootKey {
            kid: ROOT_KID,
            public: files.root_public()?,
        };
        let set = KeySet::verify(&document, &root).map_err(|_| Error::Malformed {
            path: files.key_set(),
            expected: "a key set signed by root.pub",
        })?;
        if set != to_key_set(&table)? {
            return Err(Error::Malformed {
                path: files.key_set(),
                expected: "the key set of keys.json (rotate again)",
            });
        }
        let keys = table
            .entries
            .iter()
            .map(|entry| {
                Ok(Held {
                    entry: entry.clone(),
                    secret: files.secret(entry)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            keys,
            document,
            version: table.version,
        })
    }

    /// The key set as seals get it.
    #[must_use]
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// Version of the key set.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The key that signs for `scope` at `now` to a seal that is known to hold key set `known`: the newest that is
    /// active, unless the seal does not know it yet; then the newest it knows, although it may have been ended by the
    /// rotation that the seal has not heard of. A seal whose record is too old for all of them gets the oldest key in
    /// force: whatever set it was made with names that.
    pub(super) fn key_for(
        &self,
        scope: Scope,
        now: UnixSeconds,
        known: u32,
    ) -> Option<(u8, &SigningKey)> {
        let begun = || {
            let of_scope = |held: &&Held| {
                held.entry.scope.bit() == scope.bits() && held.entry.active_from <= now
            };
            self.keys.iter().filter(of_scope)
        };
        let in_force = || begun().filter(|held| now < held.entry.not_after);
        let age = |held: &&Held| (held.entry.active_from, held.entry.kid);
        let newest = in_force().max_by_key(age)?;
        let chosen = match newest.entry.since <= known {
            true => newest,
            false => begun()
                .filter(|held| held.entry.since <= known)
                .max_by_key(age)
                .or_else(|| in_force().min_by_key(age))?,
        };
        Some((chosen.entry.kid, &chosen.secret))
    }
}

/// Encodes and signs a key set: what `key init` and `key rotate` write to `keyset.cbor`.
///
/// # Errors
/// A public key in the table is malformed.
pub fn sign_key_set(table: &KeyTable, root: &SigningKey) -> Result<Vec<u8>, Error> {
    Ok(to_key_set(table)?.sign(root, ROOT_KID))
}

fn to_key_set(table: &KeyTable) -> Result<KeySet, Error> {
    let mut entries = table
        .entries
        .iter()
        .map(|entry| {
            Ok(KeyEntry {
                kid: entry.kid,
                alg: ED25519,
                public: entry.public_bytes()?,
                scopes: Scope::from_bits(entry.scope.bit()),
                not_after: u32::try_from(entry.not_after).unwrap_or(u32::MAX),
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    entries.sort_by_key(|entry| entry.kid);
    Ok(KeySet {
        version: table.version,
        entries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealgate_broker_config::{
        DAY,
        keys::{KeyScope, MAX_KEYS, Rotation, read_seed},
    };

    const NOW: UnixSeconds = 1_790_000_000;

    #[test]
    fn our_limits_are_the_wire_format_s() {
        assert_eq!(MAX_KEYS, sealgate_codec::statement::MAX_KEYS);
        for (scope, (name, bits)) in KeyScope::ALL.iter().zip(Scope::ALL) {
            assert_eq!((scope.as_str(), scope.bit()), (name, bits.bits()));
        }
    }

    #[test]
    fn a_key_directory_opens_and_every_scope_has_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let files = KeyDir::new(dir.path());
        files.init(NOW, 100 * DAY, &sign_key_set).unwrap();
        let ring = Keyring::open(dir.path()).unwrap();
        let kids: Vec<u8> = KeyScope::ALL
            .iter()
            .map(|scope| {
                ring.key_for(Scope::from_bits(scope.bit()), NOW, 1)
                    .unwrap()
                    .0
            })
            .collect();
        assert_eq!(kids, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(
            ring.key_for(Scope::LOCK, NOW + 100 * DAY, 1).is_none(),
            "ended keys sign nothing"
        );
        assert!(ring.key_for(Scope::LOCK, NOW - 1, 1).is_none());
        assert!(!format!("{ring:?}").contains("SigningKey"));
    }

    #[test]
    fn a_seal_gets_signatures_of_keys_it_knows_and_of_the_new_one_when_its_time_has_come() {
        let dir = tempfile::tempdir().unwrap();
        let files = KeyDir::new(dir.path());
        files.init(NOW, 700 * DAY, &sign_key_set).unwrap();
        let root = read_seed(&files.root_key()).unwrap();
        let rotate = |now| {
            let rotation = Rotation::default();
            let scopes = [KeyScope::Lock];
            files
                .rotate(&scopes, rotation, &root, now, &sign_key_set)
                .unwrap();
        };
        rotate(NOW);
        let kid = |now, known| {
            let ring = Keyring::open(dir.path()).unwrap();
            ring.key_for(Scope::LOCK, now, known).map(|(kid, _)| kid)
        };
        assert_eq!(kid(NOW + 6 * DAY, 2), Some(2), "not before its time");
        assert_eq!(kid(NOW + 7 * DAY, 2), Some(9));
        assert_eq!(kid(NOW + 7 * DAY, 1), Some(2));
        assert_eq!(
            kid(NOW + 90 * DAY, 1),
            Some(2),
            "a seal that was off all the time knows no other key"
        );
        rotate(NOW + 100 * DAY);
        assert_eq!(kid(NOW + 108 * DAY, 2), Some(9));
        assert_eq!(kid(NOW + 108 * DAY, 3), Some(10));
        assert_eq!(
            kid(NOW + 108 * DAY, 1),
            Some(9),
            "the first key is gone: the oldest there is"
        );
    }

    #[test]
    fn a_key_set_of_another_root_or_table_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = KeyDir::new(dir.path());
        files.init(NOW, 100 * DAY, &sign_key_set).unwrap();
        let old = std::fs::read(files.key_set()).unwrap();
        let root = read_seed(&files.root_key()).unwrap();
        let rotation = Rotation::default();
        files
            .rotate(&[KeyScope::Lock], rotation, &root, NOW, &sign_key_set)
            .unwrap();
        assert_eq!(Keyring::open(dir.path()).unwrap().version(), 2);
        std::fs::write(files.key_set(), &old).unwrap();
        assert!(matches!(
            Keyring::open(dir.path()),
            Err(Error::Malformed { .. })
        ));
        let mut bent = old;
        *bent.last_mut().unwrap() ^= 1;
        std::fs::write(files.key_set(), &bent).unwrap();
        assert!(matches!(
            Keyring::open(dir.path()),
            Err(Error::Malformed { .. })
        ));
    }
}
