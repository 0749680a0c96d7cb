//! Which sessions live here. The highest term of a device is its only live session; an older one is told to end.
//!
//! Takeovers are normal (half-open links on mobile networks). Only three within a minute whose boot counters
//! contradict each other mean two seals with one certificate.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sealgate_domain::{DeviceId, Millis};
use tokio_util::sync::CancellationToken;

use super::{link::CloseReason, mailbox::Mailbox};

const SHARDS: usize = 64;
const CONFLICT_WINDOW: Duration = Duration::from_secs(60);
const CONFLICT_TAKEOVERS: usize = 3;

/// How others reach a session.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    /// Takeover number.
    pub(super) term: u64,
    /// Notes for it.
    pub(super) mailbox: Arc<Mailbox>,
    /// Ends it.
    pub(super) cancel: CancellationToken,
    greeted: Arc<AtomicBool>,
    reason: Arc<OnceLock<CloseReason>>,
}

impl Handle {
    /// HELLO was answered: what the device has taken is known, and commands may follow.
    pub(super) fn greet(&self) {
        self.greeted.store(true, Ordering::SeqCst);
    }

    /// Was HELLO answered?
    pub(super) fn is_greeted(&self) -> bool {
        self.greeted.load(Ordering::SeqCst)
    }

    /// Ends the session; the first reason given counts.
    pub(super) fn close(&self, reason: CloseReason) {
        // A session that already has a reason is ending for that one.
        let _ = self.reason.set(reason);
        self.cancel.cancel();
    }

    /// Why the session was told to end.
    pub(super) fn close_reason(&self) -> CloseReason {
        *self.reason.get().unwrap_or(&CloseReason::Draining)
    }
}

/// Recent takeovers of one device and the boot counters its sessions reported.
#[derive(Debug, Default, Clone)]
struct History {
    takeovers: VecDeque<Duration>,
    boots: VecDeque<(Duration, u32)>,
}

impl History {
    fn forget_before(&mut self, now: Duration) {
        let old = |at: Duration| now.saturating_sub(at) > CONFLICT_WINDOW;
        while self.takeovers.front().is_some_and(|at| old(*at)) {
            self.takeovers.pop_front();
        }
        while self.boots.front().is_some_and(|(at, _)| old(*at)) {
            self.boots.pop_front();
        }
        while self.takeovers.len() > 8 {
            self.takeovers.pop_front();
        }
        while self.boots.len() > 8 {
            self.boots.pop_front();
        }
    }

    fn conflicts(&self) -> bool {
        let goes_back =
            |(earlier, later): (&(Duration, u32), &(Duration, u32))| later.1 < earlier.1;
        self.takeovers.len() >= CONFLICT_TAKEOVERS
            && self
                .boots
                .iter()
                .zip(self.boots.iter().skip(1))
                .any(goes_back)
    }
}

#[derive(Debug)]
struct Entry {
    handle: Handle,
    history: Option<Box<History>>,
}

/// The map of live sessions, in shards so that connect storms do not queue on one lock.
#[derive(Debug)]
pub(super) struct Registry {
    shards: Vec<Mutex<HashMap<DeviceId, Entry>>>,
    hasher: RandomState,
    live: AtomicUsize,
    limit: usize,
    last_term: AtomicU64,
}

/// There are as many sessions as allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Registry {
    /// An empty registry for at most `limit` sessions; terms begin above `last_term`.
    pub(super) fn new(limit: usize, last_term: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            live: AtomicUsize::new(0),
            limit,
            last_term: AtomicU64::new(last_term),
        }
    }

    fn shard(&self, device: DeviceId) -> &Mutex<HashMap<DeviceId, Entry>> {
        let hash = usize::try_from(self.hasher.hash_one(device) % SHARDS as u64);
        &self.shards[hash.expect("below 64")]
    }

    /// Later terms are higher, whatever the wall clock does; it only keeps the terms of several nodes in their order.
    fn next_term(&self, now: Millis) -> u64 {
        let floor = now.0.max(0).unsigned_abs() << 10;
        let next = |last: u64| Some(floor.max(last + 1));
        let last = self
            .last_term
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .expect("the closure always returns a value");
        floor.max(last + 1)
    }

    /// Enters a session; an older one of the device is told to end.
    pub(super) fn enter(
        &self,
        device: DeviceId,
        (now, monotonic): (Millis, Duration),
    ) -> Result<(Handle, bool), Full> {
        let handle = Handle {
            term: self.next_term(now),
            mailbox: Arc::default(),
            cancel: CancellationToken::new(),
            greeted: Arc::default(),
            reason: Arc::default(),
        };
        let mut shard = self.shard(device).lock().expect("no panic while held");
        let Some(entry) = shard.get_mut(&device) else {
            if self.live.fetch_add(1, Ordering::Relaxed) >= self.limit {
                self.live.fetch_sub(1, Ordering::Relaxed);
                return Err(Full);
            }
            let entry = Entry {
                handle: handle.clone(),
                history: None,
            };
            shard.insert(device, entry);
            return Ok((handle, false));
        };
        entry.handle.close(CloseReason::TakenOver);
        entry.handle = handle.clone();
        let history = entry.history.get_or_insert_default();
        history.takeovers.push_back(monotonic);
        history.forget_before(monotonic);
        Ok((handle, true))
    }

    /// Notes the boot counter a session reported; true when it proves two seals with one certificate.
    pub(super) fn boot_conflicts(&self, device: DeviceId, boot: u32, now: Duration) -> bool {
        let mut shard = self.shard(device).lock().expect("no panic while held");
        let Some(entry) = shard.get_mut(&device) else {
            return false;
        };
        let history = entry.history.get_or_insert_default();
        history.boots.push_back((now, boot));
        history.forget_before(now);
        history.conflicts()
    }

    /// Removes a session, unless a newer one has taken its place. True when it was the device's live one.
    pub(super) fn leave(&self, device: DeviceId, term: u64) -> bool {
        let mut shard = self.shard(device).lock().expect("no panic while held");
        let mine = shard
            .get(&device)
            .is_some_and(|entry| entry.handle.term == term);
        if mine {
            shard.remove(&device);
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
        mine
    }

    /// The device's live session.
    pub(super) fn find(&self, device: DeviceId) -> Option<Handle> {
        let shard = self.shard(device).lock().expect("no panic while held");
        shard.get(&device).map(|entry| entry.handle.clone())
    }

    /// Live sessions.
    pub(super) fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// The devices with a live session.
    pub(super) fn devices(&self) -> Vec<DeviceId> {
        let mut devices = Vec::with_capacity(self.len());
        for shard in &self.shards {
            devices.extend(shard.lock().expect("no panic while held").keys());
        }
        devices
    }

    /// Tells every session to end.
    pub(super) fn close_all(&self, reason: CloseReason) {
        for shard in &self.shards {
            for entry in shard.lock().expect("no panic while held").values() {
                entry.handle.close(reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: DeviceId = DeviceId([7; 8]);

    fn at(seconds: u64) -> (Millis, Duration) {
        (Millis(1_000), Duration::from_secs(seconds))
    }

    #[test]
    fn a_newer_session_ends_the_older_and_the_older_cannot_remove_it() {
        let registry = Registry::new(10, 0);
        let (old, _) = registry.enter(SEAL, at(0)).unwrap();
        let (new, taken) = registry.enter(SEAL, at(1)).unwrap();
        assert!(taken && new.term > old.term);
        assert!(old.cancel.is_cancelled() && !new.cancel.is_cancelled());
        assert_eq!(old.close_reason(), CloseReason::TakenOver);
        assert!(!registry.leave(SEAL, old.term));
        assert_eq!(registry.find(SEAL).unwrap().term, new.term);
        assert!(registry.leave(SEAL, new.term));
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn the_bound_holds_and_a_takeover_needs_no_room() {
        let registry = Registry::new(1, 0);
        registry.enter(SEAL, at(0)).unwrap();
        let other = registry.enter(DeviceId([8; 8]), at(0));
        assert_eq!(other.unwrap_err(), Full);
        registry.enter(SEAL, at(0)).unwrap();
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn three_takeovers_in_a_minute_with_contradicting_boots_are_a_clone() {
        let registry = Registry::new(10, 0);
        let mut verdicts = Vec::new();
        for (second, boot) in [(0, 7), (10, 3), (20, 7), (30, 3)] {
            registry.enter(SEAL, at(second)).unwrap();
            verdicts.push(registry.boot_conflicts(SEAL, boot, at(second).1));
        }
        assert_eq!(verdicts, [false, false, false, true]);
    }

    #[test]
    fn a_seal_that_reboots_and_takes_over_its_own_half_open_links_is_no_clone() {
        let registry = Registry::new(10, 0);
        for (second, boot) in [(0, 7), (5, 7), (10, 8), (15, 9), (20, 10)] {
            registry.enter(SEAL, at(second)).unwrap();
            assert!(!registry.boot_conflicts(SEAL, boot, at(second).1));
        }
    }

    #[test]
    fn slow_takeovers_are_forgotten() {
        let registry = Registry::new(10, 0);
        for (second, boot) in [(0, 7), (50, 3), (100, 7), (150, 3)] {
            registry.enter(SEAL, at(second)).unwrap();
            assert!(!registry.boot_conflicts(SEAL, boot, at(second).1));
        }
    }
}
