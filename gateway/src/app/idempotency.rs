//! What is known of requests that carry an Idempotency-Key.
//!
//! A request is noted before its work and its answer after it. Between the two a crash leaves a note without an
//! answer: after a while the request may run again, and finds its own work by the ids it made (`Actor::new_id`).
//! Whoever runs it holds the key from the transaction that found it free, so of several tries one runs.

use sealgate_domain::{Millis, TokenId};
use serde::{Deserialize, Serialize};

use crate::store::{
    Lane, StoreError, Tx,
    idempotency::{self, Row},
};

use super::{App, AppError, AuthFailure};

/// An answer is kept this long.
pub const KEPT: i64 = 24 * Millis::HOUR;
/// A request without an answer for so long was cut off.
const ABANDONED: i64 = Millis::MINUTE;
/// Status of a note whose work may be done again.
const AGAIN: u16 = 0;

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

/// The right to run a request, until it is finished or forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// When the request was first seen, in any of its tries.
    pub first_seen: Millis,
    started: Millis,
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Do it.
    Fresh(Claim),
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
        let row = Row {
            token_id: request.token()?.0,
            key: request.key.clone(),
            route: request.route.clone(),
            body_hash: request.body_hash.to_vec(),
            status: None,
            response: None,
            created_at: now.0,
            started_at: now.0,
        };
        let begun = self.store.write(Lane::Normal, |tx| {
            let row = row.clone();
            async move { begin(&tx, row, now).await }
        });
        match begun.await {
            Ok(begun) => Ok(begun),
            // Another node was faster by a hair.
            Err(StoreError::Exists(_)) => Ok(Begun::InFlight),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the answer.
    ///
    /// # Errors
    /// The database.
    pub async fn finish_request(
        &self,
        request: &Request,
        claim: Claim,
        answer: &Stored,
    ) -> Result<(), AppError> {
        let value = serde_json::to_value(answer).expect("texts and numbers");
        self.note(request, claim, answer.status, Some(value)).await
    }

    /// Lets the request run again.
    ///
    /// # Errors
    /// The database.
    pub async fn forget_request(&self, request: &Request, claim: Claim) -> Result<(), AppError> {
        self.note(request, claim, AGAIN, None).await
    }

    async fn note(
        &self,
        request: &Request,
        claim: Claim,
        status: u16,
        value: Option<serde_json::Value>,
    ) -> Result<(), AppError> {
        let token = request.token()?;
        self.store
            .write(Lane::Normal, |tx| {
                let (key, value) = (request.key.clone(), value.clone());
                async move {
                    idempotency::finish(&tx, token, &key, claim.started, status, value).await
                }
            })
            .await?;
        Ok(())
    }
}

/// Finds what is known, and takes the key where the request may run.
async fn begin(tx: &Tx, row: Row, now: Millis) -> Result<Begun, StoreError> {
    let found = idempotency::find(tx, TokenId(row.token_id), &row.key).await?;
    let Some(known) = found else {
        idempotency::insert(tx, &row).await?;
        return Ok(Begun::Fresh(claim(&row)));
    };
    let row = match judge(&row, &known, now) {
        Known::Said(begun) => return Ok(begun),
        Known::Over => row,
        Known::Again => Row {
            created_at: known.created_at,
            ..row
        },
    };
    Ok(if idempotency::take(tx, &known, &row).await? {
        Begun::Fresh(claim(&row))
    } else {
        Begun::InFlight
    })
}

fn claim(row: &Row) -> Claim {
    Claim {
        first_seen: Millis(row.created_at),
        started: Millis(row.started_at),
    }
}

/// What a note means for a request.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// It need not run, or must not.
    Said(Begun),
    /// It may run once more.
    Again,
    /// The note's time is over: the request is a new one.
    Over,
}

fn judge(row: &Row, known: &Row, now: Millis) -> Known {
    let running = known.status.is_none() && now.0 - known.started_at < ABANDONED;
    if !running && now.0 - known.created_at >= KEPT {
        return Known::Over;
    }
    if known.route != row.route || known.body_hash != row.body_hash {
        return Known::Said(Begun::Mismatch);
    }
    if running {
        return Known::Said(Begun::InFlight);
    }
    let stored = known.response.clone().map(serde_json::from_value);
    match stored {
        Some(Ok(stored)) => Known::Said(Begun::Replay(stored)),
        _ => Known::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::{Actor, access::Scopes, token::NewToken},
        clock::TestClock,
        config::StoreConfig,
        providers::Providers,
        store::Store,
    };
    use std::{sync::Arc, time::Duration};

    fn row(body: u8, status: Option<u16>, created_at: i64, started_at: i64) -> Row {
        Row {
            token_id: uuid::Uuid::nil(),
            key: "k".into(),
            route: "POST /a".into(),
            body_hash: vec![body; 32],
            status: status.map(i32::from),
            response: None,
            created_at,
            started_at,
        }
    }

    #[test]
    fn a_request_runs_again_when_its_latest_try_was_cut_off_or_failed() {
        let mine = row(1, None, 0, 0);
        let tried = row(1, None, 5, 70_000);
        let at = |now| judge(&mine, &tried, Millis(now));
        assert_eq!(at(70_001), Known::Said(Begun::InFlight));
        assert_eq!(at(70_000 + ABANDONED), Known::Again);
        assert_eq!(at(5 + KEPT), Known::Over);
        let failed = row(1, Some(AGAIN), 5, 5);
        assert_eq!(judge(&mine, &failed, Millis(6)), Known::Again);
        let other = judge(&row(2, None, 0, 0), &tried, Millis(70_001));
        assert_eq!(other, Known::Said(Begun::Mismatch));
    }

    /// A database of its own, and a request of a token that exists.
    async fn world() -> (App, Arc<TestClock>, Request, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreConfig {
            url: format!("sqlite://{}", dir.path().join("a.db").display()),
            ..StoreConfig::default()
        };
        let store = Store::open(&store).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::new(TestClock::at(Millis(1_000)));
        let app = App::new(store, clock.clone(), Providers::memory());
        let new = NewToken {
            name: "desk".into(),
            scopes: Scopes::all(),
            organization: None,
            expires_at: None,
        };
        let (token, _) = app.create_token(&Actor::cli(), new).await.unwrap();
        let request = Request {
            token: token.id.to_string(),
            route: "POST /a".into(),
            key: "k".into(),
            body_hash: [1; 32],
        };
        (app, clock, request, dir)
    }

    fn fresh(begun: Begun) -> Claim {
        let Begun::Fresh(claim) = begun else {
            panic!("{begun:?}")
        };
        claim
    }

    #[tokio::test]
    async fn of_two_retries_after_a_cut_one_runs_and_only_its_answer_is_kept() {
        let (app, clock, request, _dir) = world().await;
        let first = fresh(app.begin_request(&request).await.unwrap());
        clock.advance(Duration::from_secs(61));
        let (a, b) = tokio::join!(app.begin_request(&request), app.begin_request(&request));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(a == Begun::InFlight || b == Begun::InFlight, "{a:?} {b:?}");
        let second = fresh(if a == Begun::InFlight { b } else { a });
        assert_eq!(second.first_seen, first.first_seen);
        let answer = |body: &str| Stored {
            status: 201,
            headers: Vec::new(),
            body: body.into(),
        };
        app.finish_request(&request, second, &answer("second"))
            .await
            .unwrap();
        app.finish_request(&request, first, &answer("first"))
            .await
            .unwrap();
        assert_eq!(
            app.begin_request(&request).await.unwrap(),
            Begun::Replay(answer("second"))
        );
    }
}
