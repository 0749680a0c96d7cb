//! The key hierarchy as files: one root, one signing key a scope.
//!
//! The root signs key sets and nothing else; it is needed by `key init` and `key rotate` only and can be kept
//! elsewhere. `keys.json` says which key id (kid) covers what and when; encoding and signing the key set is the
//! caller's work, because the wire format lives in the codec. Kids are never used twice.
//!
//! A rotated key is announced before it is used: seals must have the new key set before a ticket signed by the new
//! key reaches them. So a new key has `active_from`, and the old one ends only `overlap` after that.

mod seed;
mod table;

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;

use crate::{Error, UnixSeconds, device::from_hex, files};

pub use seed::read_seed;
pub(crate) use seed::{fill_random, new_signing_key, seed_text};
pub use table::{Entry, KeyScope, KeyTable, MAX_KEYS, ROOT_KID, Rotation};

/// A folder of keys.
#[derive(Debug, Clone)]
pub struct KeyDir {
    dir: PathBuf,
}

/// Signs a key set document: `(table, root key) -> bytes of keyset.cbor`.
pub type SignKeySet<'a> = &'a dyn Fn(&KeyTable, &SigningKey) -> Result<Vec<u8>, Error>;

impl KeyDir {
    /// The folder at `dir`, which need not exist yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// The root's secret key file.
    #[must_use]
    pub fn root_key(&self) -> PathBuf {
        self.dir.join("root.key")
    }

    /// The signed key set.
    #[must_use]
    pub fn key_set(&self) -> PathBuf {
        self.dir.join("keyset.cbor")
    }

    /// Whether `init` was done here.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.table_file().exists()
    }

    /// Makes the root, one key a scope and the first key set.
    ///
    /// # Errors
    /// There are keys already, or the file system fails.
    pub fn init(
        &self,
        now: UnixSeconds,
        life: UnixSeconds,
        sign: SignKeySet<'_>,
    ) -> Result<KeyTable, Error> {
        for path in [self.root_key(), self.table_file()] {
            if path.exists() {
                return Err(Error::Exists(path));
            }
        }
        files::private_dir(&self.dir)?;
        let root = new_signing_key()?;
        let mut table = KeyTable {
            version: 1,
            next_kid: 1,
            entries: Vec::new(),
        };
        for scope in KeyScope::ALL {
            self.add(&mut table, scope, now, now + life)?;
        }
        files::create(&self.root_key(), seed_text(&root).as_bytes(), files::SECRET)?;
        let public = HEXLOWER.encode(root.verifying_key().as_bytes());
        files::create(
            &self.dir.join("root.pub"),
            format!("{public}\n").as_bytes(),
            files::PUBLIC,
        )?;
        self.publish(&table, &root, sign)?;
        Ok(table)
    }

    /// Makes new keys for `scopes` and a new key set; ended keys leave it and their files are removed.
    ///
    /// # Errors
    /// The root key is not `root`'s pair, or the file system fails.
    pub fn rotate(
        &self,
        scopes: &[KeyScope],
        rotation: Rotation,
        root: &SigningKey,
        now: UnixSeconds,
        sign: SignKeySet<'_>,
    ) -> Result<KeyTable, Error> {
        let public = self.root_public()?;
        if root.verifying_key().as_bytes() != &public {
            return Err(Error::Invalid(
                "this root key does not belong to root.pub".to_owned(),
            ));
        }
        let mut table = self.table()?;
        let ended: Vec<u8> = table
            .entries
            .iter()
            .filter(|entry| entry.not_after <= now)
            .map(|entry| entry.kid)
            .collect();
        table.entries.retain(|entry| entry.not_after > now);
        let active_from = now + rotation.activate_after;
        for entry in table
            .entries
            .iter_mut()
            .filter(|entry| scopes.contains(&entry.scope))
        {
            entry.not_after = entry.not_after.min(active_from + rotation.overlap);
        }
        table.version += 1;
        for scope in scopes {
            self.add(&mut table, *scope, active_from, active_from + rotation.life)?;
        }
        self.publish(&table, root, sign)?;
        for kid in ended {
            let path = self.kid_file(kid);
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        Ok(table)
    }

    /// The table of keys.
    ///
    /// # Errors
    /// The file is missing or malformed.
    pub fn table(&self) -> Result<KeyTable, Error> {
        let path = self.table_file();
        serde_json::from_slice(&files::read(&path)?).map_err(|_| Error::Malformed {
            path,
            expected: "a key table",
        })
    }

    /// The root's public key.
    ///
    /// # Errors
    /// The file is missing or malformed.
    pub fn root_public(&self) -> Result<[u8; 32], Error> {
        let path = self.dir.join("root.pub");
        from_hex(&files::read_text(&path)?)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(Error::Malformed {
                path,
                expected: "a public key",
            })
    }

    /// The secret key of `entry`, checked against its public half.
    ///
    /// # Errors
    /// The file is missing, exposed, malformed, or belongs to another key.
    pub fn secret(&self, entry: &Entry) -> Result<SigningKey, Error> {
        let path = self.kid_file(entry.kid);
        let key = read_seed(&path)?;
        if key.verifying_key().as_bytes() == &entry.public_bytes()? {
            Ok(key)
        } else {
            Err(Error::Malformed {
                path,
                expected: "the key that keys.json names",
            })
        }
    }

    fn add(
        &self,
        table: &mut KeyTable,
        scope: KeyScope,
        active_from: UnixSeconds,
        not_after: UnixSeconds,
    ) -> Result<(), Error> {
        if table.entries.len() >= MAX_KEYS {
            return Err(Error::Invalid(format!(
                "a key set holds {MAX_KEYS} keys; wait until rotated keys have ended"
            )));
        }
        let key = new_signing_key()?;
        let kid = table.next_kid;
        // A rotation that stopped half-way may have left a file of this kid behind; no key set ever named it.
        files::replace(
            &self.kid_file(kid),
            seed_text(&key).as_bytes(),
            files::SECRET,
        )?;
        table.next_kid = kid.checked_add(1).ok_or_else(|| {
            Error::Invalid("all 255 key ids are used; make a new root".to_owned())
        })?;
        table.entries.push(Entry {
            kid,
            scope,
            since: table.version,
            public: HEXLOWER.encode(key.verifying_key().as_bytes()),
            active_from,
            not_after,
        });
        Ok(())
    }

    /// The key set goes first: a signer that reads between the two writes still uses keys the old set names.
    fn publish(
        &self,
        table: &KeyTable,
        root: &SigningKey,
        sign: SignKeySet<'_>,
    ) -> Result<(), Error> {
        files::replace(&self.key_set(), &sign(table, root)?, files::PUBLIC)?;
        let mut text = serde_json::to_vec_pretty(table).expect("a key table is plain data");
        text.push(b'\n');
        files::replace(&self.table_file(), &text, files::PUBLIC)
    }

    fn table_file(&self) -> PathBuf {
        self.dir.join("keys.json")
    }

    fn kid_file(&self, kid: u8) -> PathBuf {
        self.dir.join(format!("kid-{kid}.key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DAY;

    const NOW: UnixSeconds = 1_790_000_000;

    fn sign(table: &KeyTable, _: &SigningKey) -> Result<Vec<u8>, Error> {
        Ok(table.version.to_be_bytes().to_vec())
    }

    fn keys() -> (tempfile::TempDir, KeyDir) {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyDir::new(&dir.path().join("keys"));
        keys.init(NOW, 100 * DAY, &sign).unwrap();
        (dir, keys)
    }

    #[test]
    fn every_scope_gets_a_key_of_its_own_once() {
        let (_dir, keys) = keys();
        assert!(matches!(keys.init(NOW, DAY, &sign), Err(Error::Exists(_))));
        let table = keys.table().unwrap();
        let mut publics: Vec<_> = table
            .entries
            .iter()
            .map(|entry| entry.public.clone())
            .collect();
        publics.sort();
        publics.dedup();
        assert_eq!(publics.len(), KeyScope::ALL.len());
        for entry in &table.entries {
            keys.secret(entry).unwrap();
        }
        let bits: Vec<u16> = KeyScope::ALL.iter().map(|scope| scope.bit()).collect();
        assert_eq!(bits, [1, 2, 4, 8, 16, 32, 64, 128]);
    }

    #[test]
    fn a_rotated_key_is_announced_then_used_then_alone() {
        let (_dir, keys) = keys();
        let root = read_seed(&keys.root_key()).unwrap();
        let rotation = Rotation {
            activate_after: 7 * DAY,
            overlap: 30 * DAY,
            life: 100 * DAY,
        };
        let table = keys
            .rotate(&[KeyScope::Lock], rotation, &root, NOW + DAY, &sign)
            .unwrap();
        assert_eq!((table.version, table.next_kid), (2, 10));
        let kid = |table: &KeyTable, at| table.active(KeyScope::Lock, at).map(|entry| entry.kid);
        assert_eq!(kid(&table, NOW + 2 * DAY), Some(2));
        assert_eq!(kid(&table, NOW + 8 * DAY), Some(9));
        assert_eq!(
            table
                .active(KeyScope::Unlock, NOW + 8 * DAY)
                .map(|entry| entry.kid),
            Some(3)
        );
        assert_eq!(keys.table().unwrap(), table);
        let later = keys
            .rotate(&[KeyScope::Lock], rotation, &root, NOW + 50 * DAY, &sign)
            .unwrap();
        assert!(
            later.entries.iter().all(|entry| entry.kid != 2),
            "ended keys leave the set"
        );
        assert!(!keys.kid_file(2).exists());
    }

    #[test]
    fn a_foreign_root_can_not_rotate() {
        let (_dir, keys) = keys();
        let foreign = new_signing_key().unwrap();
        let error = keys
            .rotate(&[KeyScope::Lock], Rotation::default(), &foreign, NOW, &sign)
            .unwrap_err();
        assert!(error.to_string().contains("root"), "{error}");
    }

    #[test]
    fn a_swapped_key_file_is_noticed() {
        let (_dir, keys) = keys();
        std::fs::copy(keys.kid_file(1), keys.kid_file(2)).unwrap();
        let table = keys.table().unwrap();
        assert!(keys.secret(&table.entries[0]).is_ok());
        assert!(matches!(
            keys.secret(&table.entries[1]),
            Err(Error::Malformed { .. })
        ));
    }
}
