//! Link tickets and the two machines of a link: who gets in, what opens, restricts and ends a link.

use proptest::{collection::vec, prelude::*};
use sealgate_codec::{
    ErrorCode, Frame, Message,
    link::{
        BoxLink, BoxSetup, CloseCode, CloseReason, Framer, Framing, Link, LinkChal, LinkEvent,
        LinkFrame, LinkLimits, LinkMessage, LinkOk, LinkStatus, MAX_LINK_MESSAGE, MAX_QUEUED,
        Millis, PacketKind, Received, SealLink, SealSetup, SendError, public_key,
    },
    message::{LeaseReq, Status},
    statement::{LinkRole, LinkTicket, LinkView},
};

use crate::{
    checks,
    keys::{DEVICE, LEASE, LINK, NOW, OTHER_DEVICE, key, key_set, link_keys},
    link_samples::{
        BOX_SECRET, SEAL_SECRET, box_setup, seal_setup, signed_ticket, ticket, transcript,
    },
    samples::NONCE,
};

const BLE: Framing = Framing::Ble { mtu: 247 };

/// Both ends and an air that loses nothing.
struct Pair {
    edge: BoxLink,
    seal: SealLink,
    now: Millis,
    edge_heard: Vec<LinkEvent>,
    seal_heard: Vec<LinkEvent>,
}

impl Pair {
    fn new(edge: BoxSetup, seal: SealSetup) -> Self {
        Self {
            edge: BoxLink::open(edge, 0).unwrap(),
            seal: SealLink::accept(seal, 0),
            now: 0,
            edge_heard: vec![],
            seal_heard: vec![],
        }
    }

    fn open(framing: Framing) -> Self {
        let mut pair = Self::new(box_setup(framing), seal_setup(framing));
        pair.run();
        assert!(pair.edge.is_open() && pair.seal.is_open());
        pair.edge_heard.clear();
        pair.seal_heard.clear();
        pair
    }

    /// Carries bytes until nothing moves.
    fn run(&mut self) {
        loop {
            let up = self.edge.poll_output();
            let down = self.seal.poll_output();
            if let Some(bytes) = &up {
                self.seal.receive(bytes, self.now);
            }
            if let Some(bytes) = &down {
                self.edge.receive(bytes, self.now);
            }
            self.edge_heard
                .extend(std::iter::from_fn(|| self.edge.poll_event()));
            self.seal_heard
                .extend(std::iter::from_fn(|| self.seal.poll_event()));
            if up.is_none() && down.is_none() {
                return;
            }
        }
    }

    fn at(&mut self, now: Millis) {
        self.now = now;
        self.edge.tick(now);
        self.seal.tick(now);
        self.run();
    }
}

fn lease_req() -> Vec<u8> {
    Frame::new(1, Message::LeaseReq(LeaseReq { nonce: NONCE })).encode()
}

fn status() -> Vec<u8> {
    let status = Status {
        up: 1,
        batt: 50,
        position: None,
        rssi: None,
        facts: None,
        fill: 0,
        counted: None,
    };
    Frame::new(2, Message::Status(status)).encode()
}

#[test]
fn a_link_ticket_is_for_one_seal_one_key_and_a_time() {
    let view = |now| LinkView { dev: DEVICE, now };
    let accept = |view| LinkTicket::accept(&signed_ticket(), &link_keys(), &view);
    assert_eq!(accept(view(Some(NOW))), Ok(ticket()));
    assert_eq!(accept(view(None)), Ok(ticket()));
    assert_eq!(accept(view(Some(NOW + 86_401))), Err(ErrorCode::Expired));
    assert_eq!(accept(view(Some(NOW - 301))), Err(ErrorCode::NotYetValid));
    assert_eq!(accept(view(Some(NOW - 300))), Ok(ticket()));
    let other = LinkView {
        dev: OTHER_DEVICE,
        now: None,
    };
    assert_eq!(accept(other), Err(ErrorCode::WrongDevice));
}

#[test]
fn only_a_key_of_the_link_scope_signs_link_tickets() {
    let view = LinkView {
        dev: DEVICE,
        now: None,
    };
    let by_lease_key = ticket().sign(&key(LEASE), LEASE);
    let forged = ticket().sign(&key(99), LINK);
    let accept = |bytes: &[u8]| LinkTicket::accept(bytes, &link_keys(), &view);
    assert_eq!(accept(&by_lease_key), Err(ErrorCode::KeyScope));
    assert_eq!(accept(&forged), Err(ErrorCode::Signature));
    assert_eq!(
        LinkTicket::accept(&signed_ticket(), &key_set(), &view),
        Err(ErrorCode::KeyScope)
    );
}

#[test]
fn a_link_opens_over_ble_at_every_mtu_and_on_a_line() {
    for framing in (23..=517)
        .map(|mtu| Framing::Ble { mtu })
        .chain([Framing::Uart])
    {
        let mut pair = Pair::new(box_setup(framing), seal_setup(framing));
        pair.run();
        let opened = [LinkEvent::Opened { restricted: false }];
        assert_eq!(pair.edge_heard, opened, "{framing:?}");
        assert_eq!(pair.seal_heard, opened, "{framing:?}");
        assert_eq!(pair.seal.peer(), Some(&ticket()));
        let message: Vec<u8> = (0..MAX_LINK_MESSAGE).map(|i| i.to_le_bytes()[0]).collect();
        let id = pair.seal.send(&message, 0).unwrap();
        pair.run();
        assert_eq!(pair.edge_heard[1], LinkEvent::Message(message));
        assert_eq!(pair.seal_heard[1], LinkEvent::Delivered(id));
        assert_eq!(pair.edge.faults() + pair.seal.faults(), 0);
    }
}

#[test]
fn messages_go_both_ways_in_order() {
    let mut pair = Pair::open(BLE);
    for number in 0..5 {
        pair.edge.send(&[0x10, number], 0).unwrap();
        pair.seal.send(&[0x20, number], 0).unwrap();
    }
    pair.run();
    let messages = |heard: &[LinkEvent]| -> Vec<Vec<u8>> {
        heard
            .iter()
            .filter_map(|event| match event {
                LinkEvent::Message(message) => Some(message.clone()),
                _ => None,
            })
            .collect()
    };
    let sent = |from| (0..5).map(|number| vec![from, number]).collect::<Vec<_>>();
    assert_eq!(messages(&pair.seal_heard), sent(0x10));
    assert_eq!(messages(&pair.edge_heard), sent(0x20));
    let delivered = |heard: &[LinkEvent]| {
        heard
            .iter()
            .filter(|event| matches!(event, LinkEvent::Delivered(_)))
            .count()
    };
    assert_eq!(delivered(&pair.seal_heard), 5);
    assert_eq!(delivered(&pair.edge_heard), 5);
}

#[test]
fn the_box_says_what_it_has_durably() {
    let mut pair = Pair::open(BLE);
    let received = Received { epoch: 1, upto: 9 };
    let id = pair.edge.received(received, 0).unwrap();
    pair.run();
    assert_eq!(pair.seal_heard, [LinkEvent::Received(received)]);
    assert_eq!(pair.edge_heard, [LinkEvent::Delivered(id)]);
}

/// Every way to have no right to use.
#[test]
fn a_stranger_is_refused_and_told_that_it_has_no_right_to_use() {
    let base = || box_setup(BLE);
    let signed = |ticket: LinkTicket, kid| ticket.sign(&key(kid), LINK);
    let stranger = [0x99; 32];
    let own = LinkTicket {
        key: public_key(&stranger),
        ..ticket()
    };
    let other_seal = LinkTicket {
        dev: OTHER_DEVICE,
        ..ticket()
    };
    let cases = [
        (
            "its own signature",
            signed(ticket(), 99),
            BOX_SECRET,
            ErrorCode::Signature,
        ),
        (
            "its own ticket",
            signed(own, 99),
            stranger,
            ErrorCode::Signature,
        ),
        (
            "a ticket for another seal",
            signed(other_seal, LINK),
            BOX_SECRET,
            ErrorCode::WrongDevice,
        ),
    ];
    for (name, ticket, secret, code) in cases {
        let setup = BoxSetup {
            ticket,
            secret,
            ..base()
        };
        let mut pair = Pair::new(setup, seal_setup(BLE));
        pair.run();
        let refused = LinkEvent::Closed(CloseReason::Refused(ErrorCode::NotUser));
        assert_eq!(pair.edge_heard, [refused], "{name}");
        let stranger = LinkEvent::Closed(CloseReason::Stranger(code));
        assert_eq!(pair.seal_heard, [stranger], "{name}");
        assert_eq!(pair.seal.deadline(), None);
    }
}

#[test]
fn a_ticket_that_was_overheard_opens_nothing() {
    // A stranger replays the box's LINK-OPEN, and has its ticket, but not its key.
    let (_, open) = transcript().remove(0);
    let setup = SealSetup {
        seed: [0x0f; 32],
        ..seal_setup(Framing::Uart)
    };
    let mut seal = SealLink::accept(setup, 0);
    seal.receive(&open, 0);
    assert!(seal.poll_output().is_some(), "LINK-CHAL");
    // The rest of what it heard, too.
    seal.receive(&transcript().remove(2).1, 0);
    assert!(!seal.is_open());
    assert_eq!(seal.poll_event(), None);
    seal.tick(10_000);
    let timeout = LinkEvent::Closed(CloseReason::Timeout);
    assert_eq!(seal.poll_event(), Some(timeout));
    // Its own key under the box's ticket is found out at once.
    let setup = BoxSetup {
        secret: [0x99; 32],
        ..box_setup(BLE)
    };
    assert_eq!(BoxLink::open(setup, 0).err(), Some(ErrorCode::KeyScope));
}

#[test]
fn a_handshake_is_for_the_seal_that_the_box_means() {
    let setup = BoxSetup {
        seal: public_key(&[0x77; 32]),
        ..box_setup(BLE)
    };
    let mut pair = Pair::new(setup, seal_setup(BLE));
    pair.run();
    let stranger = LinkEvent::Closed(CloseReason::Stranger(ErrorCode::NotUser));
    assert_eq!(pair.seal_heard, [stranger]);
    assert!(!pair.edge.is_open());
}

#[test]
fn an_expired_ticket_is_refused_with_the_reason() {
    let mut setup = seal_setup(BLE);
    setup.time = Some(NOW + 86_401);
    let mut pair = Pair::new(box_setup(BLE), setup);
    pair.run();
    let refused = LinkEvent::Closed(CloseReason::Refused(ErrorCode::Expired));
    assert_eq!(pair.edge_heard, [refused]);
}

#[test]
fn who_says_nothing_is_a_stranger_after_three_seconds() {
    let mut seal = SealLink::accept(seal_setup(BLE), 100);
    assert_eq!(seal.deadline(), Some(3_100));
    seal.tick(3_099);
    assert_eq!(seal.poll_event(), None);
    seal.tick(3_100);
    let stranger = LinkEvent::Closed(CloseReason::Stranger(ErrorCode::NotUser));
    assert_eq!(seal.poll_event(), Some(stranger));
    let refusal = seal.poll_output().unwrap();
    let mut framer = Framer::new(BLE);
    let packets = framer.unpack(&refusal, 0);
    assert_eq!(packets[0].kind, PacketKind::Handshake);
    let frame = LinkFrame::decode(&packets[0].bytes).unwrap();
    assert!(matches!(
        frame.message,
        LinkMessage::Ok(LinkOk {
            status: LinkStatus::Refused,
            err: Some(ErrorCode::NotUser)
        })
    ));
}

#[test]
fn who_speaks_too_slowly_is_refused_too() {
    let mut seal = SealLink::accept(seal_setup(BLE), 0);
    for second in 0..10 {
        assert_eq!(seal.poll_event(), None);
        seal.receive(&[0x40, 0, 1, 0, 9], second * 1000);
        seal.tick(second * 1000);
    }
    seal.tick(10_000);
    assert!(matches!(
        seal.poll_event(),
        Some(LinkEvent::Closed(CloseReason::Stranger(_)))
    ));
}

#[test]
fn a_seal_on_an_empty_dock_waits_without_end() {
    let mut seal = SealLink::accept(seal_setup(Framing::Uart), 0);
    seal.receive(&[0x55; 900], 1_000);
    seal.tick(1 << 40);
    assert_eq!(seal.poll_event(), None);
}

#[test]
fn without_signed_time_a_link_is_restricted_until_it_comes() {
    let mut setup = seal_setup(BLE);
    setup.time = None;
    let mut pair = Pair::new(box_setup(BLE), setup);
    pair.run();
    let opened = LinkEvent::Opened { restricted: true };
    assert_eq!(pair.edge_heard, std::slice::from_ref(&opened));
    assert_eq!(pair.seal_heard, [opened]);
    assert_eq!(pair.seal.send(&status(), 0), Err(SendError::Restricted));
    assert_eq!(pair.edge.send(&status(), 0), Err(SendError::Restricted));
    pair.seal.send(&lease_req(), 0).unwrap();
    pair.run();
    assert!(pair.edge_heard.contains(&LinkEvent::Message(lease_req())));
    pair.seal.set_time(NOW + 5, 0);
    pair.run();
    assert_eq!(pair.edge_heard.last(), Some(&LinkEvent::Unrestricted));
    assert!(pair.seal_heard.contains(&LinkEvent::Unrestricted));
    assert!(!pair.seal.is_restricted());
    pair.seal.send(&status(), 0).unwrap();
    pair.run();
    assert_eq!(pair.edge_heard.last(), Some(&LinkEvent::Message(status())));
}

#[test]
fn a_ticket_that_turns_out_to_be_over_ends_the_link() {
    let mut setup = seal_setup(BLE);
    setup.time = None;
    let mut pair = Pair::new(box_setup(BLE), setup);
    pair.run();
    pair.seal.set_time(NOW + 90_000, 0);
    pair.run();
    let ended = |reason| Some(LinkEvent::Closed(reason));
    assert_eq!(
        pair.seal_heard.pop(),
        ended(CloseReason::Local(CloseCode::Expired))
    );
    assert_eq!(
        pair.edge_heard.pop(),
        ended(CloseReason::Peer(CloseCode::Expired))
    );
}

#[test]
fn a_replayed_packet_changes_nothing() {
    let mut pair = Pair::open(Framing::Uart);
    pair.edge.send(b"lock", 0).unwrap();
    let packet = pair.edge.poll_output().unwrap();
    for _ in 0..3 {
        pair.seal.receive(&packet, 0);
    }
    pair.run();
    assert_eq!(pair.seal_heard, [LinkEvent::Message(b"lock".to_vec())]);
    let faults = pair.seal.faults();
    pair.seal.receive(&packet, 0);
    assert_eq!(pair.seal.poll_event(), None);
    assert_eq!(pair.seal.faults(), faults, "it is a good frame, only old");
}

#[test]
fn what_a_stranger_sends_into_an_open_link_changes_nothing() {
    let mut pair = Pair::open(Framing::Uart);
    let mut forger = Framer::new(Framing::Uart);
    let refused = LinkOk {
        status: LinkStatus::Refused,
        err: Some(ErrorCode::NotUser),
    };
    let chal = LinkChal { hs2: vec![1; 48] };
    for message in [LinkMessage::Ok(refused), LinkMessage::Chal(chal)] {
        for re in [0, 4711] {
            let frame = LinkFrame {
                mid: 0,
                re: Some(re),
                message: message.clone(),
            };
            for bytes in forger.pack(PacketKind::Handshake, frame.encode()) {
                pair.edge.receive(&bytes, 0);
                pair.seal.receive(&bytes, 0);
            }
        }
    }
    for bytes in forger.pack(PacketKind::Transport, vec![0xff; 60]) {
        pair.edge.receive(&bytes, 0);
        pair.seal.receive(&bytes, 0);
    }
    // The replay of an older LINK-OPEN is answered, and proves nothing.
    pair.seal.receive(&transcript()[0].1, 0);
    pair.seal.send(b"still here", 0).unwrap();
    pair.run();
    pair.at(12_000);
    assert_eq!(
        pair.edge_heard,
        [LinkEvent::Message(b"still here".to_vec())]
    );
    assert!(pair.edge.is_open() && pair.seal.is_open());
}

#[test]
fn a_box_that_restarts_on_a_line_gets_in_again() {
    let mut pair = Pair::open(Framing::Uart);
    pair.seal.send(b"on its way", 0).unwrap();
    while pair.seal.poll_output().is_some() {}
    let setup = BoxSetup {
        ephemeral: [0xe9; 32],
        ..box_setup(Framing::Uart)
    };
    pair.edge = BoxLink::open(setup, 0).unwrap();
    pair.run();
    assert_eq!(pair.seal_heard, [LinkEvent::Opened { restricted: false }]);
    pair.seal.send(b"again", 0).unwrap();
    pair.run();
    assert_eq!(
        pair.edge_heard.last(),
        Some(&LinkEvent::Message(b"again".to_vec()))
    );
}

#[test]
fn an_edge_box_yields_to_a_user_and_not_the_other_way_round() {
    let phone = [0x13; 32];
    let user = LinkTicket {
        key: public_key(&phone),
        role: LinkRole::User,
        user: 3,
        exp: NOW + 900,
        ..ticket()
    };
    let setup = || BoxSetup {
        secret: phone,
        ticket: user.sign(&key(LINK), LINK),
        ephemeral: [0xe8; 32],
        ..box_setup(Framing::Uart)
    };
    let mut pair = Pair::open(Framing::Uart);
    pair.edge = BoxLink::open(setup(), 0).unwrap();
    pair.run();
    assert_eq!(pair.seal.peer(), Some(&user));
    let again = BoxSetup {
        ephemeral: [0xe7; 32],
        ..box_setup(Framing::Uart)
    };
    pair.edge = BoxLink::open(again, 0).unwrap();
    pair.run();
    assert!(!pair.edge.is_open());
    assert_eq!(pair.seal.peer(), Some(&user));
}

#[test]
fn the_box_breaks_the_silence_and_a_dead_link_ends() {
    let mut pair = Pair::open(BLE);
    for second in 1..=120 {
        pair.at(second * 1000);
    }
    assert!(pair.edge.is_open() && pair.seal.is_open());
    assert_eq!(pair.edge_heard, []);
    // The air is gone.
    for second in 121..=160 {
        pair.edge.tick(second * 1000);
        pair.seal.tick(second * 1000);
        while pair.edge.poll_output().is_some() || pair.seal.poll_output().is_some() {}
    }
    let silent = Some(LinkEvent::Closed(CloseReason::Silent));
    assert_eq!(pair.edge.poll_event(), silent);
    assert_eq!(pair.seal.poll_event(), silent);
}

#[test]
fn a_message_that_is_never_answered_ends_the_link_and_counts_as_not_delivered() {
    let mut setup = box_setup(BLE);
    setup.limits.silence = Millis::MAX;
    let mut pair = Pair::new(setup, seal_setup(BLE));
    pair.run();
    pair.edge_heard.clear();
    pair.edge.send(b"into the void", 0).unwrap();
    let mut sent = 0;
    while let Some(due) = pair.edge.deadline() {
        sent += std::iter::from_fn(|| pair.edge.poll_output()).count();
        pair.edge.tick(due);
    }
    assert_eq!(sent, usize::try_from(LinkLimits::BLE.tries).unwrap());
    let events: Vec<_> = std::iter::from_fn(|| pair.edge.poll_event()).collect();
    assert_eq!(events, [LinkEvent::Closed(CloseReason::Lost)]);
}

#[test]
fn a_link_ends_before_its_nonces_do() {
    let mut setup = seal_setup(BLE);
    setup.limits.packets = 40;
    let mut pair = Pair::new(box_setup(BLE), setup);
    pair.run();
    let mut delivered = 0;
    for _ in 0..100 {
        let _ = pair.seal.send(b"x", 0);
        pair.run();
    }
    for event in &pair.edge_heard {
        delivered += usize::from(matches!(event, LinkEvent::Message(_)));
    }
    assert!((30..40).contains(&delivered), "{delivered}");
    let keys = LinkEvent::Closed(CloseReason::Peer(CloseCode::Keys));
    assert_eq!(pair.edge_heard.last(), Some(&keys));
    let own = LinkEvent::Closed(CloseReason::Local(CloseCode::Keys));
    assert_eq!(pair.seal_heard.last(), Some(&own));
}

#[test]
fn closing_tells_the_other_end_why() {
    let mut pair = Pair::open(BLE);
    pair.edge.close(CloseCode::Done);
    pair.run();
    let done = |reason| [LinkEvent::Closed(reason)];
    assert_eq!(pair.edge_heard, done(CloseReason::Local(CloseCode::Done)));
    assert_eq!(pair.seal_heard, done(CloseReason::Peer(CloseCode::Done)));
    assert_eq!(pair.edge.send(b"x", 0), Err(SendError::NotOpen));
    assert_eq!(pair.seal.deadline(), None);
    pair.edge.close(CloseCode::Done);
    assert_eq!(pair.edge.poll_event(), None);
}

#[test]
fn what_waits_to_be_sent_is_bounded() {
    let mut pair = Pair::open(BLE);
    for _ in 0..MAX_QUEUED {
        pair.seal.send(b"x", 0).unwrap();
    }
    assert_eq!(pair.seal.send(b"x", 0), Err(SendError::Full));
    assert_eq!(pair.edge.send(b"", 0), Err(SendError::Length(0)));
    let long = vec![0; MAX_LINK_MESSAGE + 1];
    let length = Err(SendError::Length(long.len()));
    assert_eq!(pair.edge.send(&long, 0), length);
    pair.run();
    pair.seal.send(b"x", 0).unwrap();
}

#[test]
fn a_box_gives_up_where_no_seal_answers() {
    let mut edge = BoxLink::open(box_setup(BLE), 0).unwrap();
    let mut opens = 0;
    while let Some(due) = edge.deadline() {
        opens += std::iter::from_fn(|| edge.poll_output()).count();
        edge.tick(due);
    }
    assert!(opens >= 10);
    let timeout = LinkEvent::Closed(CloseReason::Timeout);
    assert_eq!(edge.poll_event(), Some(timeout));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_bytes_of_a_stranger_open_a_link(bytes in vec(any::<u8>(), 0..900)) {
        checks::machine(&bytes);
    }
}

#[test]
fn both_ends_can_move_between_threads() {
    fn moves<T: Send + 'static>() {}
    moves::<BoxLink>();
    moves::<SealLink>();
}

#[test]
fn the_secrets_of_the_samples_are_a_pair() {
    assert_ne!(public_key(&SEAL_SECRET), public_key(&BOX_SECRET));
    assert_eq!(ticket().key, public_key(&BOX_SECRET));
}
