//! What a device's session does to the database: who may open one, HELLO, presence and telemetry, suspicion.
//!
//! HELLO may be old, restored or forged: it raises counters and alarms, and never takes back what is known.

use sealgate_domain::{DeviceId, Millis, OrganizationId, device::Life};

use super::{App, AppError, command::audit, effect, key_set};
use crate::store::{self, Event, Lane, StoreError, Topic, Tx, device, report};

mod certificate;
mod hello;
mod presence;
mod standing;
mod told;

use hello::hello;
use presence::presence;
use standing::{Known, standing};

pub use standing::Standing;
pub use told::{HelloAnswer, HelloReport, PresenceNote, ReportedPosition, StatusReport};

/// A device's row of the fleet table, as every session is checked against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// SHA-256 of the registered certificate.
    pub certificate: [u8; 32],
    /// The certificate was revoked.
    pub revoked: bool,
    /// Where in its life the device is.
    pub life: Life,
    /// Binding generation.
    pub generation: u32,
    /// Whose it is.
    pub organization: Option<OrganizationId>,
    /// The public key its checkpoints are verified with.
    pub log_key: [u8; 32],
}

impl Credentials {
    fn of(row: &device::Row) -> Result<Self, StoreError> {
        let state = row.state()?;
        let key = |bytes: &[u8], what| {
            bytes.try_into().map_err(|_| StoreError::Unreadable {
                what,
                text: format!("{} bytes", bytes.len()),
            })
        };
        Ok(Self {
            certificate: key(&row.cert_fingerprint, "device.cert_fingerprint")?,
            revoked: row.revoked_at.is_some(),
            life: state.life,
            generation: state.generation,
            organization: state.organization,
            log_key: key(&row.log_key, "device.log_key")?,
        })
    }

    /// What a session may do before HELLO.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            life: self.life,
            generation: self.generation,
            lease: false,
            grant_open: false,
            key_set: key_set::FIRST,
        }
    }
}

/// Why a device is taken out of use until a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// Its log contradicts what is stored.
    LogFork,
    /// It reports a counter below one it has taken: its flash was rolled back, or it is a copy.
    CounterRollback,
    /// It reports a counter that no history of ours leads to, as erased flash does: following it would leave no number
    /// for the next command.
    CounterImpossible,
    /// Two seals take turns with one certificate.
    TwoSeals,
}

impl Suspicion {
    const fn name(self) -> &'static str {
        match self {
            Self::LogFork => "log_fork",
            Self::CounterRollback => "counter_rollback",
            Self::CounterImpossible => "counter_impossible",
            Self::TwoSeals => "two_seals",
        }
    }
}

impl App {
    /// The fleet table's row of a device.
    ///
    /// # Errors
    /// The database.
    pub async fn device_credentials(&self, id: DeviceId) -> Result<Option<Credentials>, AppError> {
        let row = device::find(&self.store.read(), id).await?;
        Ok(row.as_ref().map(Credentials::of).transpose()?)
    }

    /// What a device may do now.
    ///
    /// # Errors
    /// The database.
    pub async fn device_standing(&self, id: DeviceId) -> Result<Option<Standing>, AppError> {
        let reader = self.store.read();
        let Some(row) = device::find(&reader, id).await? else {
            return Ok(None);
        };
        let report = report::find(&reader, id).await?;
        let live = store::command::live_of(&reader, id).await?;
        let known = Known {
            locked: report.as_ref().and_then(|report| report.locked) == Some(true),
            key_set: report.map_or(key_set::FIRST, |report| report.key_set()),
        };
        Ok(Some(
            standing(&reader, &row, known, &live, self.clock.now()).await?,
        ))
    }

    /// HELLO. None when there is no such device.
    ///
    /// # Errors
    /// The database.
    pub async fn device_hello(&self, told: &HelloReport) -> Result<Option<HelloAnswer>, AppError> {
        let now = self.clock.now();
        let answer = self
            .store
            .write(
                Lane::Normal,
                |tx| async move { hello(&tx, told, now).await },
            )
            .await
            .map_err(|error: StoreError| AppError::from(error))?;
        self.wake.poke();
        Ok(answer)
    }

    /// Takes a suspicious device out of use and raises the alarm. Doing it again changes nothing.
    ///
    /// # Errors
    /// The database.
    pub async fn suspend_suspect(&self, id: DeviceId, why: Suspicion) -> Result<(), AppError> {
        let now = self.clock.now();
        self.store
            .write(Lane::Normal, |tx| async move {
                match device::lock(&tx, id).await? {
                    Some(mut device) => suspend(&tx, &mut device, why, now).await,
                    None => Ok(()),
                }
            })
            .await
            .map_err(|error: StoreError| AppError::from(error))?;
        self.wake.poke();
        Ok(())
    }

    /// Writes what is known of many sessions.
    ///
    /// # Errors
    /// The database.
    pub async fn write_presence(&self, node: &str, notes: &[PresenceNote]) -> Result<(), AppError> {
        let mut notes: Vec<&PresenceNote> = notes.iter().collect();
        notes.sort_by_key(|note| note.device);
        let notes = &notes;
        self.store
            .write(Lane::Normal, |tx| async move {
                for note in notes {
                    presence(&tx, node, note).await?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
        self.wake.outbox.notify_one();
        Ok(())
    }

    /// This node starts: none of its earlier sessions lives. The highest term any session had.
    ///
    /// # Errors
    /// The database.
    pub async fn forget_presence(&self, node: &str) -> Result<u64, AppError> {
        let now = self.clock.now();
        self.store
            .write(Lane::Normal, |tx| async move {
                report::forget_sessions(&tx, node, now).await?;
                report::last_term(&tx).await
            })
            .await
            .map_err(|error: StoreError| AppError::from(error))
    }
}

/// Takes a device out of use, once.
async fn suspend(
    tx: &Tx,
    device: &mut device::Row,
    why: Suspicion,
    now: Millis,
) -> Result<(), StoreError> {
    let Ok(state) = device.state()?.suspend() else {
        return Ok(());
    };
    device.set_state(state);
    device::save(tx, device).await?;
    let mut row = audit(device, false, "device.suspended", now);
    row.detail = Some(serde_json::json!({"reason": why.name()}));
    tx.audit(row).await?;
    alarm(tx, device, why.name(), now).await?;
    effect::changed(tx, device, "suspended", now).await
}

/// Somebody should look.
async fn alarm(
    tx: &Tx,
    device: &device::Row,
    kind: &'static str,
    now: Millis,
) -> Result<(), StoreError> {
    let mut row = audit(device, false, "device.alarm", now);
    row.detail = Some(serde_json::json!({"kind": kind}));
    tx.audit(row).await?;
    tx.emit(Event {
        topic: Topic::Alarm,
        organization: device.organization(),
        device: Some(device.key()),
        payload: serde_json::json!({"kind": kind}),
        at: now,
    })
    .await
}
