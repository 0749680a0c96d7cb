//! A press of the head: decided, written to flash, then the head moves.
//!
//! Every press becomes a record, or raises a counter when the log is full; the record, the grant's count and the
//! counter change in one write. A power cut before that write means that the head never moved.

use sealgate_codec::chain::Appended;
use serde::{Deserialize, Serialize};

use super::{
    Seal, Topic,
    power::Ram,
    truth::{Conditions, Right, Surface, TruthPress},
    wire,
};

/// Presses closer than this are quick.
const QUICK_MS: u64 = 1_000;

/// How somebody presses the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Press {
    /// The bracket is out.
    pub stretched: bool,
    /// The power fails while the seal is deciding.
    pub power_fails: bool,
}

impl Press {
    /// With the bracket out, as the manual says.
    #[must_use]
    pub fn proper() -> Self {
        Self {
            stretched: true,
            power_fails: false,
        }
    }
}

impl Ram {
    pub(super) fn recently_pressed(&self, now: u64) -> bool {
        self.last_press
            .is_some_and(|last| now.saturating_sub(last) < QUICK_MS)
    }
}

impl Seal {
    pub(super) fn press(&mut self, press: Press) {
        let now = self.now;
        let Some(conditions) = self.conditions(press.stretched) else {
            return;
        };
        if press.power_fails {
            self.truth.unfelt += 1;
            self.die();
            return;
        }
        let outcome = self.write_press(conditions);
        self.truth.remember(outcome, self.params.remembered);
        let backlight = self.flash.settings.backlight_s;
        if let Some(ram) = &mut self.ram {
            ram.last_press = Some(now);
            ram.last_touch = now;
            if conditions.surface != Surface::Qr {
                ram.screen.wake(now, backlight);
            }
        }
    }

    fn write_press(&mut self, conditions: Conditions) -> TruthPress {
        let facts = wire::facts(self, conditions);
        let class = wire::class_of(facts);
        let allowed = conditions.right == Right::Granted && class.is_none();
        let (grant, used) = self
            .flash
            .grant
            .as_ref()
            .map_or((0, 0), |grant| (grant.no, grant.used));
        let n = if allowed {
            used.saturating_add(1)
        } else {
            used
        };
        let record = wire::record(self, facts, grant, n);
        let (entry, counted) = match self.append(record) {
            Appended::Stored(entry) => (Some(entry), None),
            Appended::Counted(place) => (None, u8::try_from(place).ok()),
        };
        if allowed
            && entry.is_some()
            && let Some(grant) = &mut self.flash.grant
        {
            grant.used = n;
        }
        self.commit();
        let outcome = TruthPress {
            at_ms: self.now,
            boot: self.flash.boot,
            epoch: self.log().epoch(),
            seq: entry.map(|entry| entry.record.seq),
            counted,
            kind: conditions.expected_kind(),
            grant,
            n: if entry.is_some() { n } else { used },
            conditions,
            acked_at_ms: None,
        };
        if let Some(entry) = entry.filter(|_| class.is_some() && self.is_online()) {
            self.send(Topic::Up, None, wire::event(self, entry));
        }
        outcome
    }
}
