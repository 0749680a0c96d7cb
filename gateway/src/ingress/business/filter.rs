//! Which filters a token may have: those that can select nothing but what it may see.

use super::{Sees, Subscriber};
use crate::{bus::Family, ingress::mqtt::topic};

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
    pub(super) fn add(&mut self, reader: &Subscriber, filter: String) -> Result<(), NotGranted> {
        check(reader, &filter)?;
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
    pub(super) fn restrict(&mut self, reader: &Subscriber) {
        self.filters.retain(|filter| check(reader, filter).is_ok());
    }
}

fn check(reader: &Subscriber, filter: &str) -> Result<(), NotGranted> {
    if !topic::valid_filter(filter) {
        return Err(NotGranted::Invalid);
    }
    let mut levels = filter.split('/');
    if levels.next() != Some("events") {
        return Err(NotGranted::NotYours);
    }
    let organization = levels.next();
    let reached = organization.map_or(reader.sees == Sees::All, |name| reader.sees.reaches(name));
    let allowed = match levels.next().and_then(Family::from_name) {
        Some(family) => reader.families.has(family),
        None => !reader.families.is_empty(),
    };
    if reached && allowed {
        Ok(())
    } else {
        Err(NotGranted::NotYours)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::bus::Families;

    fn reader(sees: Sees, families: Families) -> Subscriber {
        Subscriber {
            sees,
            families,
            name: String::new(),
        }
    }

    fn all() -> Subscriber {
        reader(Sees::All, Families::all())
    }

    #[test]
    fn wildcards_reach_no_further_than_the_token() {
        let own = Uuid::from_u128(1);
        let bound = reader(Sees::Organization(own), Families::all());
        for good in ["stamp", "+", "#", "alarm"] {
            assert_eq!(check(&bound, &format!("events/{own}/{good}")), Ok(()));
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
            let refused = check(&bound, foreign);
            assert_eq!(refused, Err(NotGranted::NotYours), "{foreign}");
        }
        for invalid in ["", "$share/g/events/#", "events/#/x", "events/a+"] {
            let refused = check(&bound, invalid);
            assert_eq!(refused, Err(NotGranted::Invalid), "{invalid}");
        }
        assert_eq!(check(&all(), "events/+/stamp"), Ok(()));
        assert_eq!(check(&all(), "events/#"), Ok(()));
        assert_eq!(check(&all(), "#"), Err(NotGranted::NotYours));
    }

    #[test]
    fn a_token_sees_the_families_it_has_the_right_to() {
        let own = Uuid::from_u128(1);
        let stamps = [Family::Stamp, Family::Alarm].into_iter().collect();
        let desk = reader(Sees::Organization(own), stamps);
        let topic = |family: &str| format!("events/{own}/{family}");
        assert_eq!(check(&desk, &topic("stamp")), Ok(()));
        for refused in ["presence", "command"] {
            let refused = check(&desk, &topic(refused));
            assert_eq!(refused, Err(NotGranted::NotYours));
        }
        assert_eq!(check(&desk, &topic("#")), Ok(()), "narrowed on delivery");
        assert!(desk.may_see(&topic("stamp")) && desk.may_see(&topic("alarm")));
        assert!(!desk.may_see(&topic("presence")) && !desk.may_see(&topic("other")));
        let foreign = format!("events/{}/stamp", Uuid::from_u128(2));
        assert!(!desk.may_see(&foreign));
        let nothing = reader(Sees::All, Families::default());
        assert_eq!(check(&nothing, "events/#"), Err(NotGranted::NotYours));
    }

    #[test]
    fn filters_are_bounded_and_follow_the_token() {
        let mut filters = Filters::default();
        for n in 0..MAX_FILTERS {
            assert_eq!(filters.add(&all(), format!("events/{n}")), Ok(()));
        }
        assert_eq!(filters.add(&all(), "events/0".to_owned()), Ok(()));
        assert_eq!(
            filters.add(&all(), "events/x".to_owned()),
            Err(NotGranted::TooMany)
        );
        assert!(filters.select("events/5") && !filters.select("events/x"));
        assert!(filters.remove("events/5") && !filters.remove("events/5"));
        let bound = Sees::Organization(Uuid::from_u128(1));
        filters.restrict(&reader(bound, Families::all()));
        assert!(!filters.select("events/1"));
    }
}
