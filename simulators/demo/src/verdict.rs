//! Compares what really happened with what the platform says, record by record.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use sealgate_simulators::seal::{Truth, TruthPress};
use serde::Serialize;
use serde_json::Value;

/// How many differences are told in words.
const TOLD: usize = 12;

/// The platform's record of one press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    abnormal: Option<u8>,
    n: u16,
    grant_no: u32,
    boot: u32,
}

/// Device, epoch and number of a record.
type Key = (String, u32, u32);

/// The summary of one day.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Summary {
    /// Presses that became records on the seals.
    pub(crate) presses: usize,
    /// Records the platform shows.
    pub(crate) records: usize,
    /// Presses that found a log full.
    pub(crate) counted: usize,
    /// Presses without a record.
    pub(crate) lost: usize,
    /// Records shown twice, or without a press.
    pub(crate) doubled: usize,
    /// Records of another kind, grant or count than really happened.
    pub(crate) misclassified: usize,
    /// Records by kind of abnormal use.
    pub(crate) abnormal: BTreeMap<String, usize>,
    /// From the order to lock to the locked seal.
    pub(crate) lock_ms: u64,
    /// Seed of everything random.
    pub(crate) seed: u64,
    /// Differences in words.
    #[serde(skip)]
    pub(crate) told: Vec<String>,
}

impl Summary {
    /// Nothing is lost, doubled or misclassified.
    pub(crate) fn good(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.misclassified == 0 && self.presses > 0
    }

    fn tell(&mut self, words: String) {
        if self.told.len() < TOLD {
            self.told.push(words);
        }
    }
}

/// Reads one record of the API.
pub(crate) fn read(stamp: &Value) -> anyhow::Result<(Key, Shown)> {
    let number = |name: &str| {
        let value = stamp[name].as_u64();
        value.with_context(|| format!("no {name} in {stamp}"))
    };
    let device = stamp["device"].as_str();
    let device = device.with_context(|| format!("no device in {stamp}"))?;
    let key = (
        device.to_owned(),
        u32::try_from(number("epoch")?)?,
        u32::try_from(number("seq")?)?,
    );
    let shown = Shown {
        abnormal: stamp["abnormal"].as_u64().map(u8::try_from).transpose()?,
        n: u16::try_from(number("n")?)?,
        grant_no: u32::try_from(number("grant_no")?)?,
        boot: u32::try_from(number("boot")?)?,
    };
    Ok((key, shown))
}

/// The difference between the world and the platform.
pub(crate) fn compare(truths: &[Truth], stamps: &[Value]) -> anyhow::Result<Summary> {
    let mut summary = Summary {
        records: stamps.len(),
        ..Summary::default()
    };
    let mut shown: HashMap<Key, Shown> = HashMap::with_capacity(stamps.len());
    for stamp in stamps {
        let (key, record) = read(stamp)?;
        if shown.contains_key(&key) {
            summary.doubled += 1;
            summary.tell(format!("shown twice: {key:?}"));
        }
        shown.insert(key, record);
    }
    for truth in truths {
        summary.counted += truth.counted();
        for press in truth.records() {
            summary.presses += 1;
            judge(&mut summary, truth, press, &mut shown);
        }
    }
    for key in shown.into_keys() {
        summary.doubled += 1;
        summary.tell(format!("shown but never pressed: {key:?}"));
    }
    Ok(summary)
}

fn judge(
    summary: &mut Summary,
    truth: &Truth,
    press: &TruthPress,
    shown: &mut HashMap<Key, Shown>,
) {
    let Some(seq) = press.seq else { return };
    let key = (truth.device.clone(), press.epoch, seq);
    let Some(record) = shown.remove(&key) else {
        summary.lost += 1;
        summary.tell(format!("lost: {key:?} {press:?}"));
        return;
    };
    let expected = Shown {
        abnormal: press.kind,
        n: press.n,
        grant_no: press.grant,
        boot: press.boot,
    };
    if record != expected {
        summary.misclassified += 1;
        summary.tell(format!(
            "{key:?}: shown {record:?}, really {expected:?} in {:?}",
            press.conditions
        ));
    }
    if let Some(kind) = record.abnormal {
        *summary.abnormal.entry(kind.to_string()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use sealgate_simulators::seal::{Conditions, Right, Stage, Surface};
    use serde_json::json;

    use super::*;

    fn truth() -> Truth {
        let mut truth = Truth::of("aaaaaaaaaaaaa".to_owned());
        truth.presses.push(TruthPress {
            at_ms: 1,
            boot: 1,
            epoch: 0,
            seq: Some(1),
            counted: None,
            kind: Some(3),
            grant: 0,
            n: 0,
            conditions: Conditions {
                right: Right::NeverGranted,
                locked: false,
                stretched: false,
                quick: false,
                surface: Surface::On,
                stage: Stage::Running,
            },
            acked_at_ms: None,
        });
        truth
    }

    fn stamp(seq: u32, abnormal: Option<u8>) -> Value {
        json!({"device": "aaaaaaaaaaaaa", "epoch": 0, "seq": seq, "boot": 1, "n": 0, "grant_no": 0, "abnormal": abnormal})
    }

    #[test]
    fn a_day_where_both_agree_is_good() {
        let summary = compare(&[truth()], &[stamp(1, Some(3))]).unwrap();
        assert!(summary.good());
        assert_eq!(summary.abnormal["3"], 1);
    }

    #[test]
    fn a_missing_a_doubled_and_a_wrong_record_are_each_found() {
        assert_eq!(compare(&[truth()], &[]).unwrap().lost, 1);
        let twice = [stamp(1, Some(3)), stamp(1, Some(3))];
        assert_eq!(compare(&[truth()], &twice).unwrap().doubled, 1);
        let ghost = [stamp(1, Some(3)), stamp(2, None)];
        assert_eq!(compare(&[truth()], &ghost).unwrap().doubled, 1);
        assert_eq!(
            compare(&[truth()], &[stamp(1, None)])
                .unwrap()
                .misclassified,
            1
        );
    }
}
