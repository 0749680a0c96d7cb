//! Text messages that committed events call for (LOCK-1, OFF-1). How far they were sent is kept in the database: after
//! a crash a message may come twice, but none is forgotten.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sealgate_domain::{DeviceId, Millis};

use super::Parts;
use crate::app::{
    AppError,
    outbox::{Committed, Topic},
};

/// Name of the mark in the database.
const MARK: &str = "notices";
/// Events of one read.
const PAGE: u64 = 256;
/// Tries of one message; then it is given up, counted and logged.
const TRIES: u32 = 5;
/// Wait before the second try; doubles.
const RETRY: Duration = Duration::from_millis(500);
/// Messages at a time.
const AT_ONCE: usize = 64;
/// Looks for the position that a seal sends right after it was locked (LOCK-1).
const LOOKS: u32 = 20;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Sends what is due, for ever.
pub(super) async fn send(parts: Parts) -> Result<(), AppError> {
    let mut positions = parts.app.wake.positions();
    let mut after = parts.app.mark(MARK).await?;
    loop {
        let topics = [Topic::Command, Topic::Device];
        let page = parts.app.committed_about(after, PAGE, &topics).await?;
        stream::iter(&page.events)
            .for_each_concurrent(AT_ONCE, |event| notify(&parts, event))
            .await;
        if page.after > after {
            after = page.after;
            // Writing the mark for every stamp would cost more than a repeated look.
            if !page.events.is_empty() {
                parts.app.set_mark(MARK, after).await?;
            }
            continue;
        }
        if positions.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn notify(parts: &Parts, event: &Committed) {
    let text = |key: &str| event.payload.get(key).and_then(|value| value.as_str());
    let Some(device) = event.device else {
        return;
    };
    let locked = match (event.topic, text("op"), text("state"), text("change")) {
        (Topic::Command, Some("lock"), Some("applied"), _) => Some(true),
        (Topic::Command, Some("unlock"), Some("applied"), _) => Some(false),
        (Topic::Device, _, _, Some("offline_mode_ended")) => None,
        _ => return,
    };
    if locked == Some(true) {
        await_position(parts, device, event.at).await;
    }
    let mut wait = RETRY;
    for _ in 0..TRIES {
        let sent = match locked {
            Some(locked) => parts.app.notify_lock(device, locked).await,
            None => parts.app.notify_offline_mode_ended(device).await,
        };
        let Err(error) = sent else {
            parts.metrics.sms.with_label_values(&["sent"]).inc();
            return;
        };
        tracing::warn!(%device, %error, "a text message was not sent");
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    parts.metrics.sms.with_label_values(&["failed"]).inc();
}

/// The position at the lock, if it comes soon; a seal that does not know where it is sends none.
async fn await_position(parts: &Parts, device: DeviceId, locked_at: Millis) {
    for _ in 0..LOOKS {
        // An error is met again where the message is made.
        if parts
            .app
            .located_since(device, locked_at)
            .await
            .unwrap_or(true)
        {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
