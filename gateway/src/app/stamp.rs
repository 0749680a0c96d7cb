//! Stamps as devices hand them in: through the group commit, and ahead of it as alarms.

use sealgate_domain::{DeviceId, Millis, stamp::AbnormalKind};

use super::{App, AppError, session::ReportedPosition};
use crate::store::{self, Event, Lane, StoreError, Topic, device};

pub use crate::store::ingest::{
    IngestBatch, IngestOutcome, IngestRecord, IngestRefusal, RecordPosition,
};

/// An abnormal press, told ahead of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceEvent {
    /// The device.
    pub device: DeviceId,
    /// Epoch of its log.
    pub epoch: u32,
    /// Number of the record that follows.
    pub seq: u32,
    /// Class by the device's truth table.
    pub class: Option<AbnormalKind>,
    /// Fact bits.
    pub facts: u32,
    /// The grant it names.
    pub grant_no: u32,
    /// Where.
    pub position: Option<ReportedPosition>,
    /// When, as far as can be told.
    pub at: Millis,
}

impl App {
    /// Stores batches of records of many devices in one transaction; outcomes in their order.
    ///
    /// # Errors
    /// The database: nothing of it may be acknowledged.
    pub async fn store_stamps(
        &self,
        batches: Vec<IngestBatch>,
    ) -> Result<Vec<IngestOutcome>, AppError> {
        let outcomes = self.store.ingest(batches).await;
        self.readiness
            .set_store(!matches!(&outcomes, Err(error) if error.is_outage()));
        self.wake.outbox.notify_one();
        Ok(outcomes?)
    }

    /// EVENT: raises the alarm of a press whose record is still to come, keyed like the record. A record that is
    /// stored already has raised it.
    ///
    /// # Errors
    /// The database.
    pub async fn device_event(&self, event: &DeviceEvent) -> Result<(), AppError> {
        let reader = self.store.read();
        let stored = store::stamp::find(&reader, event.device, event.epoch, event.seq).await?;
        if stored.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        self.store
            .write(Lane::Priority, |tx| async move {
                let Some(device) = device::find(&tx, event.device).await? else {
                    return Ok(());
                };
                tx.emit(Event {
                    topic: Topic::Alarm,
                    organization: device.organization(),
                    device: Some(event.device),
                    payload: payload(event),
                    at: now,
                })
                .await
            })
            .await
            .map_err(|error: StoreError| AppError::from(error))?;
        self.wake.outbox.notify_one();
        Ok(())
    }
}

/// Told like the alarm of the stored record, so that whoever hears both knows them for one.
fn payload(event: &DeviceEvent) -> serde_json::Value {
    serde_json::json!({
        "kind": "abnormal",
        "epoch": event.epoch,
        "stamps": [{"seq": event.seq, "class": event.class.map(AbnormalKind::number)}],
        "early": true,
        "facts": event.facts,
        "grant_no": event.grant_no,
        "position": event.position.map(|position| serde_json::json!({
            "lat": f64::from(position.lat_e7) / 1e7,
            "lon": f64::from(position.lon_e7) / 1e7,
            "accuracy_m": position.accuracy_m,
        })),
        "at": event.at.0,
    })
}
