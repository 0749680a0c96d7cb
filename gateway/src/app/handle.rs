//! The handle to every use case: database, clock, wake, outward services.

use std::{fmt, ops::Deref, sync::Arc};

use crate::{clock::SharedClock, providers::Providers, store::Store};

use super::{Readiness, Wake};

/// Settings of the use cases.
#[derive(Clone)]
pub struct Settings {
    /// Signs cursors and keys the hashes of codes. The same on every node, kept over restarts.
    pub secret: [u8; 32],
    /// The text messages of the memory provider can be read over the API.
    pub sms_inbox: bool,
}

impl Default for Settings {
    /// A secret of this process alone: cursors and codes do not outlive it.
    fn default() -> Self {
        Self {
            secret: rand::random(),
            sms_inbox: false,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("sms_inbox", &self.sms_inbox)
            .finish_non_exhaustive()
    }
}

/// What every use case works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: SharedClock,
    /// What background work waits on.
    pub wake: Wake,
    /// Outward services.
    pub providers: Providers,
    /// Whether this node should receive traffic.
    pub readiness: Readiness,
    /// Settings.
    pub settings: Settings,
}

/// Use cases are its methods, one file a noun. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    parts: Arc<Parts>,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
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
                settings: Settings::default(),
            }),
        }
    }

    /// The same with settings; call it before the handle is shared.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        let parts = Parts {
            settings,
            ..Parts::clone(&self.parts)
        };
        Self {
            parts: Arc::new(parts),
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
