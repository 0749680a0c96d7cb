//! From the seal's own words to the codec's, and nothing else.

use sealgate_codec::{
    ErrorCode, Message,
    abnormal::classify,
    cose::{self, Purpose},
    message::{
        Bye, ByeReason, Caps, ErrMsg, Event, Hello, MINOR, OtaOffer, OtaResult, OtaStat, OtaState,
        Status,
    },
    record::{Entry, Facts, GrantState, LinkKind, Phase, Record, Screen, kind},
    statement::Checkpoint,
};

use super::{
    Seal,
    power::Mode,
    truth::{Conditions, Right, Stage, Surface},
};

/// Hardware and firmware of the simulated GL.
const HARDWARE: u16 = 3;
const FIRMWARE: u32 = 2_020_121_706;

pub(super) fn facts(seal: &Seal, conditions: Conditions) -> Facts {
    let grant = seal.flash.grant.as_ref();
    let matched = seal.ram.as_ref().is_some_and(|ram| ram.finger_matched);
    Facts::new()
        .with_grant_state(match conditions.right {
            Right::NeverGranted => GrantState::Never,
            Right::Granted => GrantState::Active,
            Right::UsedUp => GrantState::Exhausted,
            Right::OutOfTime => GrantState::TimeOver,
            Right::NotBegun => GrantState::NotBegun,
            Right::Ended => GrantState::Ended,
            Right::Withheld => GrantState::Restricted,
            Right::OutOfRegion => GrantState::OutsideRegion,
            Right::NoFinger => GrantState::FingerprintMissing,
        })
        .with_locked(conditions.locked)
        .with_stretched(conditions.stretched)
        .with_quick(conditions.quick)
        .with_phase(match conditions.stage {
            Stage::Running => Phase::Running,
            Stage::Starting => Phase::Booting,
            Stage::Stopping => Phase::ShuttingDown,
        })
        .with_screen(match conditions.surface {
            Surface::On => Screen::On,
            Surface::Qr => Screen::Qr,
            Surface::Off => Screen::Off,
        })
        .with_offline_mode(seal.flash.offline_mode)
        .with_link(link(seal))
        .with_photo(grant.is_some_and(|grant| grant.photo))
        .with_fingerprint(matched)
}

/// The device's own class, as a number.
pub(super) fn class_of(facts: Facts) -> Option<u8> {
    classify(facts).map(|class| class.number())
}

pub(super) fn record(seal: &Seal, facts: Facts, grant: u32, n: u16) -> Record {
    let (up, wall, clkq) = seal.clocks();
    Record {
        // The log numbers it.
        seq: seal.log().next(),
        boot: seal.flash.boot,
        up,
        wall,
        clkq,
        kind: class_of(facts).unwrap_or(kind::STAMP),
        auth: grant,
        n,
        at: seal.position,
        facts,
    }
}

pub(super) fn hello(seal: &Seal, nonce: [u8; 8]) -> Message {
    let (up, wall, clkq) = seal.clocks();
    Message::Hello(Hello {
        minor: MINOR,
        fw: FIRMWARE,
        sec: 1,
        hw: HARDWARE,
        boot: seal.flash.boot,
        cause: seal.cause,
        up,
        wall,
        clkq,
        batt: seal.battery(),
        rssi: Some(-71),
        log: seal.log_position(),
        counters: seal.flash.taken.map(|taken| taken.ctr),
        locked: seal.flash.locked,
        config_version: seal.flash.settings.version,
        cell: None,
        link: link(seal),
        caps: Caps(Caps::GPRS | Caps::BLE | Caps::FINGERPRINT | Caps::OFFLINE_MODE | Caps::REGION),
        head: seal.log().head().prefix(),
        epoch: seal.log().epoch(),
        generation: seal.flash.generation,
        nonce,
        counted: *seal.log().counted(),
    })
}

pub(super) fn bye(reason: ByeReason, next: u32) -> Message {
    Message::Bye(Bye {
        reason,
        last: next.checked_sub(1).filter(|last| *last > 0),
    })
}

pub(super) fn event(seal: &Seal, entry: Entry) -> Message {
    Message::Event(Event {
        entry,
        signature: Some(cose::sign_with(
            &seal.log_key,
            Checkpoint::KID,
            Purpose::Event,
            &entry.bytes,
        )),
        epoch: seal.log().epoch(),
    })
}

pub(super) fn status(seal: &Seal) -> Message {
    let (up, ..) = seal.clocks();
    Message::Status(Status {
        up,
        batt: seal.battery(),
        position: seal.position,
        rssi: Some(-71),
        facts: seal.conditions(false).map(|now| facts(seal, now)),
        fill: seal.log().fill_percent(),
        counted: Some(*seal.log().counted()),
    })
}

pub(super) fn err(code: ErrorCode) -> Message {
    Message::Err(ErrMsg { code, retry: None })
}

/// This seal takes no images over the air: every offer is put off.
pub(super) fn deferred(offer: &OtaOffer) -> Message {
    Message::OtaStat(OtaStat {
        artifact: offer.artifact,
        state: OtaState::Idle,
        result: OtaResult::Deferred,
        percent: None,
        err: None,
    })
}

fn link(seal: &Seal) -> LinkKind {
    match seal.ram.as_ref() {
        Some(ram) if ram.link.is_up() => LinkKind::Gprs,
        Some(ram) if ram.mode == Mode::Ble => LinkKind::Ble,
        _ => LinkKind::None,
    }
}
