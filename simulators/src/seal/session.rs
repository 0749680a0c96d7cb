//! The session with the platform: calling, HELLO, the lease, keeping in touch.
//!
//! What the platform says counts only when signed, or when it frees nothing it should not: an unsigned `now` is
//! never a clock, and HELLO-ACK may ask for records but not drop them.

use rand::Rng as _;
use sealgate_codec::{
    ErrorCode, Frame, Message,
    message::{ByeReason, HelloAck, LeaseReq},
    statement::{Lease, LeaseView},
};

use super::{
    Output, Seal, Topic,
    backoff::{Ended, GOOD_LIFE_MS},
    power::Mode,
    wire,
};

/// Patience with an unanswered HELLO.
const HELLO_PATIENCE_MS: u64 = 30_000;

/// Patience with an unanswered LEASE-REQ.
const LEASE_PATIENCE_MS: u64 = 20_000;

/// Keep-alive while a grant is in force, and otherwise.
const KEEP_ALIVE_S: (u16, u16) = (60, 240);

/// Where the link stands.
#[derive(Debug)]
pub(super) enum Link {
    /// The radio is not used for sessions.
    Idle,
    /// Nothing until then.
    Waiting { at: u64 },
    /// A connection is being made.
    Connecting,
    /// Connected.
    Up(Box<Session>),
}

impl Link {
    pub(super) fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    opened_at: u64,
    next_mid: u16,
    hello_by: Option<u64>,
    nonce: Option<[u8; 8]>,
    lease_at: Option<u64>,
    status_at: Option<u64>,
    /// From when on the log may be sent; `None` before HELLO-ACK.
    pub(super) upload_at: Option<u64>,
    /// When unanswered STAMPS are sent again.
    pub(super) resend_at: Option<u64>,
    good: bool,
    /// The platform asked to be left alone this long.
    hint_ms: u64,
}

impl Session {
    fn new(now: u64) -> Self {
        Self {
            opened_at: now,
            next_mid: 1,
            hello_by: Some(now + HELLO_PATIENCE_MS),
            nonce: None,
            lease_at: None,
            status_at: None,
            upload_at: None,
            resend_at: None,
            good: false,
            hint_ms: 0,
        }
    }

    fn answered(&self) -> bool {
        self.hello_by.is_none()
    }
}

impl Seal {
    /// The platform has answered HELLO in the present session.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.session().is_some_and(Session::answered)
    }

    /// The keep-alive CONNECT should ask for.
    #[must_use]
    pub fn keep_alive_s(&self) -> u16 {
        let in_use = self.flash.grant.as_ref().is_some_and(|grant| !grant.ended);
        match (self.flash.settings.keep_alive_s, in_use) {
            (0, true) => KEEP_ALIVE_S.0,
            (0, false) => KEEP_ALIVE_S.1,
            (set, _) => set,
        }
    }

    /// The farewell the network would say for us.
    #[must_use]
    pub fn will(&self) -> Vec<u8> {
        Frame::new(0, wire::bye(ByeReason::Will, self.log().next())).encode()
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match self.ram.as_ref().map(|ram| &ram.link) {
            Some(Link::Up(session)) => Some(session),
            _ => None,
        }
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        match self.ram.as_mut().map(|ram| &mut ram.link) {
            Some(Link::Up(session)) => Some(session),
            _ => None,
        }
    }

    pub(super) fn send(&mut self, topic: Topic, re: Option<u16>, message: Message) {
        let Some(session) = self.session_mut() else {
            return;
        };
        let mid = session.next_mid;
        session.next_mid = mid.checked_add(1).unwrap_or(1);
        let payload = Frame { mid, re, message }.encode();
        self.outputs.push_back(Output::Send { topic, payload });
    }

    pub(super) fn link_up(&mut self) {
        let now = self.now;
        let Some(ram) = &mut self.ram else {
            self.outputs
                .push_back(Output::Disconnect { orderly: false });
            return;
        };
        ram.link = Link::Up(Box::new(Session::new(now)));
        self.log_mut().stop();
        let nonce = self.fresh_nonce();
        let hello = wire::hello(self, nonce);
        self.send(Topic::Up, None, hello);
    }

    fn fresh_nonce(&mut self) -> [u8; 8] {
        let nonce = self.rng.random();
        if let Some(session) = self.session_mut() {
            session.nonce = Some(nonce);
        }
        nonce
    }

    pub(super) fn link_over(&mut self, ended: Ended) {
        let now = self.now;
        let Some(ram) = &mut self.ram else { return };
        if ram.mode == Mode::Ble {
            ram.link = Link::Idle;
            return;
        }
        let mut hint = 0;
        if let Link::Up(session) = &ram.link {
            if session.good || now.saturating_sub(session.opened_at) >= GOOD_LIFE_MS {
                ram.backoff.reset();
            }
            hint = session.hint_ms;
        }
        let wait = ram.backoff.next(ended, hint, &mut self.rng);
        ram.link = Link::Waiting { at: now + wait };
    }

    /// The session did something useful: the next loss is treated as a first one.
    pub(super) fn progress(&mut self) {
        if let Some(session) = self.session_mut() {
            session.good = true;
        }
        if let Some(ram) = &mut self.ram {
            ram.backoff.reset();
        }
    }

    pub(super) fn say_bye(&mut self) {
        if self.is_online() {
            let bye = wire::bye(ByeReason::PowerKey, self.log().next());
            self.send(Topic::Farewell, None, bye);
        }
    }

    /// One message from the platform.
    pub(super) fn down(&mut self, bytes: &[u8]) {
        if self.session().is_none() {
            return;
        }
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.send(Topic::Up, None, wire::err(error.code()));
                return;
            }
        };
        match frame.message {
            Message::HelloAck(ack) => self.hello_ack(&ack),
            Message::Lease(lease) => self.take_lease(&lease.lease),
            Message::LogAck(ack) => self.log_ack(&ack),
            Message::LogPull(pull) => self.log_pull(&pull),
            Message::Cmd(ticket) => self.command(&ticket, frame.mid),
            Message::OtaOffer(offer) => self.send(Topic::Up, None, wire::deferred(&offer)),
            Message::Err(error) => self.told_off(error.code, error.retry),
            // Blocks nobody asked for, and messages only seals send.
            _ => {}
        }
    }

    fn hello_ack(&mut self, ack: &HelloAck) {
        let now = self.now;
        let heartbeat = self.heartbeat_ms();
        let Some(session) = self.session_mut() else {
            return;
        };
        if session.answered() {
            return;
        }
        session.hello_by = None;
        session.upload_at = Some(now + u64::from(ack.retry.unwrap_or(0)) * 1_000);
        session.lease_at = Some(now + LEASE_PATIENCE_MS);
        session.status_at = Some(now + heartbeat);
        if let Some(ram) = &mut self.ram {
            ram.life = Some(ack.life);
        }
        self.truth.sessions += 1;
        if let Some(lease) = &ack.lease {
            self.take_lease(lease);
        }
        self.log_wanted_from(ack.ackto);
        self.status();
    }

    /// Only the outstanding nonce and the present boot make a lease ours.
    fn take_lease(&mut self, cose: &[u8]) {
        let now = self.now;
        let view = LeaseView {
            dev: self.identity.device,
            generation: self.flash.generation,
            boot: self.flash.boot,
            nonce: self.session().and_then(|session| session.nonce),
            high_water: self.flash.high_water_s,
        };
        let lease = match Lease::accept(cose, &self.keys, &view) {
            Ok(lease) => lease,
            Err(error) => {
                tracing::debug!(device = self.identity.name, %error, "a lease is refused");
                return;
            }
        };
        self.flash.high_water_s = lease.iat;
        self.commit();
        let ttl_ms = u64::from(lease.lasts()) * 1_000;
        if let Some(session) = self.session_mut() {
            session.nonce = None;
            session.lease_at = Some(now + ttl_ms / 3);
        }
        if let Some(ram) = &mut self.ram {
            ram.leased_once = true;
            ram.time.learn(lease.iat, now);
            ram.lease_until_ms = Some(u64::from(lease.exp) * 1_000);
        }
    }

    /// Asks for a lease at once, if online.
    pub(super) fn want_lease(&mut self) {
        if !self.is_online() {
            return;
        }
        let again = self.now + LEASE_PATIENCE_MS;
        let nonce = self.fresh_nonce();
        if let Some(session) = self.session_mut() {
            session.lease_at = Some(again);
        }
        self.send(Topic::Up, None, Message::LeaseReq(LeaseReq { nonce }));
    }

    fn told_off(&mut self, code: ErrorCode, retry_s: Option<u16>) {
        let retry_ms = u64::from(retry_s.unwrap_or(0)) * 1_000;
        match code {
            ErrorCode::LogFork => {
                self.audit();
            }
            ErrorCode::RetryLater | ErrorCode::Internal if self.is_online() => {
                let until = self.now + retry_ms.max(1_000);
                if let Some(session) = self.session_mut() {
                    session.upload_at = Some(until);
                }
            }
            ErrorCode::RetryLater | ErrorCode::Internal | ErrorCode::Suspended => {
                if let Some(session) = self.session_mut() {
                    session.hint_ms = retry_ms;
                }
                self.outputs.push_back(Output::Disconnect { orderly: true });
                self.link_over(Ended::Refused);
            }
            other => tracing::debug!(device = self.identity.name, %other, "the platform objects"),
        }
    }

    fn heartbeat_ms(&self) -> u64 {
        match self.flash.settings.heartbeat_s {
            0 => self.params.heartbeat_ms,
            set => u64::from(set) * 1_000,
        }
    }

    pub(super) fn status(&mut self) {
        if self.is_online() {
            let status = wire::status(self);
            self.send(Topic::Telemetry, None, status);
        }
    }

    pub(super) fn session_timeout(&self) -> Option<u64> {
        let ram = self.ram.as_ref()?;
        match &ram.link {
            Link::Idle | Link::Connecting => None,
            // A seal that shuts down calls nobody.
            Link::Waiting { at } => ram.stopping_until.is_none().then_some(*at),
            Link::Up(session) => [session.hello_by, session.lease_at, session.status_at]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    pub(super) fn session_tick(&mut self) {
        let now = self.now;
        let Some(ram) = &mut self.ram else { return };
        if let Link::Waiting { at } = ram.link
            && now >= at
            && ram.stopping_until.is_none()
        {
            ram.link = Link::Connecting;
            self.outputs.push_back(Output::Connect);
        }
        let Some(session) = self.session_mut() else {
            return;
        };
        if session.hello_by.is_some_and(|by| now >= by) {
            self.outputs
                .push_back(Output::Disconnect { orderly: false });
            self.link_over(Ended::Lost);
            return;
        }
        if session.lease_at.is_some_and(|at| now >= at) {
            self.want_lease();
        }
        let heartbeat = self.heartbeat_ms();
        if let Some(session) = self.session_mut()
            && session.status_at.is_some_and(|at| now >= at)
        {
            session.status_at = Some(now + heartbeat);
            self.status();
        }
    }
}
