//! Settings of a device: what is wanted and what it reports (MGMT-1).

use sealgate_domain::{CommandId, DeviceId, settings::Settings};
use serde_json::{Value, json};

use crate::store::{Lane, report};

use super::{
    super::{Actor, App, AppError, access::Permission, order::Order},
    Device, Report, issue, load, repeated,
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
        actor.may(Permission::ConfigureDevice)?;
        let wanted = wanted.check()?;
        let now = self.clock.now();
        self.change(Lane::Priority, |tx| {
            let actor = actor.clone();
            async move {
                let mut row = load(&tx, &actor, id).await?;
                let report = report::find(&tx, id).await?;
                if let Some(made) = repeated(&tx, &actor, now).await? {
                    return Ok((shown(&row, report.as_ref()), made.key()));
                }
                if row.desired_config_version != version {
                    return Err(AppError::Stale {
                        current: row.desired_config_version,
                    });
                }
                row.state()?.check_bound()?;
                row.desired_config = to_json(wanted);
                row.desired_config_version += 1;
                let order = Order::Config {
                    version: u32::try_from(row.desired_config_version).unwrap_or(u32::MAX),
                    backlight_s: wanted.backlight_s,
                    auto_off_min: wanted.auto_off_min,
                };
                let what = ("device.configure", to_json(wanted));
                let command = issue(&tx, &actor, &mut row, &order, what, now).await?;
                Ok((shown(&row, report.as_ref()), command.key()))
            }
        })
        .await
    }
}
