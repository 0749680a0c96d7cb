//! What must hold for any bytes: no decoder panics, and what one accepts encodes to the very same bytes. Shared by the
//! property tests and the fuzz targets.

use sealgate_codec::{
    DeviceId, Frame,
    cbor::check_canonical,
    cose,
    edge::{ControlFrame, MAX_CONTROL, MAX_SEAL_FRAME, SealFrame, StreamDecoder, stream_frame},
    link::{
        Advert, BleInfo, BoxLink, BoxSetup, Framer, Framing, Link, LinkEvent, LinkFrame,
        LinkLimits, MAX_PACKET, Packet, PacketKind, Plain, SealLink, SealSetup,
        fragment::{Reassembler, fragment},
        public_key,
        uart::{UartDecoder, cobs_decode, cobs_encode, uart_frame},
    },
    record::{LinkKind, Record},
    statement::{
        Checkpoint, KeyEntry, KeySet, Lease, LeaseView, LinkRole, LinkTicket, LinkView, Receipt,
        ReceiptView, RootKey,
    },
    ticket::{CounterJournal, DeviceView, Scope, Ticket},
    topic,
};

/// A message. It encodes to other bytes only when unknown keys were passed over.
pub fn frame(bytes: &[u8]) {
    let Ok((frame, unknown)) = Frame::decode_counting(bytes) else {
        return;
    };
    assert_eq!(check_canonical(bytes), Ok(()));
    assert_eq!(Frame::peek(bytes), Some((frame.message.kind(), frame.mid)));
    let again = frame.encode();
    if unknown == 0 {
        assert_eq!(again, bytes);
    }
    assert_eq!(Frame::decode_counting(&again), Ok((frame, 0)));
}

/// A record.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = Record::decode(bytes) {
        assert_eq!(&*record.encode(), bytes);
        assert!(record.end() > record.seq);
    }
}

/// A signed body.
pub fn sign1(bytes: &[u8]) {
    if let Ok(signed) = cose::parse(bytes) {
        let again = cose::assemble(signed.kid, signed.payload, &signed.signature);
        assert_eq!(again, bytes);
    }
}

/// Every payload.
pub fn payload(bytes: &[u8]) {
    if let Ok(ticket) = Ticket::decode(bytes) {
        assert_eq!(ticket.payload(), bytes);
    }
    if let Ok(lease) = Lease::decode(bytes) {
        assert_eq!(lease.payload(), bytes);
    }
    if let Ok(receipt) = Receipt::decode(bytes) {
        assert_eq!(receipt.payload(), bytes);
    }
    if let Ok(checkpoint) = Checkpoint::decode(bytes) {
        assert_eq!(checkpoint.payload(), bytes);
    }
    if let Ok(set) = KeySet::decode(bytes) {
        assert_eq!(set.payload(), bytes);
    }
    if let Ok(ticket) = LinkTicket::decode(bytes) {
        assert_eq!(ticket.payload(), bytes);
    }
}

/// What a seal believes, behind signatures that always verify: nothing panics beyond them.
pub fn believed(bytes: &[u8]) {
    let dev = DeviceId::new([0, 1, 2, 3, 4, 5, 6, 7]);
    let yes = |_: &[u8; 32], _: &[u8], _: &[u8; 64]| true;
    let entry = |kid| KeyEntry {
        kid,
        alg: cose::ED25519,
        public: [kid; 32],
        scopes: Scope::from_bits(255),
        not_after: u32::MAX,
    };
    let keys = KeySet {
        version: 1,
        entries: (2..=8).map(entry).collect(),
    };
    let view = DeviceView {
        dev,
        generation: 2,
        counters: [0; 4],
        now: None,
        bound: true,
        link: LinkKind::Gprs,
    };
    let lease = LeaseView {
        dev,
        generation: 2,
        boot: 41,
        nonce: Some([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7]),
        high_water: 0,
    };
    let receipt = ReceiptView {
        dev,
        epoch: 1,
        now: None,
    };
    let root = RootKey {
        kid: 1,
        public: [1; 32],
    };
    let _ = CounterJournal::new().receive_by(bytes, &keys, &view, &yes);
    let _ = Lease::accept_by(bytes, &keys, &lease, &yes);
    let _ = Receipt::accept_by(bytes, &keys, &receipt, &yes);
    let _ = KeySet::verify_by(bytes, &root, &yes);
    let _ = LinkTicket::accept_by(bytes, &keys, &LinkView { dev, now: Some(5) }, &yes);
    let _ = Checkpoint::verify(bytes, &[0; 32], &yes);
}

/// Names of devices and topics.
pub fn text(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    if let Some(topic) = topic::parse(text) {
        assert_eq!(topic.to_string(), text);
    }
    if let Ok(id) = text.parse::<DeviceId>() {
        assert_eq!(id.to_string(), text);
    }
}

/// A link message, a decrypted packet, an advertisement, INFO.
pub fn link(bytes: &[u8]) {
    if let Ok((frame, unknown)) = LinkFrame::decode_counting(bytes) {
        assert_eq!(check_canonical(bytes), Ok(()));
        assert!(LinkFrame::is_one(bytes));
        assert!(Frame::decode(bytes).is_err());
        let again = frame.encode();
        if unknown == 0 {
            assert_eq!(again, bytes);
        }
        assert_eq!(LinkFrame::decode(&again), Ok(frame));
    }
    if let Ok(plain) = Plain::decode(bytes) {
        assert_eq!(plain.encode(), bytes);
    }
    if let Ok(advert) = Advert::decode(bytes) {
        assert_eq!(advert.encode(), bytes[..11]);
    }
    if let Ok(info) = BleInfo::decode(bytes) {
        assert_eq!(info.encode(), bytes[..8]);
    }
}

/// A control message.
pub fn control(bytes: &[u8]) {
    let Ok((frame, unknown)) = ControlFrame::decode_counting(bytes) else {
        return;
    };
    assert_eq!(check_canonical(bytes), Ok(()));
    let again = frame.encode();
    if unknown == 0 {
        assert_eq!(again, bytes);
    }
    assert_eq!(ControlFrame::decode_counting(&again), Ok((frame, 0)));
}

/// A frame of a seal's stream.
pub fn seal_frame(bytes: &[u8]) {
    if let Ok(frame) = SealFrame::decode(bytes) {
        assert_eq!(frame.encode(), bytes);
    }
}

/// Any framing: what comes out goes in again, and nothing comes out that is longer than a packet.
pub fn framing(bytes: &[u8]) {
    let mut values = Reassembler::default();
    for value in bytes.chunks(20) {
        if let Ok(Some(packet)) = values.push(value, 0) {
            assert!(packet.bytes.len() <= MAX_PACKET);
            let mut again = Reassembler::default();
            let mut sequence = 250;
            let whole: Vec<Packet> = fragment(&packet, 23, &mut sequence)
                .iter()
                .filter_map(|value| again.push(value, 0).expect("own values follow each other"))
                .collect();
            assert_eq!(whole, [packet]);
        }
    }
    let mut line = UartDecoder::default();
    for packet in bytes.iter().filter_map(|byte| line.push(*byte)).flatten() {
        let mut again = UartDecoder::default();
        let bytes = uart_frame(&packet, &mut 9);
        assert!(!bytes[..bytes.len() - 1].contains(&0));
        let whole: Vec<_> = bytes.iter().filter_map(|byte| again.push(*byte)).collect();
        assert_eq!(whole, [Ok(packet)]);
    }
    assert_eq!(cobs_decode(&cobs_encode(bytes)).as_deref(), Ok(bytes));
    let _ = cobs_decode(bytes);
    stream(bytes, MAX_CONTROL);
    stream(bytes, MAX_SEAL_FRAME);
}

fn stream(bytes: &[u8], cap: usize) {
    let mut whole = StreamDecoder::new(cap);
    let mut pieces = StreamDecoder::new(cap);
    let mut rest = bytes;
    while !rest.is_empty() {
        let Ok((taken, frame)) = whole.take(rest) else {
            return;
        };
        // Byte by byte, the same frames come at the same places.
        for (place, byte) in rest[..taken].iter().enumerate() {
            let (one, found) = pieces.take(&[*byte]).expect("the same bytes");
            assert_eq!(one, 1);
            assert_eq!(found, frame.clone().filter(|_| place + 1 == taken));
        }
        if let Some(frame) = frame {
            assert!(rest[..taken].ends_with(&stream_frame(&frame)));
            assert!(whole.is_between_frames());
        }
        rest = &rest[taken..];
    }
}

/// Both machines on what a stranger sends: no link opens and no message comes.
pub fn machine(bytes: &[u8]) {
    for framing in [Framing::Uart, Framing::Ble { mtu: 247 }] {
        let mut ends: [Box<dyn Link>; 2] =
            [Box::new(stranger_to(framing)), Box::new(edge(framing))];
        for end in &mut ends {
            for (now, piece) in bytes.chunks(61).enumerate() {
                end.receive(piece, now as u64 * 100);
            }
            // The same as whole packets, past the checksums.
            let mut framer = Framer::new(framing);
            for kind in PacketKind::ALL {
                for packet in bytes.chunks(400) {
                    for piece in framer.pack(*kind, packet.to_vec()) {
                        end.receive(&piece, 2_000);
                    }
                }
            }
            end.tick(60_000);
            while end.poll_output().is_some() {}
            while let Some(event) = end.poll_event() {
                assert!(matches!(event, LinkEvent::Closed(_)), "{event:?}");
            }
            assert!(!end.is_open());
        }
    }
}

fn stranger_to(framing: Framing) -> SealLink {
    let setup = SealSetup {
        framing,
        limits: LinkLimits::BLE,
        dev: DeviceId::new([0, 1, 2, 3, 4, 5, 6, 7]),
        secret: [3; 32],
        keys: KeySet::default(),
        time: None,
        seed: [4; 32],
    };
    SealLink::accept(setup, 0)
}

fn edge(framing: Framing) -> BoxLink {
    let secret = [5; 32];
    let ticket = LinkTicket {
        dev: DeviceId::new([0, 1, 2, 3, 4, 5, 6, 7]),
        key: public_key(&secret),
        role: LinkRole::Edge,
        user: 1,
        iat: 1,
        exp: 2,
    };
    let setup = BoxSetup {
        framing,
        limits: LinkLimits::BLE,
        secret,
        seal: public_key(&[3; 32]),
        ticket: cose::assemble(9, &ticket.payload(), &[0; 64]),
        ephemeral: [6; 32],
    };
    BoxLink::open(setup, 0).expect("the ticket is for this key")
}
