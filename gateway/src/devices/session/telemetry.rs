//! What a device reports beside its log: kept coalesced, never urgent.

use std::time::Duration;

use sealgate_codec::message::{Bye, ErrMsg, FpProg, OtaStat, Status};

use super::Session;
use crate::app::session::{PresenceNote, StatusReport};

/// How often a silent *still here* is written.
const CONTACT_EVERY: Duration = Duration::from_secs(30);

impl Session {
    /// Remembers that the device was heard, now and then.
    pub(super) fn note_contact(&mut self, now: Duration) {
        if now.saturating_sub(self.contact_noted) >= CONTACT_EVERY {
            self.contact_noted = now;
            self.note(None);
        }
    }

    fn note(&self, status: Option<StatusReport>) {
        self.host.presence.note(PresenceNote {
            device: self.device,
            organization: self.credentials.organization,
            term: self.handle.term,
            connected: None,
            at: self.host.clock.now(),
            status,
        });
    }

    /// STATUS: battery, place, how full the log is.
    pub(super) fn on_status(&mut self, status: &Status) {
        let now = self.host.clock.now();
        if let Some(greeting) = &mut self.greeting {
            greeting.battery = status.batt;
        }
        self.note(Some(StatusReport {
            uptime_s: status.up,
            battery: status.batt,
            rssi: status.rssi,
            position: status.position.map(|at| (super::log::reported(at), now)),
            counted: status.counted,
        }));
    }

    /// BYE. The link itself tells when it is over; this is only said why.
    pub(super) fn on_bye(&mut self, bye: &Bye) {
        tracing::debug!(device = %self.device, reason = %bye.reason, "goodbye");
    }

    /// Enrolment runs in a later version of the platform; progress is only logged.
    pub(super) fn on_fingerprint(&mut self, progress: &FpProg) {
        tracing::info!(device = %self.device, slot = progress.slot, step = progress.step, of = progress.of, "fingerprint");
    }

    /// The state of an update the platform did not offer.
    pub(super) fn on_update_state(&mut self, status: &OtaStat) {
        tracing::debug!(device = %self.device, artifact = status.artifact, "update state");
    }

    /// The device refused something of ours.
    pub(super) fn on_error(&mut self, error: ErrMsg) {
        let label = format!("{:#06x}", error.code.number());
        let known = !matches!(error.code, sealgate_codec::ErrorCode::Other(_));
        let label = if known { label.as_str() } else { "other" };
        let errors = &self.host.metrics.errors_received;
        errors.with_label_values(&[label]).inc();
    }
}
