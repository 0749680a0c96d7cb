//! Places for event streams and long polls: a share of all connections, and of it a share of each token, so that neither
//! all of them together nor one token keeps a lock from being posted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::HttpConfig;

/// The places.
#[derive(Debug)]
pub(crate) struct Streams {
    all: Arc<Semaphore>,
    per_token: usize,
    tokens: Mutex<HashMap<String, usize>>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are taken.
    All,
    /// All that this token may have are taken.
    Token,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    streams: Arc<Streams>,
    token: String,
    _place: OwnedSemaphorePermit,
}

impl Streams {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self {
            all: Arc::new(Semaphore::new(config.max_event_streams)),
            per_token: config.max_event_streams_per_token,
            tokens: Mutex::default(),
        }
    }

    /// Takes a place for a token.
    pub(crate) fn take(self: &Arc<Self>, token: &str) -> Result<Seat, Full> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = tokens.get(token).copied().unwrap_or(0);
        if taken >= self.per_token {
            return Err(Full::Token);
        }
        let place = Arc::clone(&self.all).try_acquire_owned();
        let place = place.map_err(|_| Full::All)?;
        tokens.insert(token.to_owned(), taken + 1);
        drop(tokens);
        Ok(Seat {
            streams: Arc::clone(self),
            token: token.to_owned(),
            _place: place,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let tokens = &self.streams.tokens;
        let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = tokens.get_mut(&self.token) {
            *taken -= 1;
            if *taken == 0 {
                tokens.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_never_takes_the_places_of_the_others() {
        let streams = Arc::new(Streams::new(&HttpConfig {
            max_event_streams: 3,
            max_event_streams_per_token: 2,
            ..HttpConfig::default()
        }));
        let take = |token: &str| streams.take(token);
        let first = take("a").unwrap();
        let _second = take("a").unwrap();
        assert_eq!(take("a").unwrap_err(), Full::Token);
        let _third = take("b").unwrap();
        assert_eq!(take("c").unwrap_err(), Full::All);
        drop(first);
        let _again = take("a").unwrap();
        assert_eq!(streams.tokens.lock().unwrap().len(), 2);
    }
}
