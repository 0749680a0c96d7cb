//! What must hold for any bytes: no decoder panics, and what one accepts encodes to the very same bytes. Shared by the
//! property tests and the fuzz targets.

use sealgate_codec::{
    DeviceId, Frame,
    cbor::check_canonical,
    cose,
    record::{LinkKind, Record},
    statement::{Checkpoint, KeyEntry, KeySet, Lease, LeaseView, Receipt, ReceiptView, RootKey},
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
