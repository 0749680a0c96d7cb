//! The fleet table in memory, so that every session, resumed ones too, is checked without a query of its own.
//!
//! An entry is forgotten when its row changes; an answer read before such a change is never kept after it.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex},
};

use sealgate_domain::DeviceId;

const SHARDS: usize = 64;

#[derive(Debug)]
struct Shard<T> {
    known: HashMap<DeviceId, Arc<T>>,
    /// Changes so far; an answer read under an older number is stale.
    changes: u64,
}

/// What is known of devices.
#[derive(Debug)]
pub(super) struct Fleet<T> {
    shards: Vec<Mutex<Shard<T>>>,
    hasher: RandomState,
}

/// Taken before the database is read, given back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked(u64);

impl<T> Fleet<T> {
    /// Nothing known.
    pub(super) fn new() -> Self {
        let shard = || {
            Mutex::new(Shard {
                known: HashMap::new(),
                changes: 0,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::new(),
        }
    }

    fn shard(&self, device: DeviceId) -> &Mutex<Shard<T>> {
        let index = usize::try_from(self.hasher.hash_one(device) % SHARDS as u64);
        &self.shards[index.expect("below 64")]
    }

    /// The entry, or the number to read the database under.
    pub(super) fn find(&self, device: DeviceId) -> Result<Arc<T>, Asked> {
        let shard = self.shard(device).lock().expect("no panic while held");
        shard
            .known
            .get(&device)
            .cloned()
            .ok_or(Asked(shard.changes))
    }

    /// Keeps an answer, unless something changed since it was asked for.
    pub(super) fn keep(&self, device: DeviceId, asked: Asked, answer: Arc<T>) {
        let mut shard = self.shard(device).lock().expect("no panic while held");
        if shard.changes == asked.0 {
            shard.known.insert(device, answer);
        }
    }

    /// The row changed.
    pub(super) fn forget(&self, device: DeviceId) {
        let mut shard = self.shard(device).lock().expect("no panic while held");
        shard.changes += 1;
        shard.known.remove(&device);
    }

    /// Whether `answer` is what would be found now; false after a change.
    pub(super) fn still(&self, device: DeviceId, answer: &Arc<T>) -> bool {
        let shard = self.shard(device).lock().expect("no panic while held");
        shard
            .known
            .get(&device)
            .is_some_and(|known| Arc::ptr_eq(known, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: DeviceId = DeviceId([3; 8]);

    #[test]
    fn an_answer_read_before_a_change_is_not_kept_after_it() {
        let fleet = Fleet::new();
        let asked = fleet.find(SEAL).unwrap_err();
        fleet.forget(SEAL);
        fleet.keep(SEAL, asked, Arc::new("valid"));
        let asked = fleet.find(SEAL).unwrap_err();
        let answer = Arc::new("revoked");
        fleet.keep(SEAL, asked, answer.clone());
        assert!(fleet.still(SEAL, &answer));
        assert_eq!(*fleet.find(SEAL).unwrap(), "revoked");
    }
}
