//! Who acts: every audit row names one.

use sealgate_domain::{Millis, OrganizationId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::access::Scopes;

/// What kind of thing acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    /// A caller of the API, by its token.
    Token,
    /// This program's own background work.
    System,
    /// A seal.
    Device,
    /// An operator at the command line.
    Cli,
}

/// Who acts, and with which rights.
#[derive(Debug, Clone)]
pub struct Actor {
    /// What kind of thing.
    pub kind: ActorKind,
    /// Which one: a token's id, a device's id, or empty.
    pub id: String,
    /// The organization a token is bound to; `None` is the platform itself.
    pub organization: Option<OrganizationId>,
    /// The rights.
    pub scopes: Scopes,
    /// What names a request that may be sent again.
    pub request: Option<RequestKey>,
}

impl Actor {
    /// Background work.
    #[must_use]
    pub fn system() -> Self {
        Self::trusted(ActorKind::System, String::new())
    }

    /// An operator at the command line.
    #[must_use]
    pub fn cli() -> Self {
        Self::trusted(ActorKind::Cli, String::new())
    }

    /// A seal.
    #[must_use]
    pub fn device(id: impl ToString) -> Self {
        Self {
            scopes: Scopes::NONE,
            ..Self::trusted(ActorKind::Device, id.to_string())
        }
    }

    fn trusted(kind: ActorKind, id: String) -> Self {
        Self {
            kind,
            id,
            organization: None,
            scopes: Scopes::all(),
            request: None,
        }
    }

    /// How audit rows name this actor.
    #[must_use]
    pub fn label(&self) -> String {
        let kind = match self.kind {
            ActorKind::Token => "token",
            ActorKind::System => return "system".into(),
            ActorKind::Device => "device",
            ActorKind::Cli => return "cli".into(),
        };
        format!("{kind}:{}", self.id)
    }

    /// The id of what this request makes: the same again when the same request is sent again, so that a request
    /// whose answer was lost in a crash finds its own work instead of doing it twice.
    #[must_use]
    pub fn new_id(&self, now: Millis) -> Uuid {
        match &self.request {
            Some(request) => id_at(request.first_seen, &request.hash),
            None => id_at(now, &rand::random()),
        }
    }
}

/// What names a request that may be sent again: token, route and Idempotency-Key, and when it was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestKey {
    first_seen: Millis,
    hash: [u8; 10],
}

impl RequestKey {
    /// Hashes the three.
    #[must_use]
    pub fn new(token: &str, route: &str, key: &str, first_seen: Millis) -> Self {
        let mut hasher = Sha256::new();
        for part in [token, route, key] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let mut hash = [0; 10];
        hash.copy_from_slice(&hasher.finalize()[..10]);
        Self { first_seen, hash }
    }
}

/// A version 7 id, so that indexes grow at one end.
fn id_at(at: Millis, random: &[u8; 10]) -> Uuid {
    let millis = u64::try_from(at.0).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_makes_the_same_id() {
        let with = |key| Actor {
            request: Some(RequestKey::new("token", "POST /grants", key, Millis(7))),
            ..Actor::system()
        };
        let now = Millis(1);
        assert_eq!(with("a").new_id(now), with("a").new_id(Millis(2)));
        assert_ne!(with("a").new_id(now), with("b").new_id(now));
        assert_ne!(Actor::system().new_id(now), Actor::system().new_id(now));
    }

    #[test]
    fn parts_of_a_request_key_do_not_run_together() {
        let key = |a, b| RequestKey::new(a, b, "d", Millis(7));
        assert_ne!(key("ab", "c"), key("a", "bc"));
    }

    #[test]
    fn audit_rows_name_the_actor() {
        assert_eq!(Actor::system().label(), "system");
        assert_eq!(Actor::device("abc").label(), "device:abc");
    }
}
