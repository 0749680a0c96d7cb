//! Settings of a device: what is wanted and what it reports (MGMT-1).

use sealgate_domain::{CommandId, DeviceId, settings::Settings};
use serde_json::{Value, json};

use crate::store::report;

use super::{
    super::{Actor, App, AppError, access::Permission},
    Device, Report,
};

/// Wanted and reported settings.
#[derive(Debug, Clone, Copy)]
pub struct SettingsShown {
    /// Wanted.
    pub desired: Settings,
    /// Version of the wanted ones.
    pub desired_version: i64,
    /// Reported; `None` before the first report.
    pub reported: Option<Settings>,
    /// Version of the reported ones.
    pub reported_version: Option<i64>,
}

/// As rows keep settings.
pub(super) fn to_json(settings: Settings) -> Value {
    json!({"backlight_s": settings.backlight_s, "auto_off_min": settings.auto_off_min})
}

fn from_json(value: &Value) -> Settings {
    let fallback = Settings::default();
    let read = |name: &str, fallback: u16| {
        let number = value[name].as_u64().and_then(|n| u16::try_from(n).ok());
        number.unwrap_or(fallback)
    };
    Settings {
        backlight_s: read("backlight_s", fallback.backlight_s),
        auto_off_min: read("auto_off_min", fallback.auto_off_min),
    }
}

fn shown(device: &Device, report: Option<&Report>) -> SettingsShown {
    SettingsShown {
        desired: from_json(&device.desired_config),
        desired_version: device.desired_config_version,
        reported: report
            .and_then(|report| report.config.as_ref())
            .map(from_json),
        reported_version: report.and_then(|report| report.config_version),
    }
}

impl App {
    /// A device's settings.
    ///
    /// # Errors
    /// No access, no such device, or the database.
    pub async fn device_settings(
        &self,
        actor: &Actor,
        id: DeviceId,
    ) -> Result<SettingsShown, AppError> {
        actor.may(Permission::ReadDevices)?;
        let row = self.seen(actor, id).await?;
        let report = report::find(&self.store.read(), id).await?;
        Ok(shown(&row, report.as_ref()))
    }

    /// Changes the wanted settings that are at `version`; they reach the device now or at its next connection.
    ///
    /// # Errors
    /// No access, no such device, another version, a rule, or the database.
    pub async fn configure_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        version: i64,
        wanted: Settings,
    ) -> Result<(SettingsShown, CommandId), AppError> {
        let (row, command) = self.order_settings(actor, id, version, wanted).await?;
        let report = report::find(&self.store.read(), id).await?;
        Ok((shown(&row, report.as_ref()), command.key()))
    }
}
