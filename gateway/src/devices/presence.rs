//! Presence and telemetry on their way to the database: the newest of each device, many devices a transaction.
//!
//! What waits here is lost with the process, and that is right: on start everything of this node counts as
//! disconnected, and a device reports its telemetry again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sealgate_domain::DeviceId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::{App, session::PresenceNote};

/// Shortest time between two transactions: what arrives meanwhile shares the next.
const PACE: Duration = Duration::from_millis(20);
/// Wait after a failed transaction.
const RETRY: Duration = Duration::from_secs(1);
/// Devices of one transaction: stamps and locks wait for it.
const BATCH: usize = 64;

/// The waiting notes, one a device.
#[derive(Debug, Default)]
pub(super) struct Presence {
    waiting: Mutex<HashMap<DeviceId, PresenceNote>>,
    arrived: Notify,
}

impl Presence {
    /// Adds a note to what is known of the device.
    pub(super) fn note(&self, note: PresenceNote) {
        {
            let mut waiting = self.waiting.lock().expect("no panic while held");
            match waiting.get_mut(&note.device) {
                Some(older) => older.merge(note),
                None => {
                    waiting.insert(note.device, note);
                }
            }
        }
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<PresenceNote> {
        let mut waiting = self.waiting.lock().expect("no panic while held");
        if waiting.len() <= BATCH {
            return waiting.drain().map(|(_, note)| note).collect();
        }
        let chosen: Vec<DeviceId> = waiting.keys().take(BATCH).copied().collect();
        chosen
            .iter()
            .filter_map(|device| waiting.remove(device))
            .collect()
    }

    /// A transaction failed: older knowledge goes back under what arrived since.
    fn put_back(&self, notes: Vec<PresenceNote>) {
        let mut waiting = self.waiting.lock().expect("no panic while held");
        for mut older in notes {
            if let Some(newer) = waiting.remove(&older.device) {
                older.merge(newer);
            }
            waiting.insert(older.device, older);
        }
    }

    /// Writes until told to stop, and then what is left.
    pub(super) async fn run(self: Arc<Self>, app: App, node: String, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.arrived.notified() => {}
                () = stop.cancelled() => break,
            }
            while !stop.is_cancelled() {
                let pause = match self.write_one(&app, &node).await {
                    Ok(true) => PACE,
                    Ok(false) => break,
                    Err(()) => RETRY,
                };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        // A database that fails now will say the same at the next start: nobody is connected.
        while let Ok(true) = self.write_one(&app, &node).await {}
    }

    /// Writes one transaction. `Ok(false)` when nothing waits, an error when it failed and waits again.
    async fn write_one(&self, app: &App, node: &str) -> Result<bool, ()> {
        let notes = self.take();
        if notes.is_empty() {
            return Ok(false);
        }
        match app.write_presence(node, &notes).await {
            Ok(()) => Ok(true),
            Err(error) => {
                tracing::warn!(%error, "presence was not written");
                self.put_back(notes);
                Err(())
            }
        }
    }
}
