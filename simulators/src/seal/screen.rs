//! What the screen shows and says (DEV-2).

use sealgate_codec::message::Life;

use super::{
    Seal,
    power::Mode,
    truth::{Right, Surface},
};

/// How long the QR code stays.
const QR_MS: u64 = 10_000;

/// How long a confirmation stays.
const SAVED_MS: u64 = 3_000;

/// The screen of one power cycle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    surface: Surface,
    until: Option<u64>,
    saved_until: u64,
}

impl Screen {
    pub(super) fn lit(now: u64, backlight_s: u8) -> Self {
        let mut screen = Self {
            surface: Surface::On,
            until: None,
            saved_until: 0,
        };
        screen.wake(now, backlight_s);
        screen
    }

    /// Lit from now on, for as long as the settings say; zero means for ever.
    pub(super) fn wake(&mut self, now: u64, backlight_s: u8) {
        self.surface = Surface::On;
        self.until = (backlight_s > 0).then(|| now + u64::from(backlight_s) * 1_000);
    }

    pub(super) fn sleep(&mut self) {
        self.surface = Surface::Off;
        self.until = None;
    }

    pub(super) fn show_qr(&mut self, now: u64) {
        self.surface = Surface::Qr;
        self.until = Some(now + QR_MS);
    }

    pub(super) fn show_saved(&mut self, now: u64, backlight_s: u8) {
        self.wake(now, backlight_s);
        self.saved_until = now + SAVED_MS;
    }

    pub(super) fn surface(&self) -> Surface {
        self.surface
    }

    pub(super) fn timeout(&self) -> Option<u64> {
        self.until
    }

    /// Lets time pass; true when the screen went dark.
    pub(super) fn tick(&mut self, now: u64, backlight_s: u8) -> bool {
        if self.until.is_none_or(|until| now < until) {
            return false;
        }
        match self.surface {
            Surface::Qr => {
                self.wake(now, backlight_s);
                false
            }
            Surface::On | Surface::Off => {
                self.sleep();
                true
            }
        }
    }
}

impl Seal {
    /// The words on the screen, whether or not it is lit; empty when the seal is off.
    #[must_use]
    pub fn screen_text(&self) -> String {
        let Some(ram) = &self.ram else {
            return String::new();
        };
        if ram.screen.surface() == Surface::Qr {
            return format!("QR {}", self.identity.name);
        }
        if ram.screen.saved_until > self.now {
            return "saved".to_owned();
        }
        if self.flash.locked {
            return "locked".to_owned();
        }
        if !self.flash.bound {
            return match ram.life {
                Some(Life::NotDelivered) => "not delivered",
                _ => "unbound",
            }
            .to_owned();
        }
        if self.log().is_full() {
            return "storage full".to_owned();
        }
        if ram.enrol.is_some() {
            return "press a fingerprint".to_owned();
        }
        self.right_text(ram.mode)
    }

    fn right_text(&self, mode: Mode) -> String {
        let counted = self.flash.grant.as_ref().map(|grant| {
            // An unlimited grant shows k/0.
            format!("{}/{}", grant.used, grant.max)
        });
        match (self.right(), counted) {
            (Right::Granted, Some(counted)) => counted,
            (Right::NoFinger, _) => "press a fingerprint to unlock".to_owned(),
            (Right::Withheld, _) if self.awaits_activation() => "enter activation".to_owned(),
            (Right::Withheld, _) if !self.is_online() && mode == Mode::Gprs => {
                "restricted".to_owned()
            }
            (Right::Withheld | Right::OutOfRegion | Right::OutOfTime | Right::NotBegun, _) => {
                "restricted".to_owned()
            }
            _ => "please grant".to_owned(),
        }
    }
}
