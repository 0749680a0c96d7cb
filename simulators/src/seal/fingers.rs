//! The fingerprint module: enrolment of six captures, and the finger that unlocks the head (ORG-5, USE-12).

use sealgate_codec::{
    ErrorCode, Message,
    message::FpProg,
    ticket::{CounterDomain, Outcome},
};

use super::{Seal, Topic};

/// Enrolments a seal keeps.
pub(super) const SLOTS: usize = 5;

/// Time between the captures when somebody stands ready.
const CAPTURE_MS: u64 = 400;

/// Patience with somebody who does not press.
const ABSENT_MS: u64 = 120_000;

/// An enrolment in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enrolment {
    ctr: u32,
    mid: u16,
    slot: u8,
    user: u32,
    of: u8,
    step: u8,
    next_at: u64,
    present: bool,
}

impl Enrolment {
    /// For the ticket with this counter, which came in the message with this number.
    pub(super) fn new((ctr, mid): (u32, u16), (slot, user): (u8, u32), of: u8) -> Self {
        Self {
            ctr,
            mid,
            slot,
            user,
            of,
            step: 0,
            next_at: 0,
            present: false,
        }
    }

    pub(super) fn timeout(&self) -> u64 {
        self.next_at
    }

    fn progress(&self, quality: Option<u8>, err: Option<ErrorCode>) -> Message {
        Message::FpProg(FpProg {
            ctr: self.ctr,
            slot: self.slot,
            step: self.step,
            of: self.of,
            quality,
            err,
        })
    }
}

impl Seal {
    pub(super) fn begin_enrolment(&mut self, enrolment: Enrolment) {
        let present = !self.params.finger_absent;
        let next_at = self.now + if present { CAPTURE_MS } else { ABSENT_MS };
        let backlight = self.flash.settings.backlight_s;
        if let Some(ram) = &mut self.ram {
            ram.screen.wake(next_at, backlight);
            ram.enrol = Some(Enrolment {
                next_at,
                present,
                ..enrolment
            });
        }
    }

    pub(super) fn enrol_tick(&mut self) {
        let now = self.now;
        let Some(mut enrol) = self.ram.as_ref().and_then(|ram| ram.enrol) else {
            return;
        };
        if now < enrol.next_at {
            return;
        }
        let mut ended = None;
        let message = if enrol.present {
            enrol.step += 1;
            enrol.next_at = now + CAPTURE_MS;
            if enrol.step >= enrol.of {
                self.flash.fingers.insert(enrol.slot, enrol.user);
                ended = Some(Outcome::APPLIED);
            }
            enrol.progress(Some(85), None)
        } else {
            ended = Some(Outcome::rejected(ErrorCode::FingerprintTimeout));
            enrol.progress(None, Some(ErrorCode::FingerprintTimeout))
        };
        let backlight = self.flash.settings.backlight_s;
        if let Some(ram) = &mut self.ram {
            ram.enrol = ended.is_none().then_some(enrol);
            if ended == Some(Outcome::APPLIED) {
                ram.screen.show_saved(now, backlight);
            }
        }
        self.send(Topic::Up, None, message);
        if let Some(outcome) = ended {
            self.settle(CounterDomain::Config, enrol.ctr, outcome, enrol.mid);
        }
    }

    /// A stored finger is laid on. It unlocks the head when the grant asks for one and it is the user's.
    pub(super) fn finger(&mut self, slot: u8) {
        let now = self.now;
        let backlight = self.flash.settings.backlight_s;
        let owner = self.flash.fingers.get(&slot).copied();
        let matches = self.flash.grant.as_ref().is_some_and(|grant| {
            grant.needs_finger
                && owner == Some(grant.user)
                && (grant.fingers.is_empty() || grant.fingers.contains(&slot))
        });
        if let Some(ram) = &mut self.ram {
            ram.last_touch = now;
            ram.screen.wake(now, backlight);
            ram.finger_matched |= matches;
        }
    }
}
