//! One link of a seal, and what waits for it.

use std::collections::{HashMap, VecDeque};

use sealgate_codec::{
    MessageType,
    edge::{PassResult, SealFrame},
    link::{BoxLink, Link as _, Millis, Received, SendError},
};

use super::core::Output;

/// A link that is there, opening or open.
pub(super) struct Live {
    pub(super) machine: BoxLink,
    pub(super) ble: bool,
    /// Something was said last.
    pub(super) busy: Millis,
    /// HELLO of this link, until it went up.
    pub(super) hello: Option<Vec<u8>>,
    /// HELLO of this link went up on the present or an earlier stream.
    pub(super) told: bool,
    /// RECEIVED that found no room in the link.
    pub(super) received: Option<Received>,
    /// Sent through the link, not delivered: the machine's number -> the gateway's.
    pub(super) under_way: HashMap<u32, u32>,
    /// From the gateway, waiting for room.
    pub(super) waiting: VecDeque<(u32, Vec<u8>)>,
}

impl Live {
    /// Gives the machine what waits for it, as far as it has room.
    pub(super) fn feed(&mut self, now: Millis, out: &mut VecDeque<Output>) {
        if let Some(received) = self.received
            && self.machine.received(received, now).is_ok()
        {
            self.received = None;
        }
        while let Some((n, message)) = self.waiting.front() {
            let n = *n;
            let result = match self.machine.send(message, now) {
                Ok(id) => {
                    self.under_way.insert(id, n);
                    None
                }
                Err(SendError::Full) => return,
                Err(SendError::Restricted) => Some(PassResult::Restricted),
                Err(SendError::NotOpen | SendError::Length(_)) => Some(PassResult::NoLink),
            };
            self.waiting.pop_front();
            if let Some(result) = result {
                out.push_back(Output::Up(SealFrame::Pass { n, result }));
            }
        }
    }
}

/// What is kept until the gateway has it. The rest is worth nothing later.
pub(super) const fn is_evidence(kind: MessageType) -> bool {
    matches!(
        kind,
        MessageType::Stamps
            | MessageType::Event
            | MessageType::CmdAck
            | MessageType::OtaStat
            | MessageType::FpProg
    )
}
