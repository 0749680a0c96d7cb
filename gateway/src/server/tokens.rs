//! Tokens of business subscribers: those of the API, with the right to read events.

use crate::{
    app::{App, access::Scope},
    ingress::business::{Sees, Subscriber, TokenCheck},
};

/// Checks tokens by the use cases.
#[derive(Debug)]
pub(super) struct Tokens(pub(super) App);

impl TokenCheck for Tokens {
    async fn check(&self, token: &str) -> Option<Subscriber> {
        let actor = self.0.authenticate(token).await.ok()?;
        if !actor.scopes.has(Scope::EventsRead) {
            return None;
        }
        Some(Subscriber {
            sees: actor
                .organization
                .map_or(Sees::All, |organization| Sees::Organization(organization.0)),
            name: actor.label(),
        })
    }
}
