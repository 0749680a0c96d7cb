//! Every list of the HTTP interface, with every filter it documents, and a place to begin at the middle and near the
//! end of each.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::plan::{Plan, SPAN, device_id, member_id, organization_id, text, uuid};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A token that may see everything.
    Admin,
    /// A token bound to the great organization.
    Great,
    /// A token bound to an ordinary organization.
    Small,
}

/// What a list is continued by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// Time and position of a stamp.
    Time,
    /// Stamps of one device: time and position of one of its own.
    Log(u32),
    /// Epoch and number.
    Seq(u32),
    /// A number that counts up to this.
    Number(u64),
    /// A UUID with a time in it, newest first.
    NewestFirst,
    /// A UUID, in order.
    InOrder,
    /// A device's key.
    Device,
    /// Everything comes at once.
    Whole,
    /// Events: `after` is the cursor.
    Events,
}

/// One list.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// Path and filters.
    pub(super) path: String,
    /// For people: ids are long.
    pub(super) name: String,
    /// Who asks.
    pub(super) asker: Asker,
    key: Key,
}

/// Where in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Depth {
    /// The first page.
    First,
    /// In the middle.
    Middle,
    /// Close to the end, and on to it.
    Last,
}

impl Depth {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::First, Self::Middle, Self::Last];

    const fn part(self) -> (i128, i128) {
        match self {
            Self::First => (0, 1),
            Self::Middle => (1, 2),
            Self::Last => (1_999, 2_000),
        }
    }

    fn of(self, whole: u64) -> i64 {
        let (over, under) = self.part();
        i64::try_from(i128::from(whole) * over / under).unwrap_or(i64::MAX)
    }
}

impl Listing {
    /// The key behind which a list goes on at this depth; none at its beginning.
    pub(super) fn key(&self, plan: &Plan, samples: &Samples, depth: Depth) -> Option<Value> {
        if depth == Depth::First || self.key == Key::Whole || self.is_events() {
            return None;
        }
        let down = |whole: u64| i64::try_from(whole).unwrap_or(i64::MAX) - depth.of(whole);
        let time = plan.began + down(SPAN.unsigned_abs());
        Some(match self.key {
            Key::Time => json!([time, down(plan.records)]),
            Key::Log(device) => {
                json!([0, samples.positions.get(&(device, depth))?])
            }
            Key::Seq(device) => json!([0, seq(plan, device, depth)]),
            Key::Number(whole) => json!(down(whole)),
            Key::NewestFirst => json!(text(uuid(time, 0, 0))),
            Key::InOrder => {
                let mut id = uuid(plan.began, 0xff, 0);
                id[8] = if depth == Depth::Middle { 0xa0 } else { 0xbf };
                id[7] = 0;
                json!(text(id))
            }
            Key::Device => {
                let whole = i128::from(u64::MAX);
                let (over, under) = depth.part();
                let key = i128::from(i64::MIN) + whole * over / under;
                json!(i64::try_from(key).unwrap_or(i64::MAX))
            }
            Key::Whole | Key::Events => return None,
        })
    }

    /// The position behind which events are read at this depth.
    pub(super) fn after(&self, plan: &Plan, depth: Depth) -> Option<i64> {
        self.is_events().then(|| depth.of(plan.records))
    }

    fn is_events(&self) -> bool {
        self.key == Key::Events
    }

    /// Does it take a page size?
    pub(super) fn is_paged(&self) -> bool {
        !matches!(self.key, Key::Whole | Key::Events)
    }
}

/// The number of a device's stamp at this depth of its log.
pub(super) fn seq(plan: &Plan, device: u32, depth: Depth) -> i64 {
    let whole = plan.stamps[device as usize];
    (i64::from(whole) - depth.of(whole.into())).max(1)
}

/// What only the database knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    /// Positions of devices' stamps at some depths.
    pub(super) positions: HashMap<(u32, Depth), i64>,
    /// A grant of the ordinary device.
    pub(super) grant: String,
}

/// Names that stand for ids.
struct Names {
    known: Vec<(&'static str, String)>,
}

impl Names {
    fn of(plan: &Plan, grant: String) -> Self {
        let ordinary = plan.devices() - 1;
        let small = plan.organization_of(ordinary);
        let member = |organization, number| text(member_id(plan, organization, number));
        let busy_member = plan.member_of(0, 1);
        Self {
            known: vec![
                ("{great}", text(organization_id(plan, 0))),
                ("{small}", text(organization_id(plan, small))),
                ("{busy}", device_id(0).to_string()),
                ("{ordinary}", device_id(ordinary).to_string()),
                ("{member}", member(small, plan.member_of(ordinary, 1))),
                ("{busy member}", member(0, busy_member)),
                ("{grant}", grant),
                ("{day}", time(plan.began + SPAN / 4)),
                ("{next day}", time(plan.began + SPAN / 4 + SPAN / 28)),
            ],
        }
    }

    fn list(&self, path: &str, key: Key, asker: Asker) -> Listing {
        let bound = match asker {
            Asker::Admin => "",
            Asker::Great => " (token of {great})",
            Asker::Small => " (token of {small})",
        };
        Listing {
            path: self.fill(path),
            name: format!("{path}{bound}"),
            asker,
            key,
        }
    }

    fn fill(&self, path: &str) -> String {
        self.known
            .iter()
            .fold(path.to_owned(), |path, (name, id)| path.replace(name, id))
    }
}

/// As the interface reads it.
fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .expect("a time of this century")
        .to_string()
}

/// Paths with filters, as an admin asks for them.
const STAMPS: &[&str] = &[
    "/stamps",
    "/stamps?organization={great}",
    "/stamps?organization={small}",
    "/stamps?member={member}",
    "/stamps?member={busy member}",
    "/stamps?grant={grant}",
    "/stamps?abnormal=true",
    "/stamps?abnormal=true&organization={great}",
    "/stamps?abnormal=true&organization={small}",
    "/stamps?abnormal=true&member={busy member}",
    "/stamps?abnormal=true&grant={grant}",
    "/stamps?class=3",
    "/stamps?class=10",
    "/stamps?class=10&organization={great}",
    "/stamps?class=10&organization={small}",
    "/stamps?class=10&member={busy member}",
    "/stamps?from={day}&to={next day}",
    "/stamps?from={day}&to={next day}&organization={great}",
    "/stamps?from={day}&to={next day}&organization={small}",
    "/stamps?from={day}&to={next day}&member={busy member}",
    "/stamps?from={day}&to={next day}&class=10",
    "/stamps?from={day}&to={next day}&abnormal=true",
    "/stamps?to={day}&organization={great}",
    "/stamps?member={busy member}&organization={great}",
    "/stamps?grant={grant}&organization={small}",
    "/stamps?device={busy}&from={day}&to={next day}",
    "/stamps?device={busy}&to={day}",
    "/stamps?device={busy}&from={day}&to={next day}&organization={great}",
    "/stamps?device={ordinary}&from={day}&to={next day}",
];
const BUSY: &[&str] = &[
    "/stamps?device={busy}",
    "/stamps?device={busy}&organization={great}",
    "/stamps?device={busy}&organization={small}",
    "/stamps?device={busy}&abnormal=true",
    "/stamps?device={busy}&class=10",
    "/stamps?device={busy}&member={busy member}",
];
const ORDINARY: &[&str] = &[
    "/stamps?device={ordinary}",
    "/stamps?device={ordinary}&abnormal=true",
    "/stamps?device={ordinary}&class=10",
    "/stamps?device={ordinary}&member={member}",
];
const ABNORMAL: &[&str] = &[
    "/abnormal",
    "/abnormal?organization={great}",
    "/abnormal?organization={small}",
];
const GRANTS: &[&str] = &[
    "/grants",
    "/grants?organization={great}",
    "/grants?organization={small}",
    "/grants?device={busy}",
    "/grants?device={ordinary}",
    "/grants?member={busy member}",
    "/grants?member={member}",
    "/grants?member={busy member}&device={busy}",
    "/grants?device={busy}&organization={great}",
    "/grants?member={busy member}&organization={great}",
];
const STATES: &[&str] = &[
    "to_be_delivered",
    "not_begun",
    "in_use",
    "expired",
    "ending",
    "ended",
];
const DEVICES: &[&str] = &[
    "/devices",
    "/devices?organization={great}",
    "/devices?organization={small}",
    "/devices?life=bound",
    "/devices?life=suspended",
    "/devices?life=not_delivered",
    "/devices?life=retired",
    "/devices?life=suspended&organization={great}",
    "/devices?life=bound&organization={small}",
    "/devices?connected=true",
    "/devices?connected=false",
    "/devices?connected=true&organization={great}",
    "/devices?connected=false&organization={great}",
    "/devices?connected=true&life=suspended",
    "/devices?connected=true&life=not_delivered",
    "/devices?connected=true&life=bound&organization={small}",
];
const AUDIT: &[&str] = &[
    "/audit",
    "/audit?organization={great}",
    "/audit?organization={small}",
];
const EVENTS: &[&str] = &[
    "/events?wait=0",
    "/events?wait=0&topics=alarm",
    "/events?wait=0&topics=device",
    "/events?wait=0&topics=stamp,alarm",
];

/// What a token bound to an organization sees of the same lists.
const BOUND: &[(&[&str], Key)] = &[
    (
        &[
            "/stamps",
            "/stamps?abnormal=true",
            "/stamps?class=10",
            "/abnormal",
        ],
        Key::Time,
    ),
    (&["/grants", "/grants?state=ending"], Key::NewestFirst),
    (&["/devices"], Key::Device),
    (
        &["/events?wait=0", "/events?wait=0&topics=alarm"],
        Key::Events,
    ),
];

/// All lists.
pub(super) fn all(plan: &Plan, samples: &Samples) -> Vec<Listing> {
    let names = Names::of(plan, samples.grant.clone());
    let (audit, ordinary) = (Key::Number(plan.records), plan.devices() - 1);
    let of_busy: &[&str] = &["/devices/{busy}/stamps"];
    let admin: [(&[&str], Key); 13] = [
        (STAMPS, Key::Time),
        (BUSY, Key::Log(0)),
        (ORDINARY, Key::Log(ordinary)),
        (of_busy, Key::Seq(0)),
        (&["/devices/{ordinary}/stamps"], Key::Seq(ordinary)),
        (ABNORMAL, Key::Time),
        (GRANTS, Key::NewestFirst),
        (DEVICES, Key::Device),
        (
            &["/devices/{busy}/commands", "/devices/{ordinary}/commands"],
            Key::NewestFirst,
        ),
        (&["/organizations", "/tokens"], Key::InOrder),
        (&["/organizations/{great}/members"], Key::Whole),
        (AUDIT, audit),
        (EVENTS, Key::Events),
    ];
    let mut all = Vec::new();
    for (paths, key) in admin {
        all.extend(paths.iter().map(|path| names.list(path, key, Asker::Admin)));
    }
    let states = STATES.iter().flat_map(|state| grants_in(state));
    all.extend(states.map(|path| names.list(&path, Key::NewestFirst, Asker::Admin)));
    for asker in [Asker::Great, Asker::Small] {
        for (paths, key) in BOUND {
            all.extend(paths.iter().map(|path| names.list(path, *key, asker)));
        }
        all.push(names.list("/audit", audit, asker));
    }
    all.extend(
        of_busy
            .iter()
            .map(|path| names.list(path, Key::Seq(0), Asker::Great)),
    );
    all
}

fn grants_in(state: &str) -> [String; 4] {
    [
        "",
        "&organization={great}",
        "&device={busy}",
        "&member={busy member}",
    ]
    .map(|more| format!("/grants?state={state}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_in_a_path() {
        let plan = Plan::of(100_000, sealgate_domain::Millis(SPAN));
        for listing in all(&plan, &Samples::default()) {
            assert!(!listing.path.contains('{'), "{}", listing.path);
        }
    }
}
