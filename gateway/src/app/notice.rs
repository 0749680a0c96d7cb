//! Text messages about what a device did. Sent after the commit that made it true.

use sealgate_domain::{DeviceId, Millis};

use crate::{
    providers::sms::{Message, Template},
    store::{device, member, report},
};

use super::{App, AppError};

impl App {
    /// Has the device told its position since then?
    ///
    /// # Errors
    /// The database.
    pub async fn located_since(&self, id: DeviceId, since: Millis) -> Result<bool, AppError> {
        let report = report::find(&self.store.read(), id).await?;
        Ok(report.and_then(|report| report.position_at) >= Some(since.0))
    }

    /// A lock or unlock took effect: tells the owner, with the last position and how old it is (LOCK-1).
    ///
    /// # Errors
    /// The provider, or the database.
    pub async fn notify_lock(&self, id: DeviceId, locked: bool) -> Result<(), AppError> {
        let now = self.clock.now();
        let report = report::find(&self.store.read(), id).await?;
        let place = report
            .as_ref()
            .map_or_else(unknown, |report| place(report, now));
        let what = if locked {
            "已锁定"
        } else {
            "已解除锁定"
        };
        let text = |name: &str| format!("【Sealgate】设备“{name}”{what}。{place}");
        self.tell_owner(id, Template::Lock, text).await
    }

    /// Offline mode ended with its grant: tells the owner (OFF-1).
    ///
    /// # Errors
    /// The provider, or the database.
    pub async fn notify_offline_mode_ended(&self, id: DeviceId) -> Result<(), AppError> {
        let text =
            |name: &str| format!("【Sealgate】设备“{name}”的授权已结束，无网络模式已自动关闭。");
        self.tell_owner(id, Template::Notice, text).await
    }

    /// Sends the owner of a device a text made with the device's name. A device that belongs to nobody has nobody to
    /// tell.
    async fn tell_owner(
        &self,
        id: DeviceId,
        template: Template,
        text: impl FnOnce(&str) -> String,
    ) -> Result<(), AppError> {
        let reader = self.store.read();
        let Some(row) = device::find(&reader, id).await? else {
            return Ok(());
        };
        let Some(organization) = row.organization() else {
            return Ok(());
        };
        let Some(owner) = member::owner(&reader, organization).await? else {
            return Ok(());
        };
        let message = Message {
            phone: owner.phone,
            template,
            text: text(&row.name),
            at: self.clock.now(),
        };
        Ok(self.providers.sms.send(message).await?)
    }
}

fn unknown() -> String {
    "位置未知。".to_owned()
}

fn place(report: &report::Row, now: Millis) -> String {
    let Some((lat, lon)) = report.lat_e7.zip(report.lon_e7) else {
        return unknown();
    };
    let degrees = |e7: i32| f64::from(e7) / 1e7;
    let age = report.position_at.map_or_else(String::new, |at| {
        format!("（{}前）", age((now.0 - at).max(0)))
    });
    format!(
        "最后位置：纬度{:.5}，经度{:.5}{age}。",
        degrees(lat),
        degrees(lon)
    )
}

/// An age in the largest unit that fits.
fn age(millis: i64) -> String {
    let seconds = millis / Millis::SECOND;
    match seconds {
        ..60 => format!("{seconds}秒"),
        60..3_600 => format!("{}分钟", seconds / 60),
        3_600..86_400 => format!("{}小时", seconds / 3_600),
        _ => format!("{}天", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_fits() {
        let of = |seconds| age(seconds * Millis::SECOND);
        assert_eq!(of(0), "0秒");
        assert_eq!(of(59), "59秒");
        assert_eq!(of(60), "1分钟");
        assert_eq!(of(7_199), "1小时");
        assert_eq!(of(200_000), "2天");
    }
}
