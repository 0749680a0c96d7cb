//! Samples of links: tickets, messages, packets, values, frames, and one whole handshake.

use sealgate_codec::{
    ErrorCode,
    link::{
        Advert, AdvertState, BleInfo, BoxLink, BoxSetup, Framing, Link, LinkChal, LinkFrame,
        LinkLimits, LinkMessage, LinkOk, LinkOpen, LinkStatus, Packet, PacketKind, Received,
        SUITE_NOISE_IK, SealLink, SealSetup, advert_id, fragment::fragment, public_key,
        uart::uart_frame,
    },
    message::Life,
    statement::{LinkRole, LinkTicket},
};

use crate::{
    keys::{DEVICE, LINK, NOW, key, link_keys},
    samples::{Sample, sample},
};

pub(crate) const BOX_SECRET: [u8; 32] = [0xb0; 32];
pub(crate) const SEAL_SECRET: [u8; 32] = [0x5e; 32];
pub(crate) const BOX_EPHEMERAL: [u8; 32] = [0xe1; 32];
pub(crate) const SEAL_SEED: [u8; 32] = [0xe2; 32];
pub(crate) const ADVERT_KEY: [u8; 32] = [0xad; 32];

pub(crate) fn ticket() -> LinkTicket {
    LinkTicket {
        dev: DEVICE,
        key: public_key(&BOX_SECRET),
        role: LinkRole::Edge,
        user: 17,
        iat: NOW,
        exp: NOW + 86_400,
    }
}

pub(crate) fn signed_ticket() -> Vec<u8> {
    ticket().sign(&key(LINK), LINK)
}

pub(crate) fn box_setup(framing: Framing) -> BoxSetup {
    BoxSetup {
        framing,
        limits: limits(framing),
        secret: BOX_SECRET,
        seal: public_key(&SEAL_SECRET),
        ticket: signed_ticket(),
        ephemeral: BOX_EPHEMERAL,
    }
}

pub(crate) fn seal_setup(framing: Framing) -> SealSetup {
    SealSetup {
        framing,
        limits: limits(framing),
        dev: DEVICE,
        secret: SEAL_SECRET,
        keys: link_keys(),
        time: Some(NOW + 60),
        seed: SEAL_SEED,
    }
}

fn limits(framing: Framing) -> LinkLimits {
    match framing {
        Framing::Ble { .. } => LinkLimits::BLE,
        Framing::Uart => LinkLimits::UART,
    }
}

/// Every link message.
pub(crate) fn messages() -> Vec<Sample<LinkFrame>> {
    let frame = |mid, re, message| LinkFrame { mid, re, message };
    let open = LinkOpen {
        suite: SUITE_NOISE_IK,
        hs1: (0..96).collect(),
        ticket: signed_ticket(),
    };
    let chal = LinkChal {
        hs2: (0..48).collect(),
    };
    let ok = |status, err| LinkMessage::Ok(LinkOk { status, err });
    let received = Received {
        epoch: 1,
        upto: 12_801,
    };
    vec![
        sample(
            "link_open",
            "a box shows its ticket; the handshake's bytes are placeholders",
            frame(4711, None, LinkMessage::Open(open)),
        ),
        sample(
            "link_chal",
            "the seal's half; the handshake's bytes are placeholders",
            frame(0, Some(4711), LinkMessage::Chal(chal)),
        ),
        sample(
            "link_ok",
            "in",
            frame(0, Some(4711), ok(LinkStatus::Open, None)),
        ),
        sample(
            "link_ok_restricted",
            "in, the seal has no signed time",
            frame(0, Some(4711), ok(LinkStatus::Restricted, None)),
        ),
        sample(
            "link_ok_refused",
            "no right to use",
            frame(
                0,
                Some(4711),
                ok(LinkStatus::Refused, Some(ErrorCode::NotUser)),
            ),
        ),
        sample(
            "received",
            "the box has everything below 12801",
            frame(0, None, LinkMessage::Received(received)),
        ),
    ]
}

pub(crate) fn advert() -> Advert {
    Advert {
        id: advert_id(&ADVERT_KEY, NOW / 86_400),
        state: AdvertState(AdvertState::RECORDS | AdvertState::NEEDS_LEASE),
        pending: 240,
        battery: 87,
    }
}

pub(crate) fn info() -> BleInfo {
    BleInfo {
        minor: 0,
        life: Life::Bound,
        mtu: 247,
        caps: 2,
    }
}

/// Kind, name, meaning, what it carries, bytes.
type Framed = (&'static str, &'static str, &'static str, Vec<u8>, Vec<u8>);

/// Values, frames and advertisements.
pub(crate) fn framing() -> Vec<Framed> {
    let packet = |length: u8| Packet {
        kind: PacketKind::Transport,
        bytes: (0..length).collect(),
    };
    let mut all = vec![];
    let mut values = |name, meaning, packet: &Packet, mtu, mut sequence: u8| {
        for value in fragment(packet, mtu, &mut sequence) {
            all.push(("ble", name, meaning, packet.bytes.clone(), value));
        }
    };
    values(
        "ble_complete",
        "18 bytes in one value at MTU 23",
        &packet(18),
        23,
        7,
    );
    values(
        "ble_three",
        "40 bytes in three values at MTU 23, the sequence goes round",
        &packet(40),
        23,
        254,
    );
    values(
        "ble_large",
        "200 bytes in one value at MTU 247",
        &packet(200),
        247,
        0,
    );
    let mut line = |name, meaning, packet: &Packet, mut sequence: u8| {
        let bytes = uart_frame(packet, &mut sequence);
        all.push(("uart", name, meaning, packet.bytes.clone(), bytes));
    };
    line("uart_zeros", "zeros are stuffed", &packet(4), 0);
    line("uart_255", "more than one block of 254", &packet(255), 255);
    let handshake = Packet {
        kind: PacketKind::Handshake,
        bytes: vec![0; 3],
    };
    line("uart_handshake", "a handshake packet", &handshake, 1);
    let advert = advert().encode().to_vec();
    all.push((
        "advert",
        "advert",
        "records wait, a lease is wanted; the id of day 20775 under key ad..ad",
        advert.clone(),
        advert,
    ));
    let info = info().encode().to_vec();
    all.push(("info", "info", "bound, MTU 247, BLE", info.clone(), info));
    all
}

/// A whole handshake on a line: who sends, and every frame's packet before COBS. The keys are in the constants above.
pub(crate) fn transcript() -> Vec<(&'static str, Vec<u8>)> {
    let mut edge = BoxLink::open(box_setup(Framing::Uart), 0).unwrap();
    let mut seal = SealLink::accept(seal_setup(Framing::Uart), 0);
    let mut frames = vec![];
    for _ in 0..4 {
        while let Some(bytes) = edge.poll_output() {
            seal.receive(&bytes, 0);
            frames.push(("box", bytes));
        }
        while let Some(bytes) = seal.poll_output() {
            edge.receive(&bytes, 0);
            frames.push(("seal", bytes));
        }
    }
    assert!(edge.is_open() && seal.is_open());
    frames
}
