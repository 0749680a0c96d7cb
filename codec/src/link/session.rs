//! The open link, the same at both ends: messages cut into segments, one segment unanswered in each direction, sent again
//! until it is acknowledged.
//!
//! Invariants:
//! - A packet counts only when its tag verifies and its counter is above all before; so replays and old packets do nothing.
//! - A segment is taken only when it is the next one, and acknowledged whenever it comes.

use alloc::{collections::VecDeque, vec::Vec};

use super::{
    CloseCode, CloseReason, Framer, LinkEvent, LinkLimits, MAX_LINK_MESSAGE, MAX_QUEUED, Millis,
    PacketKind, Plain, PlainKind, SendError, noise::Keys,
};

/// Chunks that may wait to be written; what an owner does not take, a peer cannot pile up.
const MAX_OUTPUT: usize = 256;

/// What both machines have besides their keys: framing, output, events.
pub(super) struct Wire {
    pub(super) framer: Framer,
    pub(super) limits: LinkLimits,
    output: VecDeque<Vec<u8>>,
    events: VecDeque<LinkEvent>,
    closed: bool,
}

impl Wire {
    pub(super) fn new(framer: Framer, limits: LinkLimits) -> Self {
        Self {
            framer,
            limits,
            output: VecDeque::new(),
            events: VecDeque::new(),
            closed: false,
        }
    }

    pub(super) fn write(&mut self, kind: PacketKind, bytes: Vec<u8>) {
        if self.output.len() < MAX_OUTPUT {
            self.output.extend(self.framer.pack(kind, bytes));
        }
    }

    pub(super) fn event(&mut self, event: LinkEvent) {
        if !self.closed {
            self.events.push_back(event);
        }
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        self.event(LinkEvent::Closed(reason));
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.output.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }
}

/// A segment on its way.
struct Flight {
    kind: PlainKind,
    segment: u16,
    data: Vec<u8>,
    tries: u32,
    due: Millis,
}

struct Outgoing {
    /// What the owner knows it by; the machine's own messages have none.
    id: Option<u32>,
    bytes: Vec<u8>,
    /// Bytes in segments that were cut off already.
    cut: usize,
}

pub(super) struct Session {
    keys: Keys,
    /// Counter of the next packet sent.
    counter: u32,
    /// Highest counter taken.
    highest: Option<u32>,
    /// Number of the next segment sent, and of the one expected.
    next: u16,
    expected: u16,
    flight: Option<Flight>,
    queue: VecDeque<Outgoing>,
    next_id: u32,
    assembly: Vec<u8>,
    owes_ack: bool,
    heard: Millis,
    pinged: Millis,
}

impl Session {
    pub(super) fn new(keys: Keys, now: Millis) -> Self {
        Self {
            keys,
            counter: 0,
            highest: None,
            next: 0,
            expected: 0,
            flight: None,
            queue: VecDeque::new(),
            next_id: 0,
            assembly: Vec::new(),
            owes_ack: false,
            heard: now,
            pinged: now,
        }
    }

    /// Decrypts a packet, if it is one of this link and newer than all before.
    pub(super) fn open(&mut self, packet: &[u8], now: Millis) -> Option<Plain> {
        let (counter, sealed) = packet.split_first_chunk()?;
        let counter = u32::from_be_bytes(*counter);
        if self.highest.is_some_and(|highest| counter <= highest) {
            return None;
        }
        let plain = self.keys.open(counter, sealed).ok()?;
        self.highest = Some(counter);
        self.heard = now;
        Plain::decode(&plain).ok()
    }

    /// Takes a decrypted packet; returns the message it completes. A link that ended is closed on the wire.
    pub(super) fn take(&mut self, plain: Plain, wire: &mut Wire) -> Option<Vec<u8>> {
        self.on_ack(plain.ack, wire);
        match plain.kind {
            PlainKind::Ack => {}
            PlainKind::Ping => self.owes_ack = true,
            PlainKind::Close => {
                let code = plain.data.first().copied().unwrap_or_default();
                wire.close(CloseReason::Peer(CloseCode::from_number(code)));
            }
            PlainKind::More | PlainKind::Last => {
                self.owes_ack = true;
                if plain.segment == self.expected {
                    return self.on_segment(plain, wire);
                }
            }
        }
        None
    }

    fn on_segment(&mut self, plain: Plain, wire: &mut Wire) -> Option<Vec<u8>> {
        if self.assembly.len() + plain.data.len() > MAX_LINK_MESSAGE {
            self.close(CloseCode::Protocol, wire);
            return None;
        }
        self.expected = self.expected.wrapping_add(1);
        self.assembly.extend_from_slice(&plain.data);
        if plain.kind == PlainKind::More {
            return None;
        }
        Some(core::mem::take(&mut self.assembly))
    }

    fn on_ack(&mut self, ack: u16, wire: &mut Wire) {
        let Some(flight) = self
            .flight
            .take_if(|flight| flight.segment.wrapping_add(1) == ack)
        else {
            return;
        };
        if flight.kind == PlainKind::Last
            && let Some(id) = self.queue.pop_front().and_then(|done| done.id)
        {
            wire.event(LinkEvent::Delivered(id));
        }
    }

    pub(super) fn send(&mut self, message: &[u8]) -> Result<u32, SendError> {
        if message.is_empty() || message.len() > MAX_LINK_MESSAGE {
            return Err(SendError::Length(message.len()));
        }
        if self.queue.len() >= MAX_QUEUED {
            return Err(SendError::Full);
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.queue.push_back(Outgoing {
            id: Some(id),
            bytes: message.to_vec(),
            cut: 0,
        });
        Ok(id)
    }

    /// Queues a message of the machine's own; the owner hears nothing of it.
    pub(super) fn send_own(&mut self, bytes: Vec<u8>) {
        self.queue.push_back(Outgoing {
            id: None,
            bytes,
            cut: 0,
        });
    }

    /// Sends what can be sent: the next segment, or the acknowledgement that is owed.
    pub(super) fn pump(&mut self, wire: &mut Wire, now: Millis) {
        if wire.is_closed() {
            return;
        }
        if self.flight.is_none()
            && let Some(flight) = self.cut(wire, now)
        {
            self.flight = Some(flight);
            self.transmit_flight(wire, now);
        } else if self.owes_ack {
            self.transmit(PlainKind::Ack, 0, Vec::new(), wire);
        }
    }

    fn cut(&mut self, wire: &Wire, now: Millis) -> Option<Flight> {
        let front = self.queue.front_mut()?;
        let rest = &front.bytes[front.cut..];
        let size = wire.framer.segment_size().min(rest.len());
        let kind = if size == rest.len() {
            PlainKind::Last
        } else {
            PlainKind::More
        };
        let data = rest[..size].to_vec();
        front.cut += size;
        let segment = self.next;
        self.next = segment.wrapping_add(1);
        Some(Flight {
            kind,
            segment,
            data,
            tries: 0,
            due: now,
        })
    }

    fn transmit_flight(&mut self, wire: &mut Wire, now: Millis) {
        let Some(flight) = &mut self.flight else {
            return;
        };
        if flight.tries >= wire.limits.tries {
            wire.close(CloseReason::Lost);
            return;
        }
        let wait = wire.limits.resend << flight.tries.min(3);
        flight.tries += 1;
        flight.due = now.saturating_add(wait);
        let (kind, segment, data) = (flight.kind, flight.segment, flight.data.clone());
        self.transmit(kind, segment, data, wire);
    }

    fn transmit(&mut self, kind: PlainKind, segment: u16, data: Vec<u8>, wire: &mut Wire) {
        // The last packet is kept for saying that it is the last.
        let spent = self.counter + 1 >= wire.limits.packets;
        if spent && kind != PlainKind::Close {
            self.write(PlainKind::Close, 0, [CloseCode::Keys.number()].into(), wire);
            wire.close(CloseReason::Local(CloseCode::Keys));
            return;
        }
        self.write(kind, segment, data, wire);
    }

    fn write(&mut self, kind: PlainKind, segment: u16, data: Vec<u8>, wire: &mut Wire) {
        let plain = Plain {
            kind,
            segment,
            ack: self.expected,
            data,
        };
        let mut packet = self.counter.to_be_bytes().to_vec();
        packet.extend(self.keys.seal(self.counter, &plain.encode()));
        self.counter += 1;
        self.owes_ack = false;
        wire.write(PacketKind::Transport, packet);
    }

    pub(super) fn ping(&mut self, wire: &mut Wire, now: Millis) {
        self.pinged = now;
        self.transmit(PlainKind::Ping, 0, Vec::new(), wire);
    }

    pub(super) fn close(&mut self, code: CloseCode, wire: &mut Wire) {
        if !wire.is_closed() {
            self.transmit(PlainKind::Close, 0, [code.number()].into(), wire);
            wire.close(CloseReason::Local(code));
        }
    }

    /// Sends again what is overdue and ends a silent link. `pings`: this end breaks the silence.
    pub(super) fn tick(&mut self, wire: &mut Wire, pings: bool, now: Millis) {
        if now >= self.heard.saturating_add(wire.limits.silence) {
            wire.close(CloseReason::Silent);
            return;
        }
        if self.flight.as_ref().is_some_and(|flight| now >= flight.due) {
            self.transmit_flight(wire, now);
        }
        if pings && self.flight.is_none() && now >= self.ping_due(wire) {
            self.ping(wire, now);
        }
    }

    pub(super) fn deadline(&self, wire: &Wire, pings: bool) -> Millis {
        let silence = self.heard.saturating_add(wire.limits.silence);
        let work = match &self.flight {
            Some(flight) => flight.due,
            None if pings => self.ping_due(wire),
            None => Millis::MAX,
        };
        silence.min(work)
    }

    fn ping_due(&self, wire: &Wire) -> Millis {
        self.heard.max(self.pinged).saturating_add(wire.limits.ping)
    }
}
