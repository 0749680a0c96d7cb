//! Outward services as traits: a real client each, `memory` for tests and the demo.

pub mod sms;

use std::sync::Arc;

/// Every outward service the use cases may call.
#[derive(Debug, Clone)]
pub struct Providers {
    /// Text messages.
    pub sms: Arc<dyn sms::Sms>,
}

impl Providers {
    /// Providers that keep everything in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            sms: Arc::new(sms::MemorySms::default()),
        }
    }
}
