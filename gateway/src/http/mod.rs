//! HTTP: one file a noun, the router on one page.
//!
//! A handler reads parameters, calls one use case, shows the result. Refusals become problem documents at the
//! outermost layer; access is checked by the use cases, never here.

mod answer;
mod audit;
mod auth;
mod body;
mod command;
mod context;
mod device;
mod etag;
mod events;
mod extract;
mod grant;
mod health;
mod idempotency;
mod inbox;
mod language;
mod member;
mod openapi;
mod organization;
mod paging;
mod problem;
mod rate;
mod reading;
mod router;
mod stamp;
mod streams;
mod titles;
mod token;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::{app::App, config::HttpConfig, telemetry::Metrics};

use rate::Limiter;
use streams::Streams;

pub use paging::Cursors;
pub use router::{document, router};

/// What every handler shares.
#[derive(Debug, Clone)]
pub struct Api {
    app: App,
    metrics: Arc<Metrics>,
    config: Arc<HttpConfig>,
    cursors: Cursors,
    limiter: Arc<Limiter>,
    streams: Arc<Streams>,
}

impl Api {
    /// Over those use cases, with those settings.
    #[must_use]
    pub fn new(app: App, metrics: Arc<Metrics>, config: HttpConfig) -> Self {
        Self {
            cursors: Cursors::new(app.settings.secret),
            limiter: Arc::new(Limiter::new(&config)),
            streams: Arc::new(Streams::new(&config)),
            app,
            metrics,
            config: Arc::new(config),
        }
    }
}
