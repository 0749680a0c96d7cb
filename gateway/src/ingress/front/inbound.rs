//! What a device sends: packets to payloads, and the acknowledgements it is owed.
//!
//! Invariant: acknowledgements leave in order of arrival. Every QoS 1 message takes a place in [`Owed`] when it is
//! read; a place is ready once its message is durable (or needs nothing), and only ready places at the front leave.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};

use super::topics::{ALIASES, Topics};
use crate::{
    devices::link::{DownlinkLane, UplinkLane},
    ingress::{
        mqtt::{Fault, Version, decode::Publish, encode, reason},
        rate::Rate,
    },
};

/// The way up of one session.
#[derive(Debug)]
pub(super) struct Inbound {
    /// The one message the session has not taken yet; nothing is read meanwhile.
    pub(super) pending: Option<(UplinkLane, Bytes)>,
    pub(super) owed: Owed,
    pub(super) rate: Rate,
    /// Too fast: nothing is read until then.
    pub(super) throttled: Option<Duration>,
    aliases: [Option<UplinkLane>; ALIASES as usize],
    receive_maximum: usize,
}

impl Inbound {
    pub(super) fn new(rate: Rate, receive_maximum: u16) -> Self {
        Self {
            pending: None,
            owed: Owed::default(),
            rate,
            throttled: None,
            aliases: [None; ALIASES as usize],
            receive_maximum: usize::from(receive_maximum),
        }
    }

    /// May the next packet be decoded? A 3.1.1 client cannot know our limit, so we stop instead.
    pub(super) fn ready(&self, version: Version) -> bool {
        self.pending.is_none()
            && self.throttled.is_none()
            && (version == Version::V5 || self.owed.len() < self.receive_maximum)
    }

    /// Takes a message; its acknowledgement, if owed, keeps its place in the order.
    pub(super) fn publish(
        &mut self,
        topics: &Topics,
        version: Version,
        publish: Publish,
        out: &mut BytesMut,
    ) -> Result<(), Fault> {
        let lane = self.lane(topics, &publish)?;
        if version == Version::V5 && publish.qos == 1 && self.owed.len() >= self.receive_maximum {
            return Err(Fault::ReceiveMaximum);
        }
        match (lane, publish.qos) {
            (UplinkLane::Telemetry, 0) => {}
            (UplinkLane::Telemetry, _) => self.owed.settled(publish.id, out),
            // With QoS 0 the session still answers, but nobody is told.
            (UplinkLane::Reliable | UplinkLane::Farewell, _) => self.owed.push(publish.id),
        }
        self.pending = Some((lane, publish.payload));
        Ok(())
    }

    fn lane(&mut self, topics: &Topics, publish: &Publish) -> Result<UplinkLane, Fault> {
        let slot = match publish.alias {
            None => None,
            Some(alias @ 1..=ALIASES) => Some(&mut self.aliases[usize::from(alias) - 1]),
            Some(_) => return Err(Fault::Alias),
        };
        match (slot, publish.topic.is_empty()) {
            (Some(slot), true) => slot.ok_or(Fault::Protocol),
            (slot, _) => {
                let lane = topics.up(&publish.topic).ok_or(Fault::ForeignTopic)?;
                if let Some(slot) = slot {
                    *slot = Some(lane);
                }
                Ok(lane)
            }
        }
    }
}

/// Acknowledgements owed, oldest first.
#[derive(Debug, Default)]
pub(super) struct Owed {
    places: VecDeque<Place>,
}

#[derive(Debug)]
struct Place {
    /// 0: nobody waits for it.
    id: u16,
    ready: bool,
}

impl Owed {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn push(&mut self, id: u16) {
        self.places.push_back(Place { id, ready: false });
    }

    /// A message that needs no commit: acknowledged at once, but not before older ones.
    fn settled(&mut self, id: u16, out: &mut BytesMut) {
        self.places.push_back(Place { id, ready: true });
        self.leave(out);
    }

    /// The oldest message that waits is durable. Says whether there was one.
    pub(super) fn accepted(&mut self, out: &mut BytesMut) -> bool {
        let Some(place) = self.places.iter_mut().find(|place| !place.ready) else {
            return false;
        };
        place.ready = true;
        self.leave(out);
        true
    }

    fn leave(&mut self, out: &mut BytesMut) {
        while let Some(place) = self.places.pop_front_if(|place| place.ready) {
            if place.id != 0 {
                encode::puback(out, place.id);
            }
        }
    }
}

/// Answers a SUBSCRIBE: own topics down with at most their QoS, nothing else. Says which QoS `d` now has, if it
/// was asked for, and how many filters were refused.
pub(super) fn subscribe(
    topics: &Topics,
    version: Version,
    filters: &[(String, u8)],
) -> (Vec<u8>, Option<u8>, usize) {
    let (mut commands, mut refused) = (None, 0);
    let codes = filters
        .iter()
        .map(|(filter, qos)| match topics.down(filter.as_bytes()) {
            Some(DownlinkLane::Reliable) => {
                let granted = (*qos).min(1);
                commands = Some(granted);
                granted
            }
            Some(DownlinkLane::Block) => 0,
            None => {
                refused += 1;
                if version == Version::V5 {
                    reason::NOT_AUTHORIZED
                } else {
                    0x80
                }
            }
        });
    let codes = codes.collect();
    (codes, commands, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_leave_in_order_of_arrival() {
        let (mut owed, mut out) = (Owed::default(), BytesMut::new());
        owed.push(1);
        owed.settled(2, &mut out);
        owed.push(0);
        owed.push(3);
        assert!(out.is_empty(), "2 waits for 1");
        assert!(owed.accepted(&mut out));
        assert_eq!(&out[..], [0x40, 2, 0, 1, 0x40, 2, 0, 2]);
        assert!(owed.accepted(&mut out));
        assert_eq!(out.len(), 8, "QoS 0 is answered by silence");
        assert!(owed.accepted(&mut out));
        assert_eq!(&out[8..], [0x40, 2, 0, 3]);
        assert!(!owed.accepted(&mut out));
    }
}
