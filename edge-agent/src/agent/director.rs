//! Which seal gets a link, and when: without I/O, with times as numbers.
//!
//! Constraints and invariants:
//! - Only assigned seals with a ticket are linked. Over BLE at most [`MAX_BLE`] at a time, one being dialled.
//! - A seal is linked when it says it needs one, or when the gateway wants it: urgent wishes (a lock) first, then leases,
//!   then other wishes, then records, the longest waiting first.
//! - Without the gateway a link helps only records. A seal whose records are all in the queue already is left alone until
//!   it says something new: it frees nothing before the gateway's receipt, so it goes on asking.
//! - Failures put a seal off, longer each time; a refusal for a quarter of an hour or until a new ticket.

use std::collections::{BTreeMap, HashMap};

use sealgate_codec::{
    DeviceId, ErrorCode,
    edge::{Assigned, Presence, Seen, Want, WantReason, Ways},
    link::{AdvertState, CloseCode, CloseReason, Millis, advert_id},
    record::LinkKind,
};

use crate::{
    port::{Address, Heard},
    seal::Notice,
};

/// BLE links at a time.
pub const MAX_BLE: usize = 6;
/// A seal not heard of for this long is gone.
const GONE: Millis = 300_000;
/// Shortest and longest wait before a seal that failed is tried again.
const AGAIN: (Millis, Millis) = (1_000, 60_000);
/// Wait after a refusal.
const REFUSED: Millis = 900_000;
/// A link that changed nothing is repeated after this, doubling.
const FRUITLESS: (Millis, Millis) = (10_000, 600_000);
/// The queue was full: records may find room after this.
const NO_ROOM: Millis = 60_000;
/// A battery or signal that moved by less is not worth a report.
const NOTABLE: u8 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    None,
    Dialling,
    /// Handed to the actor; open or not yet.
    Up {
        open: bool,
    },
}

#[derive(Debug)]
struct Place {
    seal: Assigned,
    address: Option<Address>,
    heard: Option<Millis>,
    rssi: Option<i8>,
    state: AdvertState,
    pending: u16,
    battery: Option<u8>,
    link: Link,
    way: LinkKind,
    refused: bool,
    want: Option<WantReason>,
    /// Not linked before this, but for urgent wishes.
    not_before: Millis,
    failures: u32,
    /// State and pending records when the last link began, and links since then that changed nothing.
    before: (AdvertState, u16),
    fruitless: u32,
    reported: Option<Seen>,
}

impl Place {
    fn new(seal: Assigned) -> Self {
        Self {
            seal,
            address: None,
            heard: None,
            rssi: None,
            state: AdvertState(0),
            pending: 0,
            battery: None,
            link: Link::None,
            way: LinkKind::Ble,
            refused: false,
            want: None,
            not_before: 0,
            failures: 0,
            before: (AdvertState(0), 0),
            fruitless: 0,
            reported: None,
        }
    }

    fn is_near(&self, now: Millis) -> bool {
        match self.way {
            // A line is there or not; it says nothing by itself.
            LinkKind::Uart => self.address.is_some(),
            _ => self.heard.is_some_and(|at| now.saturating_sub(at) < GONE),
        }
    }

    /// How urgently it is to be linked, the lower the sooner.
    fn rank(&self, connected: bool) -> Option<u8> {
        if self.way == LinkKind::Uart {
            return Some(1);
        }
        let records = self.state.has(AdvertState::RECORDS);
        match self.want {
            Some(WantReason::Urgent) if connected => return Some(0),
            Some(WantReason::Lease) if connected => return Some(1),
            _ => {}
        }
        if connected && self.state.has(AdvertState::NEEDS_LEASE) {
            return Some(1);
        }
        if self.want.is_some() && connected {
            return Some(2);
        }
        records.then_some(3)
    }

    fn seen(&self, now: Millis) -> Seen {
        let presence = match self.link {
            Link::Up { open: true } => Presence::Linked,
            _ if self.refused => Presence::Refused,
            _ if self.is_near(now) => Presence::Heard,
            _ => Presence::Gone,
        };
        let age = self.heard.map_or(0, |at| now.saturating_sub(at) / 1000);
        Seen {
            dev: self.seal.dev,
            presence,
            way: self.way,
            rssi: self.rssi,
            state: self.state,
            pending: self.pending,
            battery: self.battery,
            age: u32::try_from(age).unwrap_or(u32::MAX),
        }
    }
}

/// Whether a report says something the gateway does not know. Signal strength alone moves all the time.
fn is_news(old: &Seen, new: &Seen) -> bool {
    let battery = match (old.battery, new.battery) {
        (Some(a), Some(b)) => a.abs_diff(b) >= NOTABLE,
        (a, b) => a != b,
    };
    (old.presence, old.way, old.state, old.pending)
        != (new.presence, new.way, new.state, new.pending)
        || battery
}

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// To which seal.
    pub dev: DeviceId,
    /// Where.
    pub address: Address,
    /// Its keys and ticket.
    pub seal: Assigned,
}

/// Which seal gets a link.
#[derive(Debug, Default)]
pub struct Director {
    places: BTreeMap<DeviceId, Place>,
    /// Ids of the day -> seals, for this day.
    ids: HashMap<[u8; 6], DeviceId>,
    day: u32,
    /// Lines with a seal named for them in the settings, and without.
    lines: BTreeMap<Address, (bool, Option<DeviceId>)>,
    /// No room for records before this.
    full_until: Millis,
    /// Links that seals refused.
    pub refused: u32,
}

impl Director {
    /// Takes a full set of seals; returns those that are not the box's any more.
    pub fn assign(&mut self, seals: Vec<Assigned>) -> Vec<DeviceId> {
        let mut old = std::mem::take(&mut self.places);
        for seal in seals {
            let mut place = old
                .remove(&seal.dev)
                .unwrap_or_else(|| Place::new(seal.clone()));
            if place.seal.ticket != seal.ticket {
                place.refused = false;
                place.not_before = 0;
            }
            place.seal = seal;
            self.places.insert(place.seal.dev, place);
        }
        self.ids.clear();
        self.match_lines();
        old.into_keys().collect()
    }

    /// New tickets; those for seals that are not the box's are passed over.
    pub fn ticket(&mut self, dev: DeviceId, ticket: Vec<u8>) -> bool {
        let Some(place) = self.places.get_mut(&dev) else {
            return false;
        };
        place.seal.ticket = Some(ticket);
        if std::mem::take(&mut place.refused) {
            place.not_before = 0;
            place.failures = 0;
        }
        true
    }

    /// The present set.
    pub fn seals(&self) -> impl Iterator<Item = &Assigned> {
        self.places.values().map(|place| &place.seal)
    }

    /// Whose advertisement it is; the day is unix seconds / 86,400.
    fn whose(&mut self, id: [u8; 6], day: u32) -> Option<DeviceId> {
        if self.day != day || self.ids.is_empty() {
            self.day = day;
            self.ids.clear();
            for place in self.places.values() {
                // As [`sealgate_codec::link::Advert::is_of`] has it.
                for day in [0, day.wrapping_sub(1), day.wrapping_add(1), day] {
                    let id = advert_id(&place.seal.advert_key, day);
                    self.ids.insert(id, place.seal.dev);
                }
            }
        }
        self.ids.get(&id).copied()
    }

    /// An advertisement; whose it is, if it is of one of the box's seals.
    pub fn heard(&mut self, heard: &Heard, day: u32, now: Millis) -> Option<DeviceId> {
        let dev = self.whose(heard.advert.id, day)?;
        let place = self.places.get_mut(&dev)?;
        if !place.seal.ways.has(Ways::BLE) {
            return None;
        }
        if place.way == LinkKind::Ble || place.link == Link::None {
            place.way = LinkKind::Ble;
            place.address = Some(heard.address.clone());
        }
        let says = (heard.advert.state, heard.advert.pending);
        if says != (place.state, place.pending) && place.failures == 0 && !place.refused {
            place.not_before = place.not_before.min(now + AGAIN.0);
        }
        place.heard = Some(now);
        place.rssi = heard.rssi;
        place.battery = Some(heard.advert.battery);
        place.state = heard.advert.state;
        place.pending = heard.advert.pending;
        Some(dev)
    }

    /// A line appears or goes. `named`: the seal that the settings name for it.
    pub fn line(&mut self, address: Address, present: bool, named: Option<DeviceId>) {
        self.lines.insert(address, (present, named));
        self.match_lines();
    }

    /// A line without a name belongs to the only seal that can be on one.
    fn match_lines(&mut self) {
        let on_lines = |place: &&mut Place| place.seal.ways.has(Ways::UART);
        let mut candidates: Vec<&mut Place> = self.places.values_mut().filter(on_lines).collect();
        let only = match candidates.as_slice() {
            [only] => Some(only.seal.dev),
            _ => None,
        };
        for (address, (present, named)) in &self.lines {
            let Some(dev) = named.or(only) else { continue };
            let Some(place) = candidates.iter_mut().find(|p| p.seal.dev == dev) else {
                continue;
            };
            if *present {
                place.way = LinkKind::Uart;
                place.address = Some(address.clone());
            } else if place.address.as_ref() == Some(address) {
                place.address = None;
            }
        }
    }

    /// The gateway wants links; an unknown seal is passed over.
    pub fn want(&mut self, wants: &[Want]) -> bool {
        let mut all = true;
        for want in wants {
            match self.places.get_mut(&want.dev) {
                Some(place) => {
                    place.want = match place.want {
                        Some(WantReason::Urgent) => place.want,
                        _ => Some(want.reason),
                    };
                }
                None => all = false,
            }
        }
        all
    }

    /// The next link to make. It counts as being dialled from here on.
    pub fn next(&mut self, connected: bool, now: Millis) -> Option<Dial> {
        let dialling = |place: &&Place| place.link == Link::Dialling && place.way == LinkKind::Ble;
        let ble = |place: &&Place| place.link != Link::None && place.way == LinkKind::Ble;
        let radio = self.places.values().filter(dialling).count() == 0
            && self.places.values().filter(ble).count() < MAX_BLE;
        let full = now < self.full_until;
        let best = self
            .places
            .values_mut()
            .filter(|place| place.link == Link::None && place.is_near(now))
            .filter(|place| place.seal.ticket.is_some() && place.address.is_some())
            .filter(|place| radio || place.way == LinkKind::Uart)
            .filter_map(|place| {
                let rank = place.rank(connected)?;
                let urgent = rank == 0 && !place.refused;
                let put_off = now < place.not_before && !(urgent && place.failures < 3);
                let held = full && rank == 3;
                (!(put_off || held)).then_some((rank, place.not_before, place))
            })
            .min_by_key(|(rank, since, _)| (*rank, *since))?;
        let place = best.2;
        place.link = Link::Dialling;
        let asked = (place.state, place.pending);
        place.fruitless = if place.before == asked {
            place.fruitless.saturating_add(1)
        } else {
            0
        };
        place.before = asked;
        Some(Dial {
            dev: place.seal.dev,
            address: place.address.clone().expect("filtered above"),
            seal: place.seal.clone(),
        })
    }

    /// Dialling is over. `random` is from 0 to 1.
    pub fn dialled(&mut self, dev: DeviceId, connected: bool, now: Millis, random: f64) {
        let Some(place) = self.places.get_mut(&dev) else {
            return;
        };
        if connected {
            place.link = Link::Up { open: false };
        } else {
            place.link = Link::None;
            fail(place, now, random);
        }
    }

    /// What the seal's actor says. `random` is from 0 to 1.
    pub fn notice(&mut self, dev: DeviceId, notice: Notice, now: Millis, random: f64) {
        if notice == Notice::NoRoom {
            self.full_until = now + NO_ROOM;
        }
        let Some(place) = self.places.get_mut(&dev) else {
            return;
        };
        match notice {
            Notice::Opened { .. } => {
                place.link = Link::Up { open: true };
                place.refused = false;
                place.failures = 0;
                place.want = None;
                place.heard = Some(now);
            }
            Notice::NotBegun(_) => {
                place.link = Link::None;
                fail(place, now, random);
            }
            Notice::Closed(reason) => {
                let was_open = place.link == Link::Up { open: true };
                place.link = Link::None;
                match reason {
                    CloseReason::Refused(code) => {
                        self.refused = self.refused.saturating_add(1);
                        place.refused = code == ErrorCode::NotUser || code == ErrorCode::KeyScope;
                        place.not_before = now + REFUSED;
                        // Busy with a user, or a ticket that ran out: not a matter of rights.
                        if !place.refused {
                            fail(place, now, random);
                        }
                    }
                    CloseReason::Peer(CloseCode::Yield) => place.not_before = now + AGAIN.1,
                    _ if was_open => {
                        let wait = FRUITLESS.0 << place.fruitless.min(8);
                        place.not_before = match (place.way, place.fruitless) {
                            (LinkKind::Uart, _) | (_, 0) => now + AGAIN.0,
                            _ => now + wait.min(FRUITLESS.1),
                        };
                    }
                    _ => fail(place, now, random),
                }
            }
            Notice::NoRoom | Notice::Progress | Notice::Refused(_) => {}
        }
    }

    /// The connection to the gateway is there again: whatever was put off for nothing changing may be tried.
    pub fn connected(&mut self) {
        for place in self.places.values_mut() {
            place.before = (AdvertState(0), 0);
            place.fruitless = 0;
            place.reported = None;
            if !place.refused && place.failures == 0 {
                place.not_before = 0;
            }
        }
    }

    /// What the gateway does not know yet, at most so many; it counts as reported.
    pub fn news(&mut self, most: usize, now: Millis) -> Vec<Seen> {
        let mut news = Vec::new();
        for place in self.places.values_mut() {
            let seen = place.seen(now);
            let known = place
                .reported
                .as_ref()
                .is_some_and(|old| !is_news(old, &seen));
            if !known && news.len() < most {
                place.reported = Some(seen);
                news.push(seen);
            }
        }
        news
    }

    /// Everything that is known, for people.
    #[must_use]
    pub fn all(&self, now: Millis) -> Vec<(Seen, Option<Address>)> {
        let seen = |place: &Place| (place.seen(now), place.address.clone());
        self.places.values().map(seen).collect()
    }

    /// Links that are open.
    #[must_use]
    pub fn linked(&self) -> usize {
        let open = |place: &&Place| place.link == Link::Up { open: true };
        self.places.values().filter(open).count()
    }

    /// When [`Director::next`] may have something that it has not now.
    #[must_use]
    pub fn deadline(&self, connected: bool, now: Millis) -> Option<Millis> {
        self.places
            .values()
            .filter(|place| place.link == Link::None && place.is_near(now))
            .filter(|place| place.rank(connected).is_some() && place.not_before > now)
            .map(|place| place.not_before)
            .chain((self.full_until > now).then_some(self.full_until))
            .min()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "at most a minute of milliseconds, times a number from 0 to 1"
)]
fn fail(place: &mut Place, now: Millis, random: f64) {
    let wait = (AGAIN.0 << place.failures.min(8)).min(AGAIN.1);
    place.failures = place.failures.saturating_add(1);
    let jitter = (wait as f64 * random.clamp(0.0, 1.0) / 2.0) as Millis;
    place.not_before = now + wait / 2 + jitter;
}

#[cfg(test)]
mod tests {
    use sealgate_codec::link::Advert;

    use super::*;

    const DAY: u32 = 20_000;

    fn dev(n: u8) -> DeviceId {
        DeviceId::new([n; 8])
    }

    fn assigned(n: u8, ways: u8) -> Assigned {
        Assigned {
            dev: dev(n),
            key: [n; 32],
            advert_key: [n; 32],
            ways: Ways(ways),
            address: None,
            ticket: Some(vec![n]),
        }
    }

    fn director(seals: u8) -> Director {
        let mut director = Director::default();
        director.assign((1..=seals).map(|n| assigned(n, Ways::BLE)).collect());
        director
    }

    fn hear(
        director: &mut Director,
        n: u8,
        state: u8,
        pending: u16,
        now: Millis,
    ) -> Option<DeviceId> {
        let advert = Advert {
            id: advert_id(&[n; 32], DAY),
            state: AdvertState(state),
            pending,
            battery: 80,
        };
        let heard = Heard {
            address: Address::Ble([n; 6]),
            advert,
            rssi: Some(-60),
        };
        director.heard(&heard, DAY, now)
    }

    fn want(n: u8, reason: WantReason) -> Want {
        Want {
            dev: dev(n),
            reason,
        }
    }

    /// Dials, opens and closes a link in order.
    fn link(director: &mut Director, n: u8, now: Millis) {
        director.dialled(dev(n), true, now, 0.0);
        director.notice(dev(n), Notice::Opened { restricted: false }, now, 0.0);
        let done = CloseReason::Local(CloseCode::Done);
        director.notice(dev(n), Notice::Closed(done), now, 0.0);
    }

    const RECORDS: u8 = AdvertState::RECORDS;
    const LEASE: u8 = AdvertState::NEEDS_LEASE;

    #[test]
    fn locks_come_before_leases_before_commands_before_records() {
        let mut director = director(5);
        for (n, state) in [(1, RECORDS), (2, 0), (3, LEASE), (4, 0), (5, 0)] {
            assert_eq!(hear(&mut director, n, state, 1, 0), Some(dev(n)));
        }
        let wants = [want(2, WantReason::Command), want(4, WantReason::Urgent)];
        assert!(director.want(&wants));
        assert!(
            director.want(&[want(4, WantReason::Log)]),
            "does not lessen it"
        );
        let mut order = Vec::new();
        while let Some(dial) = director.next(true, 1) {
            assert_eq!(director.next(true, 1), None, "one at a time");
            order.push(dial.dev);
            link(&mut director, dial.dev.as_bytes()[0], 1);
        }
        assert_eq!(order, [dev(4), dev(3), dev(2), dev(1)]);
    }

    #[test]
    fn six_links_over_ble_and_no_more() {
        let mut director = director(9);
        for n in 1..=9 {
            hear(&mut director, n, LEASE, 0, 0);
        }
        let mut open = 0;
        while let Some(dial) = director.next(true, 1) {
            director.dialled(dial.dev, true, 1, 0.0);
            director.notice(dial.dev, Notice::Opened { restricted: false }, 1, 0.0);
            open += 1;
        }
        assert_eq!((open, director.linked()), (MAX_BLE, MAX_BLE));
        let over = Notice::Closed(CloseReason::Silent);
        director.notice(dev(1), over, 2, 0.0);
        assert!(director.next(true, 2).is_some());
    }

    #[test]
    fn without_the_gateway_only_records_and_only_new_ones() {
        let mut director = director(2);
        hear(&mut director, 1, RECORDS, 3, 0);
        hear(&mut director, 2, LEASE, 0, 0);
        assert_eq!(director.next(false, 1).unwrap().dev, dev(1));
        link(&mut director, 1, 1);
        assert_eq!(director.next(false, 2), None);
        // It goes on asking: it frees nothing before a receipt. Each time it waits longer.
        let mut now = 2;
        let mut times = Vec::new();
        for _ in 0..9 {
            now = director.deadline(false, now).unwrap();
            times.push(now);
            hear(&mut director, 1, RECORDS, 3, now);
            assert_eq!(director.next(false, now).unwrap().dev, dev(1));
            link(&mut director, 1, now);
        }
        let waits: Vec<Millis> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits.is_sorted() && waits[0] >= 20_000, "{waits:?}");
        assert_eq!(waits.last(), Some(&600_000));
        // Something new is worth a link at once.
        hear(&mut director, 1, RECORDS, 4, now + 1);
        assert!(director.next(false, now + 1_001).is_some());
    }

    #[test]
    fn the_gateway_s_return_ends_the_waiting() {
        let mut director = director(1);
        hear(&mut director, 1, RECORDS, 3, 0);
        director.next(false, 0).unwrap();
        link(&mut director, 1, 0);
        director.next(false, 1_000).unwrap();
        link(&mut director, 1, 1_000);
        assert_eq!(director.next(true, 2_000), None);
        director.connected();
        assert!(director.next(true, 2_000).is_some());
    }

    #[test]
    fn a_seal_that_refuses_is_left_alone_until_a_new_ticket() {
        let mut director = director(1);
        hear(&mut director, 1, LEASE, 0, 0);
        let dial = director.next(true, 0).unwrap();
        director.dialled(dial.dev, true, 0, 0.0);
        let refused = Notice::Closed(CloseReason::Refused(ErrorCode::NotUser));
        director.notice(dev(1), refused, 0, 0.0);
        assert_eq!(director.refused, 1);
        assert_eq!(director.news(9, 0)[0].presence, Presence::Refused);
        director.want(&[want(1, WantReason::Urgent)]);
        hear(&mut director, 1, LEASE, 0, 60_000);
        assert_eq!(director.next(true, 60_000), None);
        assert!(director.ticket(dev(1), vec![9]));
        assert_eq!(
            director.next(true, 60_000).unwrap().seal.ticket,
            Some(vec![9])
        );
        assert!(!director.ticket(dev(7), vec![9]), "not the box's");
    }

    #[test]
    fn failures_put_a_seal_off_longer_each_time() {
        let mut director = director(1);
        let mut now = 0;
        let mut last = 0;
        for _ in 0..10 {
            hear(&mut director, 1, LEASE, 0, now);
            let dial = director.next(true, now).unwrap();
            director.dialled(dial.dev, false, now, 1.0);
            assert_eq!(director.next(true, now), None);
            let wait = director.deadline(true, now).unwrap() - now;
            assert!(wait >= last);
            (last, now) = (wait, now + wait);
        }
        assert_eq!(last, 60_000);
        now += GONE;
        assert_eq!(director.next(true, now), None, "it is not heard any more");
    }

    #[test]
    fn a_full_queue_leaves_records_where_they_are_and_takes_the_rest() {
        let mut director = director(2);
        director.notice(dev(1), Notice::NoRoom, 0, 0.0);
        hear(&mut director, 1, RECORDS, 1, 0);
        assert_eq!(director.next(true, 1), None);
        hear(&mut director, 2, LEASE, 0, 1);
        assert_eq!(director.next(true, 1).unwrap().dev, dev(2));
        link(&mut director, 2, 1);
        hear(&mut director, 2, 0, 0, 2);
        assert_eq!(director.next(true, NO_ROOM).unwrap().dev, dev(1));
    }

    #[test]
    fn strangers_and_seals_of_other_days_are_told_apart() {
        let mut director = director(2);
        assert_eq!(hear(&mut director, 9, RECORDS, 1, 0), None);
        for day in [DAY - 1, DAY, DAY + 1, 0] {
            let id = advert_id(&[2; 32], day);
            assert_eq!(director.whose(id, DAY), Some(dev(2)), "day {day}");
        }
        let old = advert_id(&[2; 32], DAY - 2);
        assert_eq!(director.whose(old, DAY), None);
        assert_eq!(director.whose(old, DAY - 2), Some(dev(2)));
    }

    #[test]
    fn only_what_changed_is_news() {
        let mut director = director(2);
        assert_eq!(director.news(9, 0).len(), 2, "all of them at first");
        assert!(director.news(9, 0).is_empty());
        hear(&mut director, 1, RECORDS, 1, 0);
        assert_eq!(director.news(9, 0)[0].presence, Presence::Heard);
        hear(&mut director, 1, RECORDS, 1, 5_000);
        assert!(director.news(9, 5_000).is_empty());
        hear(&mut director, 1, RECORDS, 2, 5_000);
        assert_eq!(director.news(9, 5_000)[0].pending, 2);
        assert_eq!(director.news(9, GONE + 5_000)[0].presence, Presence::Gone);
        director.connected();
        assert_eq!(director.news(1, GONE + 5_000).len(), 1, "no more than fit");
        assert_eq!(director.news(9, GONE + 5_000).len(), 1);
    }

    #[test]
    fn a_line_belongs_to_the_seal_named_for_it_or_to_the_only_one() {
        let line = |path: &str| Address::Line(path.into());
        let mut director = Director::default();
        director.assign(vec![assigned(1, Ways::UART), assigned(2, Ways::BLE)]);
        director.line(line("a"), true, None);
        let dial = director.next(false, 0).unwrap();
        assert_eq!((dial.dev, dial.address), (dev(1), line("a")));
        director.assign(vec![assigned(1, Ways::UART), assigned(3, Ways::UART)]);
        director.line(line("b"), true, None);
        assert_eq!(director.next(false, 0), None, "whose it is nobody knows");
        director.line(line("b"), true, Some(dev(3)));
        assert_eq!(director.next(false, 0).unwrap().dev, dev(3));
        director.dialled(dev(3), false, 0, 0.0);
        director.line(line("b"), false, Some(dev(3)));
        assert_eq!(director.next(false, 60_000), None);
    }

    #[test]
    fn what_is_assigned_no_more_is_told() {
        let mut director = director(3);
        let gone = director.assign(vec![assigned(2, Ways::BLE)]);
        assert_eq!(gone, [dev(1), dev(3)]);
        assert_eq!(hear(&mut director, 1, RECORDS, 1, 0), None);
    }
}
