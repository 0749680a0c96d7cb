//! Tokens of business subscribers: those of the API, with the right to read events, and of each family of events
//! the same right that the event stream asks for.

use crate::{
    app::{
        App,
        access::{Scope, scope_of_topic},
        outbox::Topic,
    },
    bus::Family,
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
        let families = Family::ALL.into_iter();
        Some(Subscriber {
            families: families
                .filter(|family| actor.scopes.has(scope_of_topic(topic(*family))))
                .collect(),
            sees: actor
                .organization
                .map_or(Sees::All, |organization| Sees::Organization(organization.0)),
            name: actor.label(),
        })
    }
}

/// What the family is called in the event stream.
const fn topic(family: Family) -> Topic {
    match family {
        Family::Stamp => Topic::Stamp,
        Family::Alarm => Topic::Alarm,
        Family::Presence => Topic::Presence,
        Family::Command => Topic::Command,
    }
}
