//! OFF-1: offline mode ended with its grant, and the owner is told.

use sealgate_domain::DeviceId;

use super::{App, AppError};
use crate::{
    providers::sms::{Message, Template},
    store::{device, member},
};

impl App {
    /// Tells the owner. A device that belongs to nobody has nobody to tell.
    ///
    /// # Errors
    /// The provider, or the database.
    pub async fn notify_offline_mode_ended(&self, id: DeviceId) -> Result<(), AppError> {
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
            template: Template::Notice,
            text: format!(
                "【Sealgate】设备“{}”的授权已结束，无网络模式已自动关闭。",
                row.name
            ),
            at: self.clock.now(),
        };
        Ok(self.providers.sms.send(message).await?)
    }
}
