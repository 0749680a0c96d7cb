//! What a session says: frames, errors, and the turn of each reliable payload.

use bytes::Bytes;
use sealgate_codec::{ErrorCode, Frame, Message, message::ErrMsg};

use super::{End, Owed, Session};
use crate::devices::link::{Downlink, DownlinkLane, LinkEnd, UplinkLane};

/// After how many seconds a device may repeat what we could not do now.
const RETRY_AFTER_S: u16 = 30;

impl Session {
    /// Sends one message down; `re` names the message it answers.
    pub(super) async fn send(&mut self, re: Option<u16>, message: Message) -> Result<(), End> {
        let kind = message.kind().label();
        let mid = self.next_mid;
        self.next_mid = self.next_mid.checked_add(1).unwrap_or(1);
        let payload = Bytes::from(Frame { mid, re, message }.encode());
        self.hand_down(Downlink::Payload {
            lane: DownlinkLane::Reliable,
            payload,
        })
        .await?;
        let sent = &self.host.metrics.messages_sent;
        sent.with_label_values(&[kind]).inc();
        Ok(())
    }

    /// The bounded way down. A full link makes the session wait, but never outlive its end.
    pub(super) async fn hand_down(&mut self, down: Downlink) -> Result<(), End> {
        let draining = self.draining;
        tokio::select! {
            biased;
            () = self.handle.cancel.cancelled(), if !draining => {
                Err(End::Close(self.handle.close_reason()))
            }
            sent = self.down.send(down) => sent.map_err(|_| End::Link(LinkEnd::Lost)),
        }
    }

    /// Tells the device what was wrong.
    pub(super) async fn send_error(&mut self, re: Option<u16>, code: ErrorCode) -> Result<(), End> {
        let label = format!("{:#06x}", code.number());
        let errors = &self.host.metrics.errors_sent;
        errors.with_label_values(&[&label]).inc();
        let retry = matches!(code, ErrorCode::RetryLater).then_some(RETRY_AFTER_S);
        self.send(re, Message::Err(ErrMsg { code, retry })).await
    }

    /// A final rejection: counted, told, and acknowledged in its turn, so that it is not sent for ever.
    pub(super) async fn reject(
        &mut self,
        lane: UplinkLane,
        mid: Option<u16>,
        code: ErrorCode,
    ) -> Result<(), End> {
        self.send_error(mid, code).await?;
        self.owe_turn(lane);
        Ok(())
    }

    /// All effects of a payload are there; it is acknowledged after those that came before it.
    pub(super) fn owe_turn(&mut self, lane: UplinkLane) {
        if lane != UplinkLane::Telemetry {
            self.owed.push_back(Owed::Turn);
        }
    }

    /// Settles everything under way, for an orderly end.
    pub(super) async fn settle_all(&mut self) -> Result<(), End> {
        self.draining = true;
        while !self.owed.is_empty() {
            let outcome = super::settled(&mut self.owed).await;
            self.settle(outcome).await?;
        }
        Ok(())
    }
}
