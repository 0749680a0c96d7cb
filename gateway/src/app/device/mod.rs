//! Devices as people see them, and what can be ordered of them.
//!
//! An order is a row written in the transaction that decided it; whether the device is connected is read from its
//! report, and a one-shot without a live session is refused at once.

mod certificate;
mod fleet;
mod log;
mod order;
mod settings;
mod wish;

use std::collections::HashMap;

use sealgate_domain::{
    DeviceId, Millis, device as rules,
    grant::Flags,
    screen::{Screen, ScreenFacts, screen},
};
use serde_json::{Value, json};

use crate::store::{Lane, Reader, Topic, Tx, audit, device, grant, report};

use super::{Actor, App, AppError, Change, access::Permission};

pub use crate::store::{
    device::{DeviceFilter, Row as Device},
    report::Row as Report,
};
pub use fleet::{Imported, NewDevice};
pub use log::{LogHead, LogPlace, LogShown, LogState, LogStep};
pub use settings::SettingsShown;

/// A device with what it reported.
#[derive(Debug, Clone)]
pub struct DeviceShown {
    /// What it is and what is wanted of it.
    pub device: Device,
    /// What it reported.
    pub report: Option<Report>,
    /// What its screen says (DEV-2).
    pub screen: Screen,
    /// Why it is suspended; only filled in for a device that is shown by itself.
    pub suspended_reason: Option<String>,
}

/// What to change; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DeviceChange {
    /// Its name.
    pub name: Option<String>,
    /// A manager's note.
    pub note: Option<String>,
}

impl App {
    /// Devices behind `after`.
    ///
    /// # Errors
    /// No access, a foreign organization, or the database.
    pub async fn devices(
        &self,
        actor: &Actor,
        filter: DeviceFilter,
        after: Option<DeviceId>,
        limit: u32,
    ) -> Result<Vec<DeviceShown>, AppError> {
        actor.may(Permission::ReadDevices)?;
        let filter = DeviceFilter {
            organization: actor.narrowed(filter.organization)?,
            ..filter
        };
        let reader = self.store.read();
        let rows = device::list(&reader, &filter, after, limit.into()).await?;
        shown(&reader, rows, self.clock.now()).await
    }

    /// One device.
    ///
    /// # Errors
    /// No access, no such device, or the database.
    pub async fn device(&self, actor: &Actor, id: DeviceId) -> Result<DeviceShown, AppError> {
        actor.may(Permission::ReadDevices)?;
        let row = self.seen(actor, id).await?;
        self.show(row).await
    }

    /// Renames a device, edits its note (MGMT-1).
    ///
    /// # Errors
    /// No access, no such device, a rule, or the database.
    pub async fn update_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        change: DeviceChange,
    ) -> Result<DeviceShown, AppError> {
        actor.may(Permission::EditDevice)?;
        let now = self.clock.now();
        let name = change.name.as_deref().map(rules::name).transpose()?;
        let note = change.note.as_deref().map(rules::note).transpose()?;
        let row = self.change(Lane::Normal, |tx| {
            let (actor, name, note) = (actor.clone(), name.clone(), note.clone());
            async move {
                let mut row = load(&tx, &actor, id).await?;
                row.name = name.unwrap_or(row.name);
                row.note = note.unwrap_or(row.note);
                device::save(&tx, &mut row).await?;
                let detail = json!({"name": row.name, "note": row.note});
                note_change(&tx, &actor, &row, ("device.update", detail), now).await?;
                Ok(row)
            }
        });
        self.show(row.await?).await
    }

    /// One device the actor may know of.
    pub(super) async fn seen(&self, actor: &Actor, id: DeviceId) -> Result<Device, AppError> {
        let found = device::find(&self.store.read(), id).await?;
        visible(found, actor)
    }

    pub(super) async fn show(&self, row: Device) -> Result<DeviceShown, AppError> {
        let reader = self.store.read();
        let rows = shown(&reader, vec![row], self.clock.now()).await?;
        let mut shown = rows.into_iter().next();
        if let Some(shown) = &mut shown {
            shown.suspended_reason = suspended_reason(&reader, &shown.device).await?;
        }
        shown.ok_or(AppError::NotFound("device"))
    }
}

fn visible(found: Option<Device>, actor: &Actor) -> Result<Device, AppError> {
    let row = found.ok_or(AppError::NotFound("device"))?;
    actor.must_see(row.organization(), "device")?;
    Ok(row)
}

/// Loads a device the actor may know of, kept from others until the commit.
pub(super) async fn load(tx: &Tx, actor: &Actor, id: DeviceId) -> Result<Device, AppError> {
    visible(device::lock(tx, id).await?, actor)
}

/// Has it a live session?
pub(super) async fn connected(r: &Reader, id: DeviceId) -> Result<bool, AppError> {
    let report = report::find(r, id).await?;
    Ok(report.is_some_and(|report| report.connected))
}

/// Audit and event of a change to a device.
pub(super) async fn note_change(
    tx: &Tx,
    actor: &Actor,
    row: &Device,
    (action, detail): (&'static str, Value),
    at: Millis,
) -> Result<(), AppError> {
    let change = Change {
        at,
        organization: row.organization(),
        device: Some(row.key()),
        action,
        subject: row.key().to_string(),
        detail,
    };
    Ok(change.record(tx, actor, Topic::Device).await?)
}

async fn shown(r: &Reader, rows: Vec<Device>, now: Millis) -> Result<Vec<DeviceShown>, AppError> {
    let ids: Vec<_> = rows.iter().map(Device::key).collect();
    let mut reports: HashMap<_, _> = report::of(r, &ids)
        .await?
        .into_iter()
        .map(|report| (report.device(), report))
        .collect();
    let mut grants = HashMap::new();
    for row in grant::open_of_all(r, &ids).await? {
        // In order of their numbers: the newest stays.
        grants.insert(row.device(), row);
    }
    rows.into_iter()
        .map(|device| {
            let report = reports.remove(&device.key());
            let grant = grants.get(&device.key());
            let screen = screen(&facts(&device, report.as_ref(), grant, now)?);
            Ok(DeviceShown {
                device,
                report,
                screen,
                suspended_reason: None,
            })
        })
        .collect()
}

fn facts(
    device: &Device,
    report: Option<&Report>,
    grant: Option<&grant::Row>,
    now: Millis,
) -> Result<ScreenFacts, AppError> {
    let storage_full = report.is_some_and(|report| {
        let held = report.log_next.zip(report.log_first);
        let held = held.map(|(next, first)| next - first);
        held.zip(report.log_capacity)
            .is_some_and(|(held, capacity)| held >= capacity)
    });
    Ok(ScreenFacts {
        life: device.state()?.life,
        locked: report.and_then(|report| report.locked) == Some(true),
        storage_full,
        connected: report.is_some_and(|report| report.connected),
        offline_mode: report.and_then(|report| report.offline_mode) == Some(true),
        grant: grant.map(|grant| grant.state().state(now)),
        fingerprint: grant.is_some_and(|grant| grant.flags().has(Flags::FINGERPRINT)),
    })
}

/// What the audit gives as the reason, by people or by the platform.
async fn suspended_reason(r: &Reader, device: &Device) -> Result<Option<String>, AppError> {
    if device.state()?.life != rules::Life::Suspended {
        return Ok(None);
    }
    let mark = audit::Mark::Suspension;
    let row = audit::newest_of(r, device.key(), device.organization(), mark).await?;
    let detail = row.and_then(|row| row.detail);
    let reason = detail.as_ref().and_then(|detail| detail["reason"].as_str());
    Ok(reason.filter(|text| !text.is_empty()).map(str::to_owned))
}

/// A reason people give, trimmed.
fn reason(text: &str) -> Result<String, AppError> {
    let text = text.trim();
    if text.chars().count() > 200 {
        return Err(AppError::invalid(
            "reason",
            ("最多200个字符", "at most 200 characters"),
        ));
    }
    Ok(text.to_owned())
}
