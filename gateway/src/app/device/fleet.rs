//! The fleet as the platform's staff keep it: stock, delivery, suspension, retirement, revocation (PLAT-1).

use std::collections::HashMap;

use sealgate_domain::{
    DeviceId, Millis, OrganizationId, RuleError,
    command::Event as Step,
    device::Device as Rules,
    settings::{Settings, is_readable},
};
use serde_json::json;

use crate::store::{Lane, Tx, command, device, organization, report};

use super::{
    super::{Actor, App, AppError, access::Permission, command::tell},
    Device, DeviceShown, load, note_change, reason,
    settings::to_json,
};

/// A device of a manifest.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Its id.
    pub id: DeviceId,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Ed25519 key of its log.
    pub log_key: [u8; 32],
    /// SHA-256 of its certificate.
    pub cert_fingerprint: [u8; 32],
    /// Version of the key set it was issued with, if known.
    pub key_set_version: Option<u32>,
}

/// What became of a manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// New in the fleet.
    pub added: u32,
    /// Known already.
    pub unchanged: u32,
}

/// A step of a device's life, and how the audit calls it.
#[derive(Clone, Copy)]
struct LifeStep {
    permission: Permission,
    action: &'static str,
    decide: fn(Rules) -> Result<Rules, RuleError>,
    /// Its open orders are void.
    voids_orders: bool,
}

const SUSPEND: LifeStep = LifeStep {
    permission: Permission::SuspendDevice,
    action: "device.suspend",
    decide: Rules::suspend,
    voids_orders: false,
};
const RESUME: LifeStep = LifeStep {
    permission: Permission::SuspendDevice,
    action: "device.resume",
    decide: Rules::resume,
    voids_orders: false,
};
const RETIRE: LifeStep = LifeStep {
    permission: Permission::RetireDevice,
    action: "device.retire",
    decide: Rules::retire,
    voids_orders: true,
};

impl App {
    /// Takes devices into stock: all of them, or none. Those known with the same keys stay as they are.
    ///
    /// # Errors
    /// No access, a device known with other keys, or the database.
    pub async fn import_devices(
        &self,
        actor: &Actor,
        devices: Vec<NewDevice>,
    ) -> Result<Imported, AppError> {
        actor.may(Permission::ImportDevices)?;
        for (at, new) in devices.iter().enumerate() {
            for (field, text) in [("model", &new.model), ("serial", &new.serial)] {
                if !(1..=40).contains(&text.chars().count()) {
                    return Err(AppError::invalid(
                        format!("[{at}].{field}"),
                        ("须为1至40个字符", "1 to 40 characters"),
                    ));
                }
                if !is_readable(text) {
                    return Err(AppError::invalid(
                        format!("[{at}].{field}"),
                        (
                            "须为可见字符，不得含控制字符",
                            "something to be seen, no control characters",
                        ),
                    ));
                }
            }
        }
        let now = self.clock.now();
        self.change(Lane::Normal, |tx| {
            let (actor, devices) = (actor.clone(), devices.clone());
            async move {
                let mut done = Imported::default();
                one_certificate_each(&tx, &devices).await?;
                for (at, new) in devices.iter().enumerate() {
                    match import(&tx, &actor, at, new, now).await? {
                        true => done.added += 1,
                        false => done.unchanged += 1,
                    }
                }
                Ok(done)
            }
        })
        .await
    }

    /// Hands a device to an organization.
    ///
    /// # Errors
    /// No access, no such device or organization, a rule, or the database.
    pub async fn deliver_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        to: OrganizationId,
    ) -> Result<DeviceShown, AppError> {
        actor.may(Permission::DeliverDevice)?;
        let now = self.clock.now();
        let row = self.change(Lane::Normal, |tx| {
            let actor = actor.clone();
            async move {
                let mut row = load(&tx, &actor, id).await?;
                let known = organization::find(&tx, to).await?;
                known.ok_or(AppError::NotFound("organization"))?;
                row.set_state(row.state()?.deliver(to)?);
                device::save(&tx, &mut row).await?;
                let detail = json!({"organization": to.to_string()});
                note_change(&tx, &actor, &row, ("device.deliver", detail), now).await?;
                Ok(row)
            }
        });
        self.show(row.await?).await
    }

    /// Takes a device out of use.
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn suspend_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<DeviceShown, AppError> {
        self.step(actor, id, why, SUSPEND).await
    }

    /// Brings a suspended device back to where it was.
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn resume_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<DeviceShown, AppError> {
        self.step(actor, id, why, RESUME).await
    }

    /// Retires a device for ever.
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn retire_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<DeviceShown, AppError> {
        self.step(actor, id, why, RETIRE).await
    }

    /// Revokes a device's certificate: it opens no session any more, and its open orders are void. Doing so again
    /// changes nothing.
    ///
    /// # Errors
    /// No access, no such device, or the database.
    pub async fn revoke_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
    ) -> Result<DeviceShown, AppError> {
        actor.may(Permission::RevokeDevice)?;
        let why = reason(why)?;
        let now = self.clock.now();
        let row = self.change(Lane::Priority, |tx| {
            let (actor, why) = (actor.clone(), why.clone());
            async move {
                let mut row = load(&tx, &actor, id).await?;
                if row.revoked_at.is_none() {
                    row.revoked_at = Some(now.0);
                    device::save(&tx, &mut row).await?;
                    void_orders(&tx, &row, now).await?;
                    let detail = json!({"reason": why});
                    note_change(&tx, &actor, &row, ("device.revoke", detail), now).await?;
                }
                Ok(row)
            }
        });
        let row = row.await?;
        self.wake.device_changed(id);
        self.show(row).await
    }

    async fn step(
        &self,
        actor: &Actor,
        id: DeviceId,
        why: &str,
        step: LifeStep,
    ) -> Result<DeviceShown, AppError> {
        actor.may(step.permission)?;
        let why = reason(why)?;
        let now = self.clock.now();
        let row = self.change(Lane::Priority, |tx| {
            let (actor, why) = (actor.clone(), why.clone());
            async move {
                let mut row = load(&tx, &actor, id).await?;
                row.set_state((step.decide)(row.state()?)?);
                device::save(&tx, &mut row).await?;
                if step.voids_orders {
                    void_orders(&tx, &row, now).await?;
                }
                let detail = json!({"reason": why});
                note_change(&tx, &actor, &row, (step.action, detail), now).await?;
                Ok(row)
            }
        });
        let row = row.await?;
        self.wake.device_changed(id);
        self.show(row).await
    }
}

/// A device that will never take an order again: what is open has run out.
async fn void_orders(tx: &Tx, row: &Device, now: Millis) -> Result<(), AppError> {
    for mut open in command::live_of(tx, row.key()).await? {
        if open.advance(Step::Expired, now)? {
            command::save(tx, &open).await?;
            tell(tx, row, &open, now).await?;
        }
    }
    Ok(())
}

/// A certificate is one seal's: no other device has it, in the manifest or in the fleet.
async fn one_certificate_each(tx: &Tx, devices: &[NewDevice]) -> Result<(), AppError> {
    let taken = |at: usize, by: DeviceId| {
        let field = format!("[{at}].cert_sha256");
        let words = (format!("已被 {by} 使用"), format!("{by} has it"));
        Err(AppError::invalid(field, words))
    };
    let mut seen: HashMap<&[u8], (usize, DeviceId)> = HashMap::with_capacity(devices.len());
    for (at, new) in devices.iter().enumerate() {
        let (_, first) = *seen.entry(&new.cert_fingerprint).or_insert((at, new.id));
        if first != new.id {
            return taken(at, first);
        }
    }
    let certificates: Vec<Vec<u8>> = seen.keys().map(|hash| hash.to_vec()).collect();
    for (certificate, holder) in device::with_certificates(tx, &certificates).await? {
        if let Some((at, id)) = seen.get(certificate.as_slice())
            && *id != holder
        {
            return taken(*at, holder);
        }
    }
    Ok(())
}

/// True when the device is new.
async fn import(
    tx: &Tx,
    actor: &Actor,
    at: usize,
    new: &NewDevice,
    now: Millis,
) -> Result<bool, AppError> {
    if let Some(known) = device::find(tx, new.id).await? {
        let same = known.cert_fingerprint == new.cert_fingerprint && known.log_key == new.log_key;
        return match same {
            true => Ok(false),
            false => Err(AppError::invalid(
                format!("[{at}].id"),
                ("该设备已登记，但密钥不同", "known with other keys"),
            )),
        };
    }
    let row = fresh(new, now)?;
    match device::insert(tx, &row).await {
        Err(crate::store::StoreError::Exists(_)) => {
            return Err(AppError::invalid(
                format!("[{at}].serial"),
                ("已被其他设备使用", "another device has it"),
            ));
        }
        done => done?,
    }
    if let Some(version) = new.key_set_version
        && let Some(mut report) = report::lock(tx, new.id).await?
    {
        report.key_set_version = i64::from(version);
        report::save(tx, &report).await?;
    }
    let detail = json!({"model": row.model, "serial": row.serial});
    note_change(tx, actor, &row, ("device.import", detail), now).await?;
    Ok(true)
}

fn fresh(new: &NewDevice, now: Millis) -> Result<Device, AppError> {
    let state = Rules::manufactured().take_into_stock()?;
    Ok(Device {
        id: new.id.to_key(),
        model: new.model.clone(),
        serial: new.serial.clone(),
        name: new.serial.clone(),
        note: String::new(),
        life: state.life.as_str().to_owned(),
        suspended_from: None,
        generation: 0,
        organization_id: None,
        cert_fingerprint: new.cert_fingerprint.to_vec(),
        cert_not_after: None,
        next_cert_fingerprint: None,
        next_cert_not_after: None,
        log_key: new.log_key.to_vec(),
        revoked_at: None,
        desired_locked: false,
        lock_issued_at: None,
        lock_applied_at: None,
        lock_lifted_at: None,
        desired_config: to_json(Settings::default()),
        desired_config_version: 1,
        desired_offline: false,
        counter_lock: 0,
        counter_grant: 0,
        counter_config: 0,
        counter_firmware: 0,
        next_grant_no: 1,
        version: 1,
        created_at: now.0,
    })
}
