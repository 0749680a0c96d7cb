//! TLS sessions kept for resumption: stateful, so a resumed handshake carries no client chain.
//!
//! Bounded in number, in size and in age; the oldest goes first. A ticket is a shortcut only: certificate and
//! fleet table are checked again at every CONNECT. Those of a revoked device are thrown away.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::server::StoresServerSessions;
use sealgate_domain::DeviceId;

use super::identity;
use crate::clock::SharedClock;

/// Locks are per shard, so that handshakes on different cores rarely meet.
const SHARDS: usize = 16;

/// Largest session kept: a certificate chain of one leaf fits several times.
const MAX_VALUE: usize = 8 * 1024;

/// The store.
#[derive(Debug)]
pub(super) struct Tickets {
    shards: Vec<Mutex<Shard>>,
    lifetime: Duration,
    clock: SharedClock,
}

#[derive(Debug, Clone)]
struct Ticket {
    at: Duration,
    device: Option<DeviceId>,
    value: Vec<u8>,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Vec<u8>, Ticket>,
    /// Keys in order of arrival; may name entries that were taken.
    order: VecDeque<Vec<u8>>,
    capacity: usize,
}

impl Tickets {
    pub(super) fn new(capacity: usize, lifetime: Duration, clock: SharedClock) -> Self {
        let shard = || {
            Mutex::new(Shard {
                capacity: capacity.div_ceil(SHARDS),
                ..Shard::default()
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            lifetime,
            clock,
        }
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let index = key
            .iter()
            .fold(0usize, |sum, &byte| sum.wrapping_add(usize::from(byte)));
        // A panic while holding the lock leaves at worst one entry less.
        self.shards[index % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, ticket: Ticket) -> Option<Vec<u8>> {
        let age = self.clock.monotonic().saturating_sub(ticket.at);
        (age <= self.lifetime).then_some(ticket.value)
    }

    /// Throws away the tickets of a device.
    pub(super) fn forget(&self, device: DeviceId) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard
                .entries
                .retain(|_, ticket| ticket.device != Some(device));
        }
    }
}

impl Shard {
    fn put(&mut self, key: Vec<u8>, ticket: Ticket) {
        if self.entries.insert(key.clone(), ticket).is_none() {
            self.order.push_back(key);
        }
        while self.entries.len() > self.capacity {
            match self.order.pop_front() {
                Some(oldest) => self.entries.remove(&oldest),
                None => break,
            };
        }
        // Single-use tickets leave stale keys behind; sweep before they outnumber the live ones.
        if self.order.len() > 2 * self.capacity.max(8) {
            let entries = &self.entries;
            self.order.retain(|key| entries.contains_key(key));
        }
    }
}

impl StoresServerSessions for Tickets {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        if value.len() > MAX_VALUE {
            return false;
        }
        let ticket = Ticket {
            at: self.clock.monotonic(),
            device: identity::of_session(&value),
            value,
        };
        self.shard(&key).put(key, ticket);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.shard(key).entries.get(key).cloned();
        found.and_then(|ticket| self.fresh(ticket))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.shard(key).entries.remove(key);
        found.and_then(|ticket| self.fresh(ticket))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sealgate_domain::Millis;

    use super::*;
    use crate::clock::TestClock;

    fn key(n: u32) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    #[test]
    fn the_store_stays_bounded_however_many_sessions_come() {
        let store = Tickets::new(
            64,
            Duration::from_secs(60),
            Arc::new(TestClock::at(Millis(0))),
        );
        for n in 0..10_000 {
            assert!(store.put(key(n), vec![1; 100]));
            if n % 3 == 0 {
                assert!(store.take(&key(n)).is_some());
            }
        }
        let shards = || store.shards.iter().map(|shard| shard.lock().unwrap());
        assert!(shards().all(|shard| shard.entries.len() <= 4 && shard.order.len() <= 17));
        assert!(store.get(&key(9_998)).is_some(), "the newest is kept");
        assert!(!store.put(key(1), vec![0; MAX_VALUE + 1]));
    }

    #[test]
    fn a_ticket_works_once_and_not_for_ever() {
        let clock = Arc::new(TestClock::at(Millis(0)));
        let store = Tickets::new(64, Duration::from_secs(60), clock.clone());
        store.put(key(1), vec![1]);
        store.put(key(2), vec![2]);
        assert_eq!(store.take(&key(1)), Some(vec![1]));
        assert_eq!(store.take(&key(1)), None);
        clock.advance(Duration::from_secs(61));
        assert_eq!(store.take(&key(2)), None);
    }
}
