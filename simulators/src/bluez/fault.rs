//! What can break, and scripts of it: written by hand, or drawn from a seed.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde::{Deserialize, Serialize};

use super::{
    address::Address,
    air::{Dialling, Station},
    table::Table,
};

/// Something breaks or heals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The adapter is pulled out: links end, its objects vanish.
    AdapterGone,
    /// It is plugged in again; the daemon knows what it knew.
    AdapterBack,
    /// The daemon dies without a word: descriptors end, signals just stop, its name has no owner.
    DaemonKilled,
    /// A new daemon takes the name.
    DaemonBack,
    /// The link to a device breaks.
    LinkLost {
        /// Which.
        device: Address,
    },
    /// A station behaves otherwise from here on.
    Station {
        /// Which.
        device: Address,
        /// How.
        change: Change,
    },
}

/// How a station changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Link up, nothing comes or goes (or it does again).
    Silent(bool),
    /// The seal's service is there, or is not.
    SealService(bool),
    /// Another GATT table from the next connection on.
    Table(Table),
    /// Another ATT MTU from the next connection on.
    Mtu(u16),
    /// How connection attempts end.
    Dialling(Dialling),
    /// Heard or not.
    InRange(bool),
    /// Signal strength in dBm.
    Rssi(i16),
}

impl Change {
    pub(super) fn apply(self, station: &mut Station) {
        match self {
            Self::Silent(silent) => station.silent = silent,
            Self::SealService(there) => station.seal_service = there,
            Self::Table(table) => station.table = table,
            Self::Mtu(mtu) => station.mtu = mtu,
            Self::Dialling(dialling) => station.dialling = dialling,
            Self::InRange(in_range) => station.in_range = in_range,
            Self::Rssi(rssi) => station.rssi = rssi,
        }
    }
}

/// A fault and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// What happens.
    pub fault: Fault,
}

/// Faults in the order of their times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script {
    /// The faults.
    pub steps: Vec<Step>,
}

impl Script {
    /// Reads a JSON array of steps and puts them in order.
    ///
    /// # Errors
    /// The text is no such array; the error says where.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let mut script: Self = serde_json::from_str(json)?;
        script.steps.sort_by_key(|step| step.at_ms);
        Ok(script)
    }

    /// Draws faults for `length`, one each `every` on average, each healed after up to three times `every`. At the
    /// end everything is whole.
    #[must_use]
    pub fn drawn(seed: u64, devices: &[Address], length: Duration, every: Duration) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let every = millis(every).max(1);
        let end = millis(length);
        let mut steps = Vec::new();
        // A part of the world that is broken breaks again only after it has healed.
        let mut busy_until = vec![0_u64; devices.len() + 2];
        let mut at = 0;
        loop {
            at += rng.random_range(1..=2 * every);
            if at >= end {
                break;
            }
            let part = rng.random_range(0..busy_until.len());
            let healed = (at + rng.random_range(1..=3 * every)).min(end);
            let (broken, whole) = match part {
                0 => (Fault::AdapterGone, Fault::AdapterBack),
                1 => (Fault::DaemonKilled, Fault::DaemonBack),
                n => disturbance(&mut rng, devices[n - 2]),
            };
            if busy_until[part] > at {
                continue;
            }
            busy_until[part] = healed;
            steps.push(Step {
                at_ms: at,
                fault: broken,
            });
            steps.push(Step {
                at_ms: healed,
                fault: whole,
            });
        }
        steps.sort_by_key(|step| step.at_ms);
        Self { steps }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 8)
}

/// Something that happens to one device, and its healing.
fn disturbance(rng: &mut StdRng, device: Address) -> (Fault, Fault) {
    let changes = [
        (Change::Silent(true), Change::Silent(false)),
        (Change::SealService(false), Change::SealService(true)),
        (Change::Table(Table::Foreign), Change::Table(Table::Seal)),
        (Change::Table(Table::Stale), Change::Table(Table::Seal)),
        (Change::Mtu(23), Change::Mtu(247)),
        (Change::InRange(false), Change::InRange(true)),
        (
            Change::Dialling(Dialling::Refused),
            Change::Dialling(Dialling::Answered),
        ),
        (
            Change::Dialling(Dialling::Unanswered),
            Change::Dialling(Dialling::Answered),
        ),
        (
            Change::Dialling(Dialling::InProgress),
            Change::Dialling(Dialling::Answered),
        ),
    ];
    let (broken, whole) = changes.choose(rng).expect("the list is not empty");
    let fault = |change: &Change| Fault::Station {
        device,
        change: *change,
    };
    if rng.random_bool(0.2) {
        let lost = Fault::LinkLost { device };
        return (lost.clone(), lost);
    }
    (fault(broken), fault(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_one_script_and_what_breaks_heals() {
        let devices: Vec<Address> = (0..5).map(Address::numbered).collect();
        for seed in 0..50 {
            let draw = |seed| {
                let (length, every) = (Duration::from_secs(600), Duration::from_secs(5));
                Script::drawn(seed, &devices, length, every)
            };
            let script = draw(seed);
            assert_eq!(script, draw(seed));
            assert!(script.steps.len() > 50, "seed {seed}");
            assert!(script.steps.is_sorted_by_key(|step| step.at_ms));
            let gone = script
                .steps
                .iter()
                .filter(|s| s.fault == Fault::AdapterGone);
            let back = script
                .steps
                .iter()
                .filter(|s| s.fault == Fault::AdapterBack);
            assert_eq!(gone.count(), back.count(), "seed {seed}");
        }
    }

    #[test]
    fn scripts_are_written_and_read_as_json() {
        let text = r#"[
            {"at_ms": 2000, "fault": "adapter_back"},
            {"at_ms": 1000, "fault": {"station": {"device": "C0:5E:00:00:00:01", "change": {"mtu": 23}}}}
        ]"#;
        let script = Script::parse(text).unwrap();
        assert_eq!(script.steps[1].fault, Fault::AdapterBack);
        let again = Script::parse(&serde_json::to_string(&script).unwrap()).unwrap();
        assert_eq!(again, script);
        assert!(Script::parse(r#"[{"at_ms": 1, "fault": "sunshine"}]"#).is_err());
    }
}
