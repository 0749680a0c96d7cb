//! How many sessions each token has: nobody takes the places of all others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The sessions of every token that has some.
#[derive(Debug)]
pub(super) struct Seats {
    taken: Mutex<HashMap<String, usize>>,
    most: usize,
}

impl Seats {
    /// At most `most` for each.
    pub(super) fn new(most: usize) -> Self {
        Self {
            taken: Mutex::default(),
            most: most.max(1),
        }
    }

    /// One more for that name; none when it has as many as it may.
    pub(super) fn take(self: &Arc<Self>, name: &str) -> Option<Seat> {
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(name.to_owned()).or_insert(0);
        if *taken >= self.most {
            return None;
        }
        *taken += 1;
        Some(Seat {
            seats: Arc::clone(self),
            name: name.to_owned(),
        })
    }
}

/// A session's place, until dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    name: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let all = &self.seats.taken;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = all.get_mut(&self.name) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_so_many_sessions_and_gets_another_when_one_ends() {
        let seats = Arc::new(Seats::new(2));
        let first = seats.take("token:a").unwrap();
        let _second = seats.take("token:a").unwrap();
        assert!(seats.take("token:a").is_none());
        let other = seats.take("token:b");
        assert!(other.is_some(), "another token is not concerned");
        drop(first);
        assert!(seats.take("token:a").is_some());
    }

    #[test]
    fn a_token_without_sessions_is_forgotten() {
        let seats = Arc::new(Seats::new(2));
        drop(seats.take("token:a"));
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
