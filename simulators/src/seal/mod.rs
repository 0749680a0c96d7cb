//! The GL seal as a machine without clock or socket: inputs and the time go in, outputs are polled.
//!
//! Invariants:
//! - What must survive is in [`Flash`] and changes by `Seal::commit` only, one write for one effect; everything
//!   else is gone when the power is. An armed power cut strikes right after such a write, and what the input would
//!   have done next does not happen.
//! - Nothing leaves before the write it tells of: outputs of an input that dies are dropped.
//! - [`Truth`] is the world's memory, not the seal's: no fault of the seal touches it.
//! - Everything random comes from the seed.

mod backoff;
mod fingers;
mod flash;
mod io;
mod log;
mod power;
mod press;
mod right;
mod screen;
mod session;
mod ticket;
mod time;
mod truth;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

use std::{collections::VecDeque, sync::Arc};

use ed25519_dalek::SigningKey;
use rand::{SeedableRng as _, rngs::StdRng};
use sealgate_codec::{
    DeviceId,
    message::ResetCause,
    record::{ClockQuality, Position},
    statement::KeySet,
};

pub use backoff::{Backoff, Ended, GOOD_LIFE_MS};
pub use flash::{Area, Flash, HeldGrant, Settings, Taken};
pub use io::{Input, Output, Place, Topic};
pub use log::LogFlash;
pub use power::Mode;
pub use press::Press;
pub use truth::{Conditions, Right, Stage, Surface, Truth, TruthLock, TruthPress};

use power::Ram;

/// What the factory burns into every seal of a fleet.
#[derive(Debug)]
pub struct Anchors {
    /// Public key of the key set's root.
    pub root: [u8; 32],
    /// Signed key set.
    pub key_set: Vec<u8>,
}

/// What makes a seal this seal.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Device id.
    pub device: DeviceId,
    /// The id as text.
    pub name: String,
    /// Seed of the key that signs checkpoints.
    pub log_seed: [u8; 32],
    /// Trust anchors.
    pub anchors: Arc<Anchors>,
}

/// How a seal is built.
#[derive(Debug, Clone, Copy)]
pub struct Params {
    /// Records the log holds; a few more abnormal ones find room behind them.
    pub log_capacity: u16,
    /// Error of the crystal, parts per million.
    pub drift_ppm: i32,
    /// Milliseconds between STATUS messages, unless the settings say otherwise.
    pub heartbeat_ms: u64,
    /// Nobody stands ready when an enrolment begins.
    pub finger_absent: bool,
    /// How many presses the world remembers at least; all of them when absent.
    pub remembered: Option<usize>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            log_capacity: 800,
            drift_ppm: 20,
            heartbeat_ms: 600_000,
            finger_absent: false,
            remembered: None,
        }
    }
}

/// One simulated seal.
#[derive(Debug)]
pub struct Seal {
    identity: Identity,
    params: Params,
    flash: Flash,
    keys: Arc<KeySet>,
    log_key: SigningKey,
    truth: Truth,
    rng: StdRng,
    ram: Option<Ram>,
    outputs: VecDeque<Output>,
    now: u64,
    rtc_offset_ms: i64,
    position: Option<Position>,
    cause: ResetCause,
    restart_at: Option<u64>,
    changes: u64,
    cut_in: Option<u32>,
    cut_at: Option<Box<Flash>>,
}

impl Seal {
    /// A seal with the given memories, turned off. The same seed makes the same decisions.
    ///
    /// # Errors
    /// The key set in flash is not signed by the root.
    pub fn new(
        identity: Identity,
        params: Params,
        flash: Flash,
        truth: Truth,
        seed: u64,
    ) -> Result<Self, KeySetRefused> {
        let keys = ticket::trusted_keys(&flash.key_set, &identity.anchors.root)?;
        let log_key = SigningKey::from_bytes(&identity.log_seed);
        Ok(Self {
            identity,
            params,
            flash,
            keys: Arc::new(keys),
            log_key,
            truth,
            rng: StdRng::seed_from_u64(seed),
            ram: None,
            outputs: VecDeque::new(),
            now: 0,
            rtc_offset_ms: 0,
            position: None,
            cause: ResetCause::PowerKey,
            restart_at: None,
            changes: 0,
            cut_in: None,
            cut_at: None,
        })
    }

    /// Device id as text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// The persistent memory.
    #[must_use]
    pub fn flash(&self) -> &Flash {
        &self.flash
    }

    /// The world's memory.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The world's memory, when the seal is no longer needed.
    #[must_use]
    pub fn into_truth(self) -> Truth {
        self.truth
    }

    /// The newest press.
    #[must_use]
    pub fn last_press(&self) -> Option<TruthPress> {
        self.truth.presses.last().cloned()
    }

    /// Grows with every change of what must be kept.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Something happens at `now`, unix milliseconds of the world.
    pub fn handle(&mut self, input: Input, now: u64) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::PowerKey => {
                self.cause = ResetCause::PowerKey;
                self.power_key();
            }
            Input::Reset => {
                self.cause = ResetCause::ResetKey;
                self.die();
            }
            Input::PowerCut => {
                self.cause = ResetCause::BrownOut;
                self.die();
            }
            Input::ArmPowerCut(writes) => self.cut_in = Some(writes.max(1)),
            Input::Keys(presses) => self.keys(presses),
            Input::Press(press) => self.press(press),
            Input::Finger(slot) => self.finger(slot),
            Input::Move(place) => self.position = place.map(Position::from),
            Input::ClockJump(seconds) => {
                self.rtc_offset_ms = self.rtc_offset_ms.saturating_add(seconds * 1_000);
            }
            Input::LinkUp => self.link_up(),
            Input::LinkLost => self.link_over(Ended::Lost),
            Input::LinkRefused => self.link_over(Ended::Refused),
            Input::Down(bytes) => self.down(&bytes),
        }
        self.power_tick();
        self.session_tick();
        self.pump_log();
        self.strike();
    }

    /// The next thing to do, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is wanted, unix milliseconds of the world.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        [
            self.power_timeout(),
            self.session_timeout(),
            self.log_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Replaces the memory by an older copy; the seal is off afterwards.
    pub fn roll_back(&mut self, flash: Flash, now: u64) {
        self.now = self.now.max(now);
        self.die();
        self.flash = flash;
        self.changes += 1;
    }

    /// One write to flash.
    fn commit(&mut self) {
        self.changes += 1;
        if self.cut_at.is_some() {
            return;
        }
        match &mut self.cut_in {
            Some(1) => {
                self.cut_in = None;
                self.cut_at = Some(Box::new(self.flash.clone()));
            }
            Some(left) => *left -= 1,
            None => {}
        }
    }

    /// The armed power cut: everything after the write it was armed for never happened.
    fn strike(&mut self) {
        if let Some(flash) = self.cut_at.take() {
            self.cause = ResetCause::BrownOut;
            self.flash = *flash;
            self.die();
        }
    }

    fn clocks(&self) -> (u32, u32, ClockQuality) {
        let rtc = self.now.saturating_add_signed(self.rtc_offset_ms);
        match &self.ram {
            Some(ram) => {
                let (wall, quality) = ram.time.wall(self.now, rtc);
                (ram.time.uptime_s(self.now), wall, quality)
            }
            None => (0, 0, ClockQuality::Unset),
        }
    }

    /// A percent every half hour of uptime, never empty.
    fn battery(&self) -> u8 {
        let (uptime_s, ..) = self.clocks();
        let spent = u8::try_from(uptime_s / 1_800).unwrap_or(u8::MAX);
        100_u8.saturating_sub(spent).max(20)
    }

    /// The conditions at this instant; `None` when off.
    fn conditions(&self, stretched: bool) -> Option<Conditions> {
        let ram = self.ram.as_ref()?;
        Some(Conditions {
            right: self.right(),
            locked: self.flash.locked,
            stretched,
            quick: ram.recently_pressed(self.now),
            surface: ram.screen.surface(),
            stage: ram.stage(),
        })
    }
}

/// The key set is not signed by the root the factory burnt in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key set is not signed by the fleet's root")]
pub struct KeySetRefused;
