//! The end that is asked: a seal. It checks the ticket by itself and refuses strangers.
//!
//! Invariants:
//! - LINK-OPEN proves little by itself, it may be a replay: until the first encrypted packet verifies, it changes nothing,
//!   neither for the owner nor for a link that is open.
//! - Without signed time the link stays restricted; with it, the ticket's end is the link's.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use super::{
    CloseCode, CloseReason, Framer, Framing, Link, LinkChal, LinkEvent, LinkFrame, LinkLimits,
    LinkMessage, LinkOk, LinkOpen, LinkStatus, Millis, Packet, PacketKind, SUITE_NOISE_IK,
    SendError, allowed_when_restricted,
    noise::respond,
    session::{Session, Wire},
};
use crate::{
    DeviceId, ErrorCode,
    statement::{KeySet, LinkTicket, LinkView},
};

/// What a seal needs to answer on one connection.
pub struct SealSetup {
    /// How packets travel.
    pub framing: Framing,
    /// [`LinkLimits::BLE`] or [`LinkLimits::UART`].
    pub limits: LinkLimits,
    /// Its id.
    pub dev: DeviceId,
    /// Its X25519 secret key.
    pub secret: [u8; 32],
    /// The platform's keys.
    pub keys: KeySet,
    /// Signed time, if it has any: unix seconds.
    pub time: Option<u32>,
    /// 32 bytes from a secure random source, for this connection alone.
    pub seed: [u8; 32],
}

/// A handshake that was answered and is not proven.
struct Pending {
    session: Session,
    ticket: LinkTicket,
    /// Hash of the LINK-OPEN, and the answer, which is repeated with it.
    open: [u8; 32],
    chal: Vec<u8>,
    /// Number of the LINK-OPEN.
    mid: u16,
    until: Millis,
}

struct Opened {
    session: Session,
    ticket: LinkTicket,
    restricted: bool,
    mid: u16,
}

/// The seal's end of a link.
pub struct SealLink {
    wire: Wire,
    setup: SealSetup,
    opened: Option<Opened>,
    pending: Option<Pending>,
    /// When a stranger who says nothing, or not enough, is refused.
    until: Millis,
    /// When a handshake that began has to be done.
    patience: Option<Millis>,
    handshakes: u32,
}

impl SealLink {
    /// Somebody connected: waits for LINK-OPEN.
    #[must_use]
    pub fn accept(setup: SealSetup, now: Millis) -> Self {
        Self {
            wire: Wire::new(Framer::new(setup.framing), setup.limits),
            until: now.saturating_add(setup.limits.open_wait),
            setup,
            opened: None,
            pending: None,
            patience: None,
            handshakes: 0,
        }
    }

    /// Who is at the other end: the ticket of the open link.
    #[must_use]
    pub fn peer(&self) -> Option<&LinkTicket> {
        self.opened.as_ref().map(|opened| &opened.ticket)
    }

    /// Whether the link is open but restricted.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.restricted)
    }

    /// The seal got signed time, or a second passed: a ticket that is over ends the link, a good one lifts the
    /// restriction.
    pub fn set_time(&mut self, time: u32, now: Millis) {
        self.setup.time = Some(time);
        let Some(opened) = &mut self.opened else {
            return;
        };
        if opened.ticket.check_time(Some(time)).is_err() {
            opened.session.close(CloseCode::Expired, &mut self.wire);
        } else if core::mem::take(&mut opened.restricted) {
            opened.session.send_own(ok(opened.mid, LinkStatus::Open));
            self.wire.event(LinkEvent::Unrestricted);
            opened.session.pump(&mut self.wire, now);
        }
        self.settle();
    }

    /// The seal took a new key set; it counts from the next LINK-OPEN on.
    pub fn set_keys(&mut self, keys: KeySet) {
        self.setup.keys = keys;
    }

    fn on_handshake(&mut self, bytes: &[u8], now: Millis) {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        if let Some(pending) = self.pending.as_ref().filter(|p| p.open == digest) {
            self.wire.write(PacketKind::Handshake, pending.chal.clone());
            return;
        }
        let Ok(LinkFrame {
            mid,
            message: LinkMessage::Open(open),
            ..
        }) = LinkFrame::decode(bytes)
        else {
            return self.refuse(0, ErrorCode::Malformed);
        };
        match self.answer(mid, &open, digest, now) {
            Ok(pending) => {
                self.wire.write(PacketKind::Handshake, pending.chal.clone());
                self.pending = Some(pending);
            }
            Err(code) => self.refuse(mid, code),
        }
    }

    fn answer(
        &mut self,
        mid: u16,
        open: &LinkOpen,
        digest: [u8; 32],
        now: Millis,
    ) -> Result<Pending, ErrorCode> {
        if open.suite != SUITE_NOISE_IK {
            return Err(ErrorCode::Version);
        }
        let view = LinkView {
            dev: self.setup.dev,
            now: self.setup.time,
        };
        let ticket = LinkTicket::accept(&open.ticket, &self.setup.keys, &view)?;
        if let Some(opened) = &self.opened
            && ticket.role.yields_to(opened.ticket.role)
        {
            return Err(ErrorCode::Busy);
        }
        let ephemeral = self.ephemeral(&digest);
        let (keys, peer, hs2) = respond(&self.setup.secret, &open.hs1, &open.ticket, ephemeral)
            .map_err(|_| ErrorCode::NotUser)?;
        if peer != ticket.key {
            return Err(ErrorCode::NotUser);
        }
        let chal = LinkFrame {
            mid: 0,
            re: Some(mid),
            message: LinkMessage::Chal(LinkChal { hs2 }),
        };
        Ok(Pending {
            session: Session::new(keys, now),
            ticket,
            open: digest,
            chal: chal.encode(),
            mid,
            until: now.saturating_add(self.setup.limits.handshake),
        })
    }

    /// A key of its own for every handshake of this connection.
    fn ephemeral(&mut self, open: &[u8; 32]) -> [u8; 32] {
        self.handshakes = self.handshakes.wrapping_add(1);
        Sha256::new()
            .chain_update(b"SL1/ephemeral")
            .chain_update(self.setup.seed)
            .chain_update(self.handshakes.to_be_bytes())
            .chain_update(open)
            .finalize()
            .into()
    }

    /// Whoever knocks has no right to use. An open link is not disturbed by it.
    fn refuse(&mut self, re: u16, code: ErrorCode) {
        if self.opened.is_some() || self.pending.is_some() {
            return;
        }
        // To somebody the platform knows, why; to a stranger, that it is one.
        let told = match code {
            ErrorCode::Expired | ErrorCode::NotYetValid | ErrorCode::Version => code,
            _ => ErrorCode::NotUser,
        };
        let refusal = LinkFrame {
            mid: 0,
            re: Some(re),
            message: LinkMessage::Ok(LinkOk {
                status: LinkStatus::Refused,
                err: Some(told),
            }),
        };
        self.wire.write(PacketKind::Handshake, refusal.encode());
        self.wire.close(CloseReason::Stranger(code));
    }

    fn on_transport(&mut self, bytes: &[u8], now: Millis) {
        let present = self.opened.as_mut();
        if let Some(plain) = present.and_then(|opened| opened.session.open(bytes, now)) {
            self.take(plain, now);
            return;
        }
        let proof = self.pending.as_mut();
        let Some(plain) = proof.and_then(|pending| pending.session.open(bytes, now)) else {
            return;
        };
        let pending = self.pending.take().expect("it just opened a packet");
        let restricted = self.setup.time.is_none();
        let mut session = pending.session;
        session.send_own(ok(
            pending.mid,
            if restricted {
                LinkStatus::Restricted
            } else {
                LinkStatus::Open
            },
        ));
        self.opened = Some(Opened {
            session,
            ticket: pending.ticket,
            restricted,
            mid: pending.mid,
        });
        self.patience = None;
        self.wire.event(LinkEvent::Opened { restricted });
        self.take(plain, now);
    }

    fn take(&mut self, plain: super::Plain, now: Millis) {
        let Some(opened) = &mut self.opened else {
            return;
        };
        if let Some(message) = opened.session.take(plain, &mut self.wire) {
            if !LinkFrame::is_one(&message) {
                if !opened.restricted || allowed_when_restricted(&message) {
                    self.wire.event(LinkEvent::Message(message));
                }
            } else if let Ok(LinkFrame {
                message: LinkMessage::Received(received),
                ..
            }) = LinkFrame::decode(&message)
            {
                self.wire.event(LinkEvent::Received(received));
            }
        }
        opened.session.pump(&mut self.wire, now);
    }

    fn settle(&mut self) {
        if self.wire.is_closed() {
            self.opened = None;
            self.pending = None;
        }
    }

    /// When the other end has to have opened the link.
    fn handshake_end(&self) -> Millis {
        match (&self.pending, self.patience) {
            (Some(pending), _) => pending.until,
            (None, Some(patience)) => patience,
            (None, None) => self.until,
        }
    }
}

fn ok(re: u16, status: LinkStatus) -> Vec<u8> {
    LinkFrame {
        mid: 0,
        re: Some(re),
        message: LinkMessage::Ok(LinkOk { status, err: None }),
    }
    .encode()
}

impl Link for SealLink {
    fn receive(&mut self, bytes: &[u8], now: Millis) {
        if self.wire.is_closed() {
            return;
        }
        for Packet { kind, bytes } in self.wire.framer.unpack(bytes, now) {
            match kind {
                PacketKind::Handshake => self.on_handshake(&bytes, now),
                PacketKind::Transport => self.on_transport(&bytes, now),
            }
            self.settle();
            if self.wire.is_closed() {
                return;
            }
        }
        // Somebody began to speak; a whole LINK-OPEN at a small MTU takes longer than the wait for its first byte.
        let on_air = matches!(self.setup.framing, Framing::Ble { .. });
        if on_air && self.opened.is_none() && self.patience.is_none() {
            self.patience = Some(now.saturating_add(self.setup.limits.handshake));
        }
    }

    fn send(&mut self, message: &[u8], now: Millis) -> Result<u32, SendError> {
        let Some(opened) = &mut self.opened else {
            return Err(SendError::NotOpen);
        };
        if opened.restricted && !allowed_when_restricted(message) {
            return Err(SendError::Restricted);
        }
        let id = opened.session.send(message)?;
        opened.session.pump(&mut self.wire, now);
        self.settle();
        Ok(id)
    }

    fn tick(&mut self, now: Millis) {
        if self.wire.is_closed() {
            return;
        }
        if self.pending.as_ref().is_some_and(|p| now >= p.until) && self.opened.is_some() {
            self.pending = None;
        }
        if let Some(opened) = &mut self.opened {
            opened.session.tick(&mut self.wire, false, now);
        } else if now >= self.handshake_end() {
            // A good ticket whose handshake got lost on the air is no stranger's.
            match self.pending.take() {
                Some(_) => self.wire.close(CloseReason::Timeout),
                None => self.refuse(0, ErrorCode::NotUser),
            }
        }
        self.settle();
    }

    fn deadline(&self) -> Option<Millis> {
        if self.wire.is_closed() {
            return None;
        }
        Some(match &self.opened {
            Some(opened) => opened.session.deadline(&self.wire, false),
            None => self.handshake_end(),
        })
    }

    fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.wire.poll_output()
    }

    fn poll_event(&mut self) -> Option<LinkEvent> {
        self.wire.poll_event()
    }

    fn close(&mut self, code: CloseCode) {
        match &mut self.opened {
            Some(opened) => opened.session.close(code, &mut self.wire),
            None if !self.wire.is_closed() => self.wire.close(CloseReason::Local(code)),
            None => {}
        }
        self.settle();
    }

    fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    fn set_mtu(&mut self, mtu: u16) {
        self.wire.framer.set_mtu(mtu);
    }

    fn faults(&self) -> u32 {
        self.wire.framer.faults()
    }
}
