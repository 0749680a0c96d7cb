//! A renewed certificate takes the registered one's place at the first session that proves it, not before: until then
//! the seal may not have it yet.

use sealgate_domain::DeviceId;

use super::{App, AppError, audit, effect};
use crate::store::{Lane, StoreError, Tx, device};

impl App {
    /// The device proved it holds `certificate`. True when that is the one its registered one was to be replaced by,
    /// which now is the registered one.
    ///
    /// # Errors
    /// The database.
    pub async fn certificate_proven(
        &self,
        id: DeviceId,
        certificate: [u8; 32],
    ) -> Result<bool, AppError> {
        let awaited = |row: &device::Row| {
            row.revoked_at.is_none()
                && row.next_cert_fingerprint.as_deref() == Some(certificate.as_slice())
        };
        let found = device::find(&self.store.read(), id).await?;
        if !found.as_ref().is_some_and(awaited) {
            return Ok(false);
        }
        let now = self.clock.now();
        let work = |tx: Tx| async move {
            let found = device::lock(&tx, id).await?;
            let Some(mut row) = found.filter(awaited) else {
                return Ok(());
            };
            row.cert_fingerprint = certificate.to_vec();
            row.cert_not_after = row.next_cert_not_after.take();
            row.next_cert_fingerprint = None;
            device::save(&tx, &mut row).await?;
            tx.audit(audit(&row, true, "device.certificate_changed", now))
                .await?;
            effect::changed(&tx, &row, "certificate", now).await
        };
        let done: Result<(), StoreError> = self.store.write(Lane::Normal, work).await;
        done?;
        self.wake.poke();
        self.wake.device_changed(id);
        Ok(true)
    }
}
