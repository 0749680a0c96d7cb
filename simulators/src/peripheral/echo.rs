//! A peripheral that sends back what it gets: enough to test a medium with.

use bytes::Bytes;

use super::{Link, Peripheral};
use crate::tasks;

/// Sends every value back, cut to what one notification carries.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    information: Bytes,
}

impl Echo {
    /// An echo whose information characteristic reads these bytes.
    #[must_use]
    pub fn with_information(information: impl Into<Bytes>) -> Self {
        Self {
            information: information.into(),
        }
    }
}

impl Peripheral for Echo {
    fn connected(&mut self, mut link: Link) {
        let longest = link.medium().payload().unwrap_or(usize::MAX);
        tasks::spawn("echo", async move {
            while let Some(mut value) = link.recv().await {
                value.truncate(longest);
                if link.send(value).await.is_err() {
                    break;
                }
            }
        });
    }

    fn information(&self) -> Bytes {
        self.information.clone()
    }
}
