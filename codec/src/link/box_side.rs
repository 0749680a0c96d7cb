//! The end that opens a link: an edge box, or a phone.

use alloc::vec::Vec;

use super::{
    CloseCode, CloseReason, Framer, Framing, Link, LinkEvent, LinkFrame, LinkLimits, LinkMessage,
    LinkOpen, LinkStatus, Millis, Packet, PacketKind, Received, SUITE_NOISE_IK, SendError,
    allowed_when_restricted,
    noise::Initiator,
    session::{Session, Wire},
};
use crate::{ErrorCode, statement::LinkTicket};

/// What a box needs to open a link.
pub struct BoxSetup {
    /// How packets travel.
    pub framing: Framing,
    /// [`LinkLimits::BLE`] or [`LinkLimits::UART`].
    pub limits: LinkLimits,
    /// X25519 secret key of the box, whose public key the ticket names.
    pub secret: [u8; 32],
    /// X25519 public key of the seal, from the assignment.
    pub seal: [u8; 32],
    /// COSE_Sign1 of the link ticket, from the assignment.
    pub ticket: Vec<u8>,
    /// 32 bytes from a secure random source, for this link alone.
    pub ephemeral: [u8; 32],
}

enum State {
    /// LINK-OPEN is sent until LINK-CHAL comes.
    Opening {
        initiator: Initiator,
        open: Vec<u8>,
        again: Again,
    },
    /// Pings are sent until LINK-OK comes.
    Proving {
        session: Session,
        again: Again,
    },
    Open {
        session: Session,
        restricted: bool,
    },
    Closed,
}

/// A packet that is sent again and again until the handshake's time is over.
struct Again {
    due: Millis,
}

impl Again {
    fn new(now: Millis) -> Self {
        Self { due: now }
    }

    /// Whether it is to be sent now.
    fn is_due(&mut self, limits: &LinkLimits, now: Millis) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now.saturating_add(limits.resend);
        true
    }
}

/// The box's end of a link.
pub struct BoxLink {
    wire: Wire,
    state: State,
    mid: u16,
    /// When the handshake has to be done.
    until: Millis,
}

impl BoxLink {
    /// Begins to open a link; LINK-OPEN is the first output.
    ///
    /// # Errors
    /// The ticket is not one, or names another key than the box's.
    pub fn open(setup: BoxSetup, now: Millis) -> Result<Self, ErrorCode> {
        let ticket = LinkTicket::parse(&setup.ticket)?;
        if ticket.key != super::public_key(&setup.secret) {
            return Err(ErrorCode::KeyScope);
        }
        let (initiator, hs1) =
            Initiator::begin(&setup.secret, &setup.seal, &setup.ticket, setup.ephemeral)
                .map_err(|_| ErrorCode::KeyScope)?;
        // Answers to an older LINK-OPEN on the same line carry another number.
        let mid = u16::from_be_bytes([hs1[0], hs1[1]]);
        let message = LinkMessage::Open(LinkOpen {
            suite: SUITE_NOISE_IK,
            hs1,
            ticket: setup.ticket,
        });
        let open = LinkFrame {
            mid,
            re: None,
            message,
        }
        .encode();
        let until = now.saturating_add(setup.limits.handshake);
        let mut link = Self {
            wire: Wire::new(Framer::new(setup.framing), setup.limits),
            state: State::Opening {
                initiator,
                open,
                again: Again::new(now),
            },
            mid,
            until,
        };
        link.tick(now);
        Ok(link)
    }

    /// Says that everything below `upto` is in the box's queue, durably.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub fn received(&mut self, received: Received, now: Millis) -> Result<u32, SendError> {
        let message = LinkMessage::Received(received);
        let frame = LinkFrame {
            mid: 0,
            re: None,
            message,
        };
        let State::Open { session, .. } = &mut self.state else {
            return Err(SendError::NotOpen);
        };
        let id = session.send(&frame.encode())?;
        session.pump(&mut self.wire, now);
        self.settle();
        Ok(id)
    }

    fn on_handshake(&mut self, bytes: &[u8], now: Millis) {
        let Ok(frame) = LinkFrame::decode(bytes) else {
            return;
        };
        if frame.re != Some(self.mid) {
            return;
        }
        match frame.message {
            LinkMessage::Chal(chal) => self.on_chal(&chal.hs2, now),
            LinkMessage::Ok(ok) if ok.status == LinkStatus::Refused => {
                // In the clear, so it counts only as long as nothing better is known.
                if matches!(self.state, State::Opening { .. }) {
                    let code = ok.err.unwrap_or(ErrorCode::NotUser);
                    self.wire.close(CloseReason::Refused(code));
                }
            }
            _ => {}
        }
    }

    fn on_chal(&mut self, hs2: &[u8], now: Millis) {
        let State::Opening { initiator, .. } = &mut self.state else {
            return;
        };
        if initiator.read(hs2).is_err() {
            return;
        }
        let State::Opening { initiator, .. } = core::mem::replace(&mut self.state, State::Closed)
        else {
            return;
        };
        let Ok(keys) = initiator.finish() else {
            self.wire.close(CloseReason::Timeout);
            return;
        };
        self.state = State::Proving {
            session: Session::new(keys, now),
            again: Again::new(now),
        };
        self.tick(now);
    }

    fn on_transport(&mut self, bytes: &[u8], now: Millis) {
        let (State::Proving { session, .. } | State::Open { session, .. }) = &mut self.state else {
            return;
        };
        let Some(plain) = session.open(bytes, now) else {
            return;
        };
        if let Some(message) = session.take(plain, &mut self.wire) {
            self.on_message(message);
        }
        if let State::Proving { session, .. } | State::Open { session, .. } = &mut self.state {
            session.pump(&mut self.wire, now);
        }
    }

    fn on_message(&mut self, message: Vec<u8>) {
        if !LinkFrame::is_one(&message) {
            if matches!(self.state, State::Open { .. }) {
                self.wire.event(LinkEvent::Message(message));
            }
            return;
        }
        let Ok(LinkFrame {
            message: LinkMessage::Ok(ok),
            ..
        }) = LinkFrame::decode(&message)
        else {
            return;
        };
        let restricted = match ok.status {
            LinkStatus::Refused => {
                let code = ok.err.unwrap_or(ErrorCode::NotUser);
                self.wire.close(CloseReason::Refused(code));
                return;
            }
            LinkStatus::Restricted => true,
            LinkStatus::Open => false,
        };
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Proving { session, .. } => {
                self.state = State::Open {
                    session,
                    restricted,
                };
                self.wire.event(LinkEvent::Opened { restricted });
            }
            // The seal has signed time now.
            State::Open {
                session,
                restricted: was,
            } => {
                if was && !restricted {
                    self.wire.event(LinkEvent::Unrestricted);
                }
                self.state = State::Open {
                    session,
                    restricted: was && restricted,
                };
            }
            other => self.state = other,
        }
    }

    /// After anything happened: a closed wire closes the machine.
    fn settle(&mut self) {
        if self.wire.is_closed() {
            self.state = State::Closed;
        }
    }
}

impl Link for BoxLink {
    fn receive(&mut self, bytes: &[u8], now: Millis) {
        for Packet { kind, bytes } in self.wire.framer.unpack(bytes, now) {
            match kind {
                PacketKind::Handshake => self.on_handshake(&bytes, now),
                PacketKind::Transport => self.on_transport(&bytes, now),
            }
            self.settle();
        }
    }

    fn send(&mut self, message: &[u8], now: Millis) -> Result<u32, SendError> {
        let State::Open {
            session,
            restricted,
        } = &mut self.state
        else {
            return Err(SendError::NotOpen);
        };
        if *restricted && !allowed_when_restricted(message) {
            return Err(SendError::Restricted);
        }
        let id = session.send(message)?;
        session.pump(&mut self.wire, now);
        self.settle();
        Ok(id)
    }

    fn tick(&mut self, now: Millis) {
        let limits = self.wire.limits;
        match &mut self.state {
            State::Closed => {}
            State::Opening { .. } | State::Proving { .. } if now >= self.until => {
                self.wire.close(CloseReason::Timeout);
            }
            State::Opening { open, again, .. } => {
                if again.is_due(&limits, now) {
                    self.wire.write(PacketKind::Handshake, open.clone());
                }
            }
            State::Proving { session, again } => {
                if again.is_due(&limits, now) {
                    session.ping(&mut self.wire, now);
                }
            }
            State::Open { session, .. } => session.tick(&mut self.wire, true, now),
        }
        self.settle();
    }

    fn deadline(&self) -> Option<Millis> {
        match &self.state {
            State::Opening { again, .. } | State::Proving { again, .. } => {
                Some(again.due.min(self.until))
            }
            State::Open { session, .. } => Some(session.deadline(&self.wire, true)),
            State::Closed => None,
        }
    }

    fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.wire.poll_output()
    }

    fn poll_event(&mut self) -> Option<LinkEvent> {
        self.wire.poll_event()
    }

    fn close(&mut self, code: CloseCode) {
        match &mut self.state {
            State::Proving { session, .. } | State::Open { session, .. } => {
                session.close(code, &mut self.wire);
            }
            State::Opening { .. } => self.wire.close(CloseReason::Local(code)),
            State::Closed => {}
        }
        self.settle();
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    fn set_mtu(&mut self, mtu: u16) {
        self.wire.framer.set_mtu(mtu);
    }

    fn faults(&self) -> u32 {
        self.wire.framer.faults()
    }
}
