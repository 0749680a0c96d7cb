//! Signed commands: checked by the codec, applied here. Counter, effect and answer change in one write.

use sealgate_codec::{
    ErrorCode, Message, cose,
    message::CmdStatus,
    record::LinkKind,
    statement::{KeySet, RootKey},
    ticket::{
        Area as WireArea, Args, ConfigArgs, CounterDomain, CounterJournal, DeviceView, GrantArgs,
        GrantFlags, Outcome, Taken as Admitted, Ticket, UseMode,
    },
};

use super::{
    Area, HeldGrant, KeySetRefused, Seal, Settings, Taken, Topic,
    fingers::{Enrolment, SLOTS},
    truth::{Right, TruthLock},
};

/// What remains to be done after the answer left.
enum After {
    Nothing,
    Lease,
    Status,
    Restart,
    Enrol { slot: u8, user: u32, of: u8 },
}

type Applied = Result<(Outcome, After), ErrorCode>;

const DONE: Applied = Ok((Outcome::APPLIED, After::Nothing));

pub(super) fn trusted_keys(bytes: &[u8], root: &[u8; 32]) -> Result<KeySet, KeySetRefused> {
    let kid = cose::parse(bytes).map_err(|_| KeySetRefused)?.kid;
    let root = RootKey { kid, public: *root };
    KeySet::verify(bytes, &root).map_err(|_| KeySetRefused)
}

impl Taken {
    fn outcome(self) -> (u32, Outcome) {
        let status = CmdStatus::from_number(self.status).unwrap_or(CmdStatus::Applied);
        let err = self.error.map(ErrorCode::from_number);
        (self.ctr, Outcome { status, err })
    }

    fn of((ctr, outcome): (u32, Outcome)) -> Self {
        Self {
            ctr,
            status: outcome.status.number(),
            error: outcome.err.map(ErrorCode::number),
        }
    }
}

impl Seal {
    pub(super) fn command(&mut self, bytes: &[u8], mid: u16) {
        let mut journal = CounterJournal::restore(self.flash.taken.map(Taken::outcome));
        let view = DeviceView {
            dev: self.identity.device,
            generation: self.flash.generation,
            counters: journal.counters(),
            now: self
                .ram
                .as_ref()
                .and_then(|ram| ram.time.secure_s(self.now)),
            bound: self.flash.bound,
            link: LinkKind::Gprs,
        };
        let ticket = match journal.receive(bytes, &self.keys, &view) {
            Ok(Admitted::New(ticket)) => ticket,
            Ok(Admitted::Repeat(ack)) => {
                self.send(Topic::Up, Some(mid), Message::CmdAck(ack));
                return;
            }
            Err(code) => {
                self.refuse(bytes, mid, code);
                return;
            }
        };
        let (outcome, after) = self
            .apply(&ticket)
            .unwrap_or_else(|code| (Outcome::rejected(code), After::Nothing));
        journal.commit(ticket.domain, ticket.ctr, outcome);
        self.flash.taken = journal.entries().map(Taken::of);
        self.commit();
        let ack = outcome.ack(ticket.domain, ticket.ctr);
        self.send(Topic::Up, Some(mid), Message::CmdAck(ack));
        self.finish(after, ticket.ctr, mid);
    }

    /// What could be read of it is answered with the reason; bytes that are no ticket at all get an ERR.
    fn refuse(&mut self, bytes: &[u8], mid: u16, code: ErrorCode) {
        let ticket = cose::parse(bytes)
            .ok()
            .and_then(|signed| Ticket::decode(signed.payload).ok());
        let message = match ticket {
            Some(ticket) => Message::CmdAck(Outcome::rejected(code).ack(ticket.domain, ticket.ctr)),
            None => {
                self.send(Topic::Up, Some(mid), super::wire::err(code));
                return;
            }
        };
        self.send(Topic::Up, Some(mid), message);
    }

    fn finish(&mut self, after: After, ctr: u32, mid: u16) {
        match after {
            After::Nothing => {}
            After::Lease => {
                if !self.is_leased() {
                    self.want_lease();
                }
            }
            After::Status => self.status(),
            After::Restart => self.restart_soon(),
            After::Enrol { slot, user, of } => {
                self.begin_enrolment(Enrolment::new((ctr, mid), (slot, user), of));
            }
        }
    }

    fn apply(&mut self, ticket: &Ticket) -> Applied {
        match &ticket.args {
            Args::Grant(args) => self.take_grant(ticket, args),
            Args::End { grant, .. } => self.end_grant(*grant),
            Args::Activate { grant } => self.activate(*grant),
            Args::Lock { .. } => self.set_lock(ticket, true),
            Args::Unlock { .. } => self.set_lock(ticket, false),
            Args::Config(config) => self.configure(config),
            Args::FpEnrol {
                slot,
                user,
                presses,
            } => self.enrol(*slot, *user, *presses),
            Args::FpDelete { slot } => {
                self.flash.fingers.remove(slot);
                DONE
            }
            Args::Unbind => self.unbind(),
            Args::Bind => {
                self.flash.bound = true;
                Ok((Outcome::APPLIED, After::Lease))
            }
            Args::FwSet(_) => Ok((Outcome::ACCEPTED, After::Nothing)),
            Args::Reboot => Ok((Outcome::APPLIED, After::Restart)),
            Args::LogSeal { epoch } if self.begin_epoch(*epoch) => DONE,
            Args::LogSeal { .. } => Err(ErrorCode::Busy),
            Args::KeySet { key_set } => self.replace_keys(key_set),
            Args::Locate => Ok((Outcome::APPLIED, After::Status)),
            Args::Offline { on } => self.set_offline(*on),
        }
    }

    /// A new grant ends the old one, and offline mode with it (OFF-1). The grant it holds already, under another
    /// counter, is the same grant: what was used stays used, and what has ended stays ended.
    fn take_grant(&mut self, ticket: &Ticket, args: &GrantArgs) -> Applied {
        let flags = args.flags;
        let held = self.flash.grant.as_ref().filter(|held| held.no == args.no);
        let (used, ended) = held.map_or((0, false), |held| (held.used, held.ended));
        if held.is_none() {
            self.flash.offline_mode = false;
        }
        self.flash.grant = Some(HeldGrant {
            no: args.no,
            max: args.max,
            used,
            user: args.user,
            not_before: ticket.nbf,
            not_after: ticket.exp,
            area: args.area.as_ref().map(area),
            fingers: args.fingerprints.clone().unwrap_or_default(),
            needs_finger: flags.has(GrantFlags::FINGERPRINT),
            photo: flags.has(GrantFlags::PHOTO),
            awaits_activation: flags.has(GrantFlags::PRE_AUTHORIZED),
            electronic: args.mode == UseMode::Electronic,
            offline_allowed: flags.has(GrantFlags::OFFLINE_ALLOWED),
            offline_s: args.offline,
            ended,
        });
        if let Some(ram) = &mut self.ram {
            ram.finger_matched = false;
        }
        Ok((Outcome::APPLIED, After::Lease))
    }

    /// An end may name a grant that never arrived: then there is nothing to end.
    fn end_grant(&mut self, no: u32) -> Applied {
        if let Some(grant) = self.flash.grant.as_mut().filter(|grant| grant.no == no) {
            grant.ended = true;
            self.flash.offline_mode = false;
            if let Some(ram) = &mut self.ram {
                ram.finger_matched = false;
            }
        }
        DONE
    }

    fn activate(&mut self, no: u32) -> Applied {
        let held = self.flash.grant.as_mut();
        let grant = held
            .filter(|grant| grant.no == no && !grant.ended)
            .ok_or(ErrorCode::NoGrant)?;
        grant.awaits_activation = false;
        DONE
    }

    fn set_lock(&mut self, ticket: &Ticket, locked: bool) -> Applied {
        self.flash.locked = locked;
        self.truth.lock_changed(TruthLock {
            at_ms: self.now,
            locked,
            issued_s: ticket.iat,
            boot: self.flash.boot,
        });
        // Who looks for a lost seal wants to know where it is.
        let after = if locked {
            After::Status
        } else {
            After::Nothing
        };
        Ok((Outcome::APPLIED, after))
    }

    fn configure(&mut self, config: &ConfigArgs) -> Applied {
        let now = self.now;
        let old = self.flash.settings;
        self.flash.settings = Settings {
            version: config.version,
            backlight_s: config.backlight.unwrap_or(old.backlight_s),
            auto_off_min: config.auto_off.unwrap_or(old.auto_off_min),
            keep_alive_s: config.keepalive.unwrap_or(old.keep_alive_s),
            heartbeat_s: config.heartbeat.unwrap_or(old.heartbeat_s),
        };
        let backlight = self.flash.settings.backlight_s;
        if let Some(ram) = &mut self.ram
            && ram.screen.surface() == super::truth::Surface::On
        {
            ram.screen.wake(now, backlight);
        }
        Ok((Outcome::APPLIED, After::Status))
    }

    fn enrol(&mut self, slot: u8, user: u32, presses: Option<u8>) -> Applied {
        let of = presses.unwrap_or(6);
        let busy = self.ram.as_ref().is_some_and(|ram| ram.enrol.is_some());
        if busy {
            return Err(ErrorCode::Busy);
        }
        if self.flash.fingers.len() >= SLOTS && !self.flash.fingers.contains_key(&slot) {
            return Err(ErrorCode::FingerprintSlots);
        }
        Ok((Outcome::ACCEPTED, After::Enrol { slot, user, of }))
    }

    /// BIND-3: refused while locked, while a grant could still be used, and with records the platform lacks.
    fn unbind(&mut self) -> Applied {
        if self.flash.locked {
            return Err(ErrorCode::Locked);
        }
        let usable = !matches!(
            self.right(),
            Right::NeverGranted | Right::Ended | Right::UsedUp | Right::OutOfTime
        );
        if usable {
            return Err(ErrorCode::ActiveGrant);
        }
        if self.unsent() > 0 {
            return Err(ErrorCode::LogFull);
        }
        self.flash.bound = false;
        self.flash.generation += 1;
        self.flash.grant = None;
        self.flash.offline_mode = false;
        self.flash.fingers.clear();
        if let Some(ram) = &mut self.ram {
            ram.lease_until_ms = None;
        }
        DONE
    }

    fn replace_keys(&mut self, bytes: &[u8]) -> Applied {
        let root = self.identity.anchors.root;
        let keys = trusted_keys(bytes, &root).map_err(|_| ErrorCode::Signature)?;
        // The set it holds already, sent again: done.
        if keys.version < self.keys.version {
            return Err(ErrorCode::CounterStale);
        }
        self.flash.key_set = bytes.to_vec();
        self.keys = std::sync::Arc::new(keys);
        DONE
    }

    fn set_offline(&mut self, on: bool) -> Applied {
        let usable = self
            .flash
            .grant
            .as_ref()
            .is_some_and(|grant| !grant.ended && grant.offline_allowed);
        if on && !usable {
            return Err(ErrorCode::NoGrant);
        }
        self.flash.offline_mode = on;
        DONE
    }

    /// A ticket that had only been accepted came to its end.
    pub(super) fn settle(&mut self, domain: CounterDomain, ctr: u32, outcome: Outcome, mid: u16) {
        let mut journal = CounterJournal::restore(self.flash.taken.map(Taken::outcome));
        journal.commit(domain, ctr, outcome);
        self.flash.taken = journal.entries().map(Taken::of);
        self.commit();
        let ack = outcome.ack(domain, ctr);
        self.send(Topic::Up, Some(mid), Message::CmdAck(ack));
    }
}

fn area(area: &WireArea) -> Area {
    match area {
        WireArea::Circle { center, radius } => Area::Circle {
            lat_e7: center.lat_e7,
            lon_e7: center.lon_e7,
            radius_m: *radius,
        },
        WireArea::Polygon(corners) => Area::Polygon(
            corners
                .iter()
                .map(|corner| (corner.lat_e7, corner.lon_e7))
                .collect(),
        ),
    }
}
