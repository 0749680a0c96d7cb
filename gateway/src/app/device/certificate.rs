//! A device's renewed certificate: registered beside the one in use, which stays good until the device connects with the
//! new one.

use sealgate_domain::{DeviceId, Millis};
use serde_json::json;

use super::{Actor, App, AppError, DeviceShown, load, note_change};
use crate::{
    app::access::Permission,
    store::{Lane, device},
};

impl App {
    /// Registers the certificate a device was given anew. The same one again changes nothing, another one takes the
    /// place of the one that waits.
    ///
    /// # Errors
    /// No access, no such device, its certificate was revoked, one that has ended, or the database.
    pub async fn renew_certificate(
        &self,
        actor: &Actor,
        id: DeviceId,
        fingerprint: [u8; 32],
        not_after: Millis,
    ) -> Result<DeviceShown, AppError> {
        actor.may(Permission::RenewCertificate)?;
        let now = self.clock.now();
        if not_after <= now {
            return Err(AppError::invalid(
                "cert_not_after",
                ("须为将来的时间", "a time to come"),
            ));
        }
        let row = self.change(Lane::Normal, |tx| {
            let actor = actor.clone();
            async move {
                let mut row = load(&tx, &actor, id).await?;
                if row.revoked_at.is_some() {
                    return Err(AppError::conflict(
                        "证书已被吊销",
                        "the certificate was revoked",
                    ));
                }
                let known = [
                    Some(row.cert_fingerprint.as_slice()),
                    row.next_cert_fingerprint.as_deref(),
                ];
                if known.contains(&Some(fingerprint.as_slice())) {
                    return Ok(row);
                }
                row.next_cert_fingerprint = Some(fingerprint.to_vec());
                row.next_cert_not_after = Some(not_after.0);
                device::save(&tx, &mut row).await?;
                let detail = json!({
                    "cert_sha256": data_encoding::HEXLOWER.encode(&fingerprint),
                    "cert_not_after": not_after.0,
                });
                note_change(&tx, &actor, &row, ("device.renew_certificate", detail), now).await?;
                Ok(row)
            }
        });
        self.show(row.await?).await
    }
}
