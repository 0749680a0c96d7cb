//! Commands of one session: sending, answers, what an answer changes.

use sealgate_codec::{
    ErrorCode, Message,
    message::{CmdAck, CmdStatus},
};
use sealgate_domain::command::Domain;

use super::{End, Session};
use crate::{
    app::command::{Answer, DeviceAnswer},
    devices::mailbox::Outgoing,
};

/// Answers kept until HELLO: only the lock of power-on is sent that early.
const EARLY: usize = 4;

/// Needs it HELLO to tell whether the answer is for our ticket? One that was not let in took no counter.
fn proves_nothing(answer: Answer) -> bool {
    let stale = ErrorCode::CounterStale.number();
    !matches!(answer, Answer::Rejected(code) if code != stale && (0x0200..=0x02ff).contains(&code))
}

impl Session {
    /// Sends a command, unless it or a newer one of its domain is under way.
    pub(super) async fn launch(&mut self, command: Outgoing) -> Result<(), End> {
        let now = self.host.clock.monotonic();
        let patience = self.host.settings.patience;
        if self.flight.launch(command.clone(), patience, now) {
            self.send_command(&command).await?;
        }
        Ok(())
    }

    pub(super) async fn send_command(&mut self, command: &Outgoing) -> Result<(), End> {
        self.send(None, Message::Cmd(command.cose.to_vec())).await
    }

    /// CMD-ACK: the command's row moves on, and what it did to the device with it.
    pub(super) async fn on_command_answer(&mut self, answer: CmdAck) -> Result<(), End> {
        let Some(domain) = Domain::from_number(answer.domain.number()) else {
            return Ok(());
        };
        let told = DeviceAnswer {
            device: self.device,
            domain,
            counter: answer.ctr,
            answer: match answer.status {
                CmdStatus::Applied => Answer::Applied,
                CmdStatus::Accepted => Answer::Accepted,
                CmdStatus::Rejected => Answer::Rejected(answer.err.map_or(0, |code| code.number())),
            },
        };
        if self.greeting.is_none() && proves_nothing(told.answer) {
            self.flight.answered(domain.number(), answer.ctr);
            if self.early.len() < EARLY {
                self.early.push(told);
            }
            return Ok(());
        }
        let changed = self
            .host
            .app
            .command_answered(told)
            .await
            .map_err(|error| self.store_failed(&error))?;
        self.flight.answered(domain.number(), answer.ctr);
        if changed {
            self.host.fleet.forget(self.device);
            self.refresh().await?;
        }
        // The lease goes first: without signed time the device could not take a grant that follows.
        self.lease_if_owed().await?;
        self.launch_waiting().await
    }

    /// Sends what waits for its turn.
    pub(super) async fn launch_waiting(&mut self) -> Result<(), End> {
        let next = self
            .host
            .app
            .claim_of(self.device, false)
            .await
            .map_err(|error| self.store_failed(&error))?;
        for command in next {
            self.launch(super::outgoing(command)).await?;
        }
        Ok(())
    }
}
