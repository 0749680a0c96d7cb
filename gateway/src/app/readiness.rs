//! Whether this node should receive traffic. Rooms set their own flag; `/readyz` reads them all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

/// Flags of the rooms; starts with nothing ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    flags: Arc<Flags>,
}

#[derive(Debug, Default)]
struct Flags {
    front: AtomicBool,
    bus: AtomicBool,
    store: AtomicBool,
    signer: AtomicBool,
    draining: CancellationToken,
    probe_after: AtomicU64,
}

/// One answer of [`Readiness::report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The front accepts seals.
    pub front: bool,
    /// The bus canary came through.
    pub bus: bool,
    /// The last write to the database succeeded.
    pub store: bool,
    /// The signer answered when last asked. Without it records are still taken, so it does not decide readiness.
    pub signer: bool,
    /// Shutting down.
    pub draining: bool,
}

impl Report {
    /// All is well.
    #[must_use]
    pub const fn ready(self) -> bool {
        self.front && self.bus && self.store && !self.draining
    }
}

impl Readiness {
    /// The front accepts seals, or no longer.
    pub fn set_front(&self, up: bool) {
        self.flags.front.store(up, Ordering::Relaxed);
    }

    /// The bus canary came through, or did not.
    pub fn set_bus(&self, up: bool) {
        self.flags.bus.store(up, Ordering::Relaxed);
    }

    /// The database takes writes, or does not.
    pub fn set_store(&self, up: bool) {
        self.flags.store.store(up, Ordering::Relaxed);
    }

    /// The signer answers, or does not.
    pub fn set_signer(&self, up: bool) {
        self.flags.signer.store(up, Ordering::Relaxed);
    }

    /// Is it time to ask the database again? At most once a second, however often others ask us.
    pub(super) fn probe_due(&self, now: Duration) -> bool {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let due = self.flags.probe_after.load(Ordering::Relaxed);
        now >= due
            && self
                .flags
                .probe_after
                .compare_exchange(due, now + 1_000, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// From now on this node is leaving: long answers end.
    pub fn drain(&self) {
        self.flags.draining.cancel();
    }

    /// Cancelled when this node is leaving.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.flags.draining.clone()
    }

    /// Everything at once.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            front: self.flags.front.load(Ordering::Relaxed),
            bus: self.flags.bus.load(Ordering::Relaxed),
            store: self.flags.store.load(Ordering::Relaxed),
            signer: self.flags.signer.load(Ordering::Relaxed),
            draining: self.flags.draining.is_cancelled(),
        }
    }
}
