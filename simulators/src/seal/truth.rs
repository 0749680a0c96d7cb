//! What really happened: every press of a simulated seal with the condition it happened in, for oracles.
//!
//! This is written beside the device's own log and from the physical conditions, not from the facts on the wire;
//! the class an observer should arrive at is decided here a second time and in another form than in the codec,
//! so that an error in either shows. Truth survives power cuts and flash rollbacks: it is the world's memory.

use serde::{Deserialize, Serialize};

/// Whether the seal had a right to stamp, in the words of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Bound or not, no grant since the last binding.
    NeverGranted,
    /// A grant covers this press.
    Granted,
    /// All stamps of the grant were used.
    UsedUp,
    /// The grant's window is over.
    OutOfTime,
    /// The grant's window has not begun.
    NotBegun,
    /// A manager ended the grant.
    Ended,
    /// There is a grant, but nothing allows using it now (no lease, not activated, electronic mode).
    Withheld,
    /// Outside the grant's region.
    OutOfRegion,
    /// The granted person's finger is missing.
    NoFinger,
}

/// What the screen showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// Lit.
    On,
    /// The QR code.
    Qr,
    /// Dark.
    Off,
}

/// Where in its power cycle the seal was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// On, and the platform gave a lease once since power-on.
    Running,
    /// On, but without a lease so far.
    Starting,
    /// Shutting down.
    Stopping,
}

/// The condition a press happened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Right to stamp.
    pub right: Right,
    /// Loss lock in force on the device.
    pub locked: bool,
    /// Bracket out.
    pub stretched: bool,
    /// Less than a second after the press before.
    pub quick: bool,
    /// Screen.
    pub surface: Surface,
    /// Power cycle.
    pub stage: Stage,
}

impl Conditions {
    /// The kind of abnormal use (REC-6) this is, as far as the device itself can know.
    #[must_use]
    pub fn expected_kind(self) -> Option<u8> {
        if self.locked {
            return Some(4);
        }
        if self.stretched && self.stage == Stage::Stopping {
            return Some(5);
        }
        let fast = self.stretched && self.quick;
        match (self.right, self.surface) {
            (Right::NeverGranted, _) if fast => Some(7),
            (Right::Ended | Right::UsedUp | Right::OutOfTime, _) if fast => Some(6),
            (Right::Granted, _) => None,
            (Right::UsedUp, _) => Some(1),
            (_, Surface::Qr) if self.stretched => Some(8),
            (_, Surface::Off) if self.stretched => Some(9),
            (Right::OutOfTime | Right::NotBegun, _) => Some(2),
            _ => Some(3),
        }
    }
}

/// One press.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthPress {
    /// World time, unix milliseconds.
    pub at_ms: u64,
    /// Power cycle of the seal.
    pub boot: u32,
    /// Log epoch.
    pub epoch: u32,
    /// The record it became.
    pub seq: Option<u32>,
    /// The counter it raised when the log was full: 0 for no kind, else the kind.
    pub counted: Option<u8>,
    /// What an observer should call it.
    pub kind: Option<u8>,
    /// The grant it ran under, 0 for none.
    pub grant: u32,
    /// Stamps of the grant used so far.
    pub n: u16,
    /// The condition.
    pub conditions: Conditions,
    /// World time of the acknowledgement that covered it.
    pub acked_at_ms: Option<u64>,
}

impl TruthPress {
    /// A stamp under a grant, within all rules.
    #[must_use]
    pub fn normal(&self) -> bool {
        self.kind.is_none() && self.seq.is_some()
    }
}

/// A change of the lock, as the device did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthLock {
    /// World time, unix milliseconds.
    pub at_ms: u64,
    /// Locked or unlocked.
    pub locked: bool,
    /// When the platform issued it, unix seconds.
    pub issued_s: u32,
    /// Power cycle it was applied in.
    pub boot: u32,
}

/// The world's memory of one seal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Device id as text.
    pub device: String,
    /// Every press, in order.
    pub presses: Vec<TruthPress>,
    /// Every change of the lock.
    pub locks: Vec<TruthLock>,
    /// World times of power-on, by power cycle.
    pub boots: Vec<(u32, u64)>,
    /// Presses that the power cut before the flash knew of them: the head never moved.
    pub unfelt: u32,
    /// Sessions the platform answered.
    pub sessions: u32,
}

impl Truth {
    /// An empty memory.
    #[must_use]
    pub fn of(device: String) -> Self {
        Self {
            device,
            ..Self::default()
        }
    }

    /// Presses that became records.
    pub fn records(&self) -> impl Iterator<Item = &TruthPress> {
        self.presses.iter().filter(|press| press.seq.is_some())
    }

    /// Presses that raised a counter because the log was full.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.presses
            .iter()
            .filter(|press| press.counted.is_some())
            .count()
    }

    /// Adds a press; of more than twice `limit` only the newest half stays.
    pub(super) fn remember(&mut self, press: TruthPress, limit: Option<usize>) {
        self.presses.push(press);
        if let Some(limit) = limit.filter(|limit| self.presses.len() > limit * 2) {
            self.presses.drain(..self.presses.len() - limit);
        }
    }

    /// Notes that everything before `upto` of `epoch` is stored by the platform.
    pub(super) fn acknowledged(&mut self, epoch: u32, upto: u32, now: u64) {
        for press in self.presses.iter_mut().rev() {
            let Some(seq) = press.seq else { continue };
            if press.epoch != epoch || press.acked_at_ms.is_some() {
                break;
            }
            if seq < upto {
                press.acked_at_ms = Some(now);
            }
        }
    }

    /// Notes a change of the lock. Presses of the same power cycle that came before a lock issued before that power
    /// cycle began are kind 10: the seal had been locked while it was off.
    pub(super) fn lock_changed(&mut self, change: TruthLock) {
        let started = self
            .boots
            .iter()
            .rev()
            .find(|(boot, _)| *boot == change.boot)
            .map(|(_, at)| *at);
        let before_power_on = started.is_some_and(|at| u64::from(change.issued_s) * 1_000 < at);
        if change.locked && before_power_on {
            for press in &mut self.presses {
                let early = press.boot == change.boot
                    && press.conditions.stage == Stage::Starting
                    && !press.conditions.locked;
                if early {
                    press.kind = Some(10);
                }
            }
        }
        self.locks.push(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calm(right: Right) -> Conditions {
        Conditions {
            right,
            locked: false,
            stretched: true,
            quick: false,
            surface: Surface::On,
            stage: Stage::Running,
        }
    }

    #[test]
    fn a_granted_press_is_no_abnormal_use_whatever_the_screen_shows() {
        for surface in [Surface::On, Surface::Off, Surface::Qr] {
            let conditions = Conditions {
                surface,
                ..calm(Right::Granted)
            };
            assert_eq!(conditions.expected_kind(), None);
        }
    }

    #[test]
    fn over_count_wins_over_the_screen() {
        let conditions = Conditions {
            surface: Surface::Qr,
            ..calm(Right::UsedUp)
        };
        assert_eq!(conditions.expected_kind(), Some(1));
    }

    #[test]
    fn a_lock_issued_while_off_makes_early_presses_kind_ten() {
        let mut truth = Truth::of("x".to_owned());
        truth.boots.push((3, 50_000));
        truth.presses.push(TruthPress {
            at_ms: 51_000,
            boot: 3,
            epoch: 0,
            seq: Some(1),
            counted: None,
            kind: Some(3),
            grant: 0,
            n: 0,
            conditions: Conditions {
                stage: Stage::Starting,
                ..calm(Right::Withheld)
            },
            acked_at_ms: None,
        });
        truth.lock_changed(TruthLock {
            at_ms: 52_000,
            locked: true,
            issued_s: 40,
            boot: 3,
        });
        assert_eq!(truth.presses[0].kind, Some(10));
    }
}
