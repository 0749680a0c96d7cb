//! The handle to every use case: database, clock, wake, outward services.

use std::sync::Arc;

use super::{Readiness, Wake};
use crate::{clock::SharedClock, providers::Providers, store::Store};

/// Use cases are its methods, one file a noun. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    store: Store,
    clock: SharedClock,
    wake: Wake,
    providers: Providers,
    readiness: Readiness,
}

impl App {
    /// Over an opened, migrated database.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, providers: Providers) -> Self {
        Self {
            parts: Arc::new(Parts {
                store,
                clock,
                wake: Wake::default(),
                providers,
                readiness: Readiness::default(),
            }),
        }
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.parts.clock
    }

    /// What background work waits on.
    #[must_use]
    pub fn wake(&self) -> &Wake {
        &self.parts.wake
    }

    /// Outward services.
    #[must_use]
    pub fn providers(&self) -> &Providers {
        &self.parts.providers
    }

    /// Whether this node should receive traffic.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.parts.readiness
    }
}
