//! Which filters a token may have: those that can select nothing but what it may see.

use super::Sees;
use crate::ingress::mqtt::topic;

/// Filters of one subscriber.
const MAX_FILTERS: usize = 32;

/// Why a filter is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotGranted {
    Invalid,
    NotYours,
    TooMany,
}

/// A subscriber's filters.
#[derive(Debug, Default)]
pub(super) struct Filters {
    filters: Vec<String>,
}

impl Filters {
    pub(super) fn add(&mut self, sees: Sees, filter: String) -> Result<(), NotGranted> {
        check(sees, &filter)?;
        if self.filters.contains(&filter) {
            return Ok(());
        }
        if self.filters.len() >= MAX_FILTERS {
            return Err(NotGranted::TooMany);
        }
        self.filters.push(filter);
        Ok(())
    }

    /// Says whether it was there.
    pub(super) fn remove(&mut self, filter: &str) -> bool {
        let before = self.filters.len();
        self.filters.retain(|other| other != filter);
        self.filters.len() < before
    }

    /// Does any filter select this topic?
    pub(super) fn select(&self, topic: &str) -> bool {
        self.filters
            .iter()
            .any(|filter| topic::matches(filter, topic))
    }

    /// Drops what another view of the token no longer allows.
    pub(super) fn restrict(&mut self, sees: Sees) {
        self.filters.retain(|filter| check(sees, filter).is_ok());
    }
}

fn check(sees: Sees, filter: &str) -> Result<(), NotGranted> {
    if !topic::valid_filter(filter) {
        return Err(NotGranted::Invalid);
    }
    let mut levels = filter.split('/');
    if levels.next() != Some("events") {
        return Err(NotGranted::NotYours);
    }
    match (sees, levels.next()) {
        (Sees::All, _) => Ok(()),
        (Sees::Organization(own), Some(level)) if *level == own.hyphenated().to_string() => Ok(()),
        _ => Err(NotGranted::NotYours),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn wildcards_reach_no_further_than_the_token() {
        let own = Uuid::from_u128(1);
        let sees = Sees::Organization(own);
        for good in ["stamp", "+", "#", "alarm"] {
            assert_eq!(check(sees, &format!("events/{own}/{good}")), Ok(()));
        }
        let other = format!("events/{}/stamp", Uuid::from_u128(2));
        for foreign in [
            "#",
            "+/+/+",
            "events",
            "events/#",
            "events/+/stamp",
            "canary",
            &other,
        ] {
            assert_eq!(check(sees, foreign), Err(NotGranted::NotYours), "{foreign}");
        }
        for invalid in ["", "$share/g/events/#", "events/#/x", "events/a+"] {
            assert_eq!(check(sees, invalid), Err(NotGranted::Invalid), "{invalid}");
        }
        assert_eq!(check(Sees::All, "events/+/stamp"), Ok(()));
        assert_eq!(check(Sees::All, "events/#"), Ok(()));
        assert_eq!(check(Sees::All, "#"), Err(NotGranted::NotYours));
    }

    #[test]
    fn filters_are_bounded_and_follow_the_token() {
        let mut filters = Filters::default();
        for n in 0..MAX_FILTERS {
            assert_eq!(filters.add(Sees::All, format!("events/{n}")), Ok(()));
        }
        assert_eq!(filters.add(Sees::All, "events/0".to_owned()), Ok(()));
        assert_eq!(
            filters.add(Sees::All, "events/x".to_owned()),
            Err(NotGranted::TooMany)
        );
        assert!(filters.select("events/5") && !filters.select("events/x"));
        assert!(filters.remove("events/5") && !filters.remove("events/5"));
        filters.restrict(Sees::Organization(Uuid::from_u128(1)));
        assert!(!filters.select("events/1"));
    }
}
