//! Power: the key, the reset pin, the battery; what of the seal lives only as long as it is on.

use sealgate_codec::message::{Life, ResetCause};

use super::{
    Output, Seal, fingers::Enrolment, screen::Screen, session::Link, time::SealTime, truth::Stage,
};
use crate::seal::backoff::Backoff;

/// How long shutting down takes.
const STOPPING_MS: u64 = 2_000;

/// How long a restart takes.
const RESTART_MS: u64 = 3_000;

/// Which radio is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Mobile network.
    Gprs,
    /// Bluetooth: no session of its own.
    Ble,
}

/// Everything a power cut takes away.
#[derive(Debug)]
pub(super) struct Ram {
    pub(super) time: SealTime,
    pub(super) mode: Mode,
    pub(super) screen: Screen,
    pub(super) link: Link,
    pub(super) backoff: Backoff,
    /// The platform gave a lease once since power-on.
    pub(super) leased_once: bool,
    /// Until when the lease allows stamping, by secure time.
    pub(super) lease_until_ms: Option<u64>,
    pub(super) finger_matched: bool,
    pub(super) last_press: Option<u64>,
    pub(super) last_touch: u64,
    pub(super) stopping_until: Option<u64>,
    pub(super) enrol: Option<Enrolment>,
    pub(super) life: Option<Life>,
    /// The platform found two logs of this seal: keep everything, send nothing.
    pub(super) audit: bool,
}

impl Ram {
    pub(super) fn stage(&self) -> Stage {
        match (self.stopping_until, self.leased_once) {
            (Some(_), _) => Stage::Stopping,
            (None, true) => Stage::Running,
            (None, false) => Stage::Starting,
        }
    }
}

impl Seal {
    /// Turned on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.ram.is_some()
    }

    pub(super) fn power_key(&mut self) {
        let now = self.now;
        match &mut self.ram {
            None => self.start(),
            Some(ram) if ram.stopping_until.is_none() => {
                ram.stopping_until = Some(now + STOPPING_MS);
                self.say_bye();
            }
            Some(_) => {}
        }
    }

    pub(super) fn start(&mut self) {
        let now = self.now;
        self.restart_at = None;
        self.flash.boot += 1;
        self.truth.boots.push((self.flash.boot, now));
        self.log_mut().stop();
        self.commit();
        self.ram = Some(Ram {
            time: SealTime::start(now, self.params.drift_ppm),
            mode: Mode::Gprs,
            screen: Screen::lit(now, self.flash.settings.backlight_s),
            link: Link::Waiting { at: now },
            backoff: Backoff::default(),
            leased_once: false,
            lease_until_ms: None,
            finger_matched: false,
            last_press: None,
            last_touch: now,
            stopping_until: None,
            enrol: None,
            life: None,
            audit: false,
        });
    }

    /// Off at once; what was queued never leaves.
    pub(super) fn die(&mut self) {
        if self.ram.take().is_some() {
            self.outputs.clear();
            self.outputs
                .push_back(Output::Disconnect { orderly: false });
        }
        self.restart_at = None;
    }

    /// Off in order: what was queued leaves first.
    pub(super) fn off(&mut self) {
        if self.ram.take().is_some_and(|ram| ram.link.is_up()) {
            self.outputs.push_back(Output::Disconnect { orderly: true });
        } else {
            self.outputs
                .push_back(Output::Disconnect { orderly: false });
        }
    }

    pub(super) fn restart_soon(&mut self) {
        self.off();
        self.cause = ResetCause::Command;
        self.restart_at = Some(self.now + RESTART_MS);
    }

    /// Keys other than the long press: 1 wakes or darkens the screen, 3 shows the QR code, 5 changes the radio.
    pub(super) fn keys(&mut self, presses: u8) {
        let now = self.now;
        let backlight = self.flash.settings.backlight_s;
        let Some(ram) = &mut self.ram else { return };
        ram.last_touch = now;
        match presses {
            1 if ram.screen.surface() == super::truth::Surface::Off => {
                ram.screen.wake(now, backlight);
            }
            1 => self.darken(),
            3 => ram.screen.show_qr(now),
            5 => self.change_mode(),
            _ => {}
        }
    }

    /// A dark screen also forgets the finger that unlocked the head (USE-12).
    pub(super) fn darken(&mut self) {
        if let Some(ram) = &mut self.ram {
            ram.screen.sleep();
            ram.finger_matched = false;
        }
    }

    fn change_mode(&mut self) {
        let now = self.now;
        let Some(ram) = &mut self.ram else { return };
        match ram.mode {
            Mode::Gprs => {
                ram.mode = Mode::Ble;
                ram.link = Link::Idle;
                self.outputs.push_back(Output::Disconnect { orderly: true });
            }
            Mode::Ble => {
                ram.mode = Mode::Gprs;
                ram.link = Link::Waiting { at: now };
            }
        }
    }

    pub(super) fn power_timeout(&self) -> Option<u64> {
        let Some(ram) = &self.ram else {
            return self.restart_at;
        };
        let minutes = u64::from(self.flash.settings.auto_off_min);
        let idle = minutes > 0 && ram.stopping_until.is_none();
        let auto_off = idle.then_some(ram.last_touch + minutes * 60_000);
        let enrol = ram.enrol.as_ref().map(Enrolment::timeout);
        [ram.stopping_until, ram.screen.timeout(), auto_off, enrol]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn power_tick(&mut self) {
        let now = self.now;
        if self.restart_at.is_some_and(|at| now >= at) && self.ram.is_none() {
            self.start();
        }
        let backlight = self.flash.settings.backlight_s;
        let minutes = u64::from(self.flash.settings.auto_off_min);
        let Some(ram) = &mut self.ram else { return };
        if ram.stopping_until.is_some_and(|until| now >= until) {
            self.off();
            return;
        }
        if ram.screen.tick(now, backlight) {
            ram.finger_matched = false;
        }
        let forgotten = minutes > 0 && now >= ram.last_touch + minutes * 60_000;
        if forgotten && ram.stopping_until.is_none() {
            self.power_key();
        }
        self.enrol_tick();
    }
}
