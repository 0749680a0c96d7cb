//! What is known of requests that carry an Idempotency-Key.
//!
//! A request is noted before its work and its answer after it. Between the two a crash leaves a note without an
//! answer: after a while the request may run again, and finds its own work by the ids it made (`Actor::new_id`).

use sealgate_domain::{Millis, TokenId};
use serde::{Deserialize, Serialize};

use crate::store::{Lane, StoreError, idempotency};

use super::{App, AppError, AuthFailure};

/// An answer is kept this long.
pub const KEPT: i64 = 24 * Millis::HOUR;
/// A request without an answer for so long was cut off.
const ABANDONED: i64 = Millis::MINUTE;
/// Status of a note whose work may be done again.
const AGAIN: i32 = 0;

/// A request with a key.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose.
    pub token: String,
    /// Method and address.
    pub route: String,
    /// The key.
    pub key: String,
    /// Of everything else that matters.
    pub body_hash: [u8; 32],
}

impl Request {
    fn token(&self) -> Result<TokenId, AppError> {
        let id = self.token.parse();
        id.map(TokenId)
            .map_err(|_| AppError::Unauthenticated(AuthFailure::Unknown))
    }
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Do it; first seen at that time.
    Fresh(Millis),
    /// It was done: this is the answer.
    Replay(Stored),
    /// It is being done.
    InFlight,
    /// The key was used for something else.
    Mismatch,
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Status code.
    pub status: u16,
    /// Headers worth keeping.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl App {
    /// Notes a request, or finds what is known of it.
    ///
    /// # Errors
    /// The database.
    pub async fn begin_request(&self, request: &Request) -> Result<Begun, AppError> {
        let now = self.clock.now();
        let row = idempotency::Row {
            token_id: request.token()?.0,
            key: request.key.clone(),
            route: request.route.clone(),
            body_hash: request.body_hash.to_vec(),
            status: None,
            response: None,
            created_at: now.0,
        };
        let known = self.store.write(Lane::Normal, |tx| {
            let row = row.clone();
            async move {
                let found = idempotency::find(&tx, TokenId(row.token_id), &row.key).await?;
                match found {
                    Some(known) if now.0 - known.created_at < KEPT => Ok(Some(known)),
                    Some(_) => idempotency::replace(&tx, &row).await.map(|()| None),
                    None => idempotency::insert(&tx, &row).await.map(|()| None),
                }
            }
        });
        match known.await {
            Ok(None) => Ok(Begun::Fresh(now)),
            Ok(Some(known)) => Ok(judge(request, known, now)),
            // Another node was faster by a hair.
            Err(StoreError::Exists(_)) => Ok(Begun::InFlight),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the answer.
    ///
    /// # Errors
    /// The database.
    pub async fn finish_request(&self, request: &Request, answer: &Stored) -> Result<(), AppError> {
        let value = serde_json::to_value(answer).expect("texts and numbers");
        self.note(request, answer.status, Some(value)).await
    }

    /// Lets the request run again.
    ///
    /// # Errors
    /// The database.
    pub async fn forget_request(&self, request: &Request) -> Result<(), AppError> {
        self.note(request, 0, None).await
    }

    async fn note(
        &self,
        request: &Request,
        status: u16,
        value: Option<serde_json::Value>,
    ) -> Result<(), AppError> {
        let token = request.token()?;
        self.store
            .write(Lane::Normal, |tx| {
                let (key, value) = (request.key.clone(), value.clone());
                async move { idempotency::finish(&tx, token, &key, status, value).await }
            })
            .await?;
        Ok(())
    }
}

fn judge(request: &Request, known: idempotency::Row, now: Millis) -> Begun {
    if known.route != request.route || known.body_hash != request.body_hash {
        return Begun::Mismatch;
    }
    let again = Begun::Fresh(Millis(known.created_at));
    match (known.status, known.response) {
        (Some(AGAIN), _) => again,
        (Some(_), Some(value)) => serde_json::from_value(value).map_or(again, Begun::Replay),
        _ if now.0 - known.created_at >= ABANDONED => again,
        _ => Begun::InFlight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(status: Option<i32>, created_at: i64) -> idempotency::Row {
        idempotency::Row {
            token_id: uuid::Uuid::nil(),
            key: "k".into(),
            route: "POST /a".into(),
            body_hash: vec![1; 32],
            status,
            response: None,
            created_at,
        }
    }

    fn request(body: u8) -> Request {
        Request {
            token: uuid::Uuid::nil().to_string(),
            route: "POST /a".into(),
            key: "k".into(),
            body_hash: [body; 32],
        }
    }

    #[test]
    fn a_request_that_was_cut_off_runs_again_as_of_when_it_was_first_seen() {
        let at = |now| judge(&request(1), known(None, 5), Millis(now));
        assert_eq!(at(6), Begun::InFlight);
        assert_eq!(at(5 + ABANDONED), Begun::Fresh(Millis(5)));
        let failed = judge(&request(1), known(Some(AGAIN), 5), Millis(6));
        assert_eq!(failed, Begun::Fresh(Millis(5)));
        assert_eq!(
            judge(&request(2), known(None, 5), Millis(6)),
            Begun::Mismatch
        );
    }
}
