//! What a device receives: payloads to packets, a window of unacknowledged ones, and a short backlog behind it.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};

use super::{session::Client, topics::Topics};
use crate::{
    devices::link::DownlinkLane,
    ingress::mqtt::{
        Version,
        encode::{self, Name},
    },
};

/// Payloads held while the window is full; then the session is not read either.
const BACKLOG: usize = 64;

/// The way down of one session.
#[derive(Debug)]
pub(super) struct Outbound {
    /// Packet ids sent and not acknowledged, oldest first, and when they left.
    in_flight: VecDeque<(u16, Duration)>,
    backlog: VecDeque<Bytes>,
    last_id: u16,
    /// QoS of `d`: 1 unless the client asked for 0.
    pub(super) qos: u8,
    /// Which aliases the client has heard of.
    defined: [bool; 2],
}

/// What became of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Written,
    Held,
    TooLarge,
}

impl Outbound {
    pub(super) fn new() -> Self {
        Self {
            in_flight: VecDeque::new(),
            backlog: VecDeque::new(),
            last_id: 0,
            qos: 1,
            defined: [false; 2],
        }
    }

    /// Is there room for one more payload?
    pub(super) fn ready(&self) -> bool {
        self.backlog.len() < BACKLOG
    }

    /// When the oldest unacknowledged message left.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.in_flight.front().map(|(_, sent)| *sent)
    }

    /// Sends a payload, or holds it while the window is full.
    pub(super) fn send(
        &mut self,
        to: (&Client, &Topics),
        lane: DownlinkLane,
        payload: Bytes,
        now: Duration,
        out: &mut BytesMut,
    ) -> Sent {
        let acked = lane == DownlinkLane::Reliable && self.qos == 1;
        if acked
            && (self.in_flight.len() >= usize::from(to.0.in_flight) || !self.backlog.is_empty())
        {
            self.backlog.push_back(payload);
            return Sent::Held;
        }
        self.write(to, lane, acked, &payload, now, out)
    }

    /// Takes an acknowledgement and sends what waited for it. Says how many packets left.
    pub(super) fn acknowledged(
        &mut self,
        to: (&Client, &Topics),
        id: u16,
        now: Duration,
        out: &mut BytesMut,
    ) -> usize {
        if let Some(index) = self.in_flight.iter().position(|(sent, _)| *sent == id) {
            self.in_flight.remove(index);
        }
        let mut left = 0;
        while self.in_flight.len() < usize::from(to.0.in_flight) {
            let Some(payload) = self.backlog.pop_front() else {
                break;
            };
            let sent = self.write(
                to,
                DownlinkLane::Reliable,
                self.qos == 1,
                &payload,
                now,
                out,
            );
            left += usize::from(sent == Sent::Written);
        }
        left
    }

    /// Is anything unacknowledged?
    pub(super) fn waits(&self) -> bool {
        !self.in_flight.is_empty()
    }

    fn write(
        &mut self,
        (client, topics): (&Client, &Topics),
        lane: DownlinkLane,
        acked: bool,
        payload: &[u8],
        now: Duration,
        out: &mut BytesMut,
    ) -> Sent {
        let topic = topics.name(lane);
        let index = usize::from(lane == DownlinkLane::Block);
        let alias = u16::from(lane == DownlinkLane::Block) + 1;
        let name = if client.version == Version::V4 || alias > client.alias_maximum {
            Name::Full(topic.as_str())
        } else if self.defined[index] {
            Name::Alias(alias)
        } else {
            Name::Define(topic.as_str(), alias)
        };
        if encode::publish_size(client.version, name, acked, payload.len()) > client.max_packet {
            return Sent::TooLarge;
        }
        let id = acked.then(|| self.next_id());
        if let Some(id) = id {
            self.in_flight.push_back((id, now));
        }
        encode::publish(out, client.version, name, id, payload);
        self.defined[index] |= matches!(name, Name::Define(..));
        Sent::Written
    }

    /// The next id that is not 0 and not in flight; the window is far smaller than the space.
    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let taken = self.in_flight.iter().any(|(id, _)| *id == self.last_id);
            if self.last_id != 0 && !taken {
                return self.last_id;
            }
        }
    }
}
