//! Bytes that must be refused, and the answer each gets.

use sealgate_codec::{
    DecodeError, ErrorCode, Frame, Message,
    cbor::check_canonical,
    cose::{self, Purpose},
    edge::{ControlFrame, SealFrame},
    link::LinkFrame,
    record::Record,
    statement::{Checkpoint, KeyEntry, KeySet, Lease, LinkTicket, Receipt},
    ticket::{Scope, Ticket},
};

use crate::{
    edge_samples::{controls, seal_frames},
    keys::{LEASE, key, key_set},
    link_samples,
    samples::{hello, lease, messages, record, stamps, tickets},
};

pub(crate) struct Negative {
    pub(crate) name: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) error: ErrorCode,
    pub(crate) bytes: Vec<u8>,
}

/// Decodes bytes as what a rule of the schema names.
pub(crate) fn decode(rule: &str, bytes: &[u8]) -> Result<(), DecodeError> {
    match rule {
        "sl1" => Frame::decode(bytes).map(drop),
        "rec" => Record::decode(bytes).map(drop),
        "sign1" => cose::parse(bytes).map(drop),
        "ticket" => Ticket::decode(bytes).map(drop),
        "lease-payload" => Lease::decode(bytes).map(drop),
        "receipt-payload" => Receipt::decode(bytes).map(drop),
        "checkpoint-payload" => Checkpoint::decode(bytes).map(drop),
        "keyset-payload" => KeySet::decode(bytes).map(drop),
        "link-payload" => LinkTicket::decode(bytes).map(drop),
        "linkmsg" => LinkFrame::decode(bytes).map(drop),
        "control" => ControlFrame::decode(bytes).map(drop),
        "sealframe" => SealFrame::decode(bytes).map(drop),
        _ => panic!("no decoder for {rule}"),
    }
}

fn message(name: &str) -> Vec<u8> {
    messages()
        .into_iter()
        .find(|sample| sample.name == name)
        .expect("a sample of that name")
        .value
        .encode()
}

fn ticket(name: &str) -> Vec<u8> {
    tickets()
        .into_iter()
        .find(|sample| sample.name == name)
        .expect("a sample of that name")
        .value
        .payload()
}

/// Replaces the one place where `from` stands.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter_map(|(place, window)| (window == from).then_some(place))
        .collect();
    let [place] = places[..] else {
        panic!("{from:02x?} stands at {places:?}");
    };
    [&bytes[..place], to, &bytes[place + from.len()..]].concat()
}

pub(crate) fn all() -> Vec<Negative> {
    let mut all = canonical();
    all.extend(shape());
    all.extend(values());
    all.extend(signed());
    all.extend(links());
    all.extend(edges());
    all
}

fn negative(
    name: &'static str,
    rule: &'static str,
    meaning: &'static str,
    error: ErrorCode,
    bytes: Vec<u8>,
) -> Negative {
    Negative {
        name,
        rule,
        meaning,
        error,
        bytes,
    }
}

#[rustfmt::skip]
fn canonical() -> Vec<Negative> {
    use ErrorCode::{Malformed, NotCanonical};
    vec![
        negative("duplicate_key", "sl1", "BYE with key 0 twice", NotCanonical, vec![0x83, 0x03, 0x05, 0xa2, 0x00, 0x01, 0x00, 0x02]),
        negative("unsorted_keys", "sl1", "BYE with key 1 before key 0", NotCanonical, vec![0x83, 0x03, 0x05, 0xa2, 0x01, 0x07, 0x00, 0x01]),
        negative("longer_integer", "sl1", "BYE whose reason 1 takes two bytes", NotCanonical, vec![0x83, 0x03, 0x05, 0xa1, 0x00, 0x18, 0x01]),
        negative("longer_type", "sl1", "BYE whose type 3 takes two bytes", NotCanonical, vec![0x83, 0x18, 0x03, 0x05, 0xa1, 0x00, 0x01]),
        negative("longer_length", "sl1", "LEASE-REQ whose nonce has a two-byte length", NotCanonical, [&[0x83, 0x05, 0x05, 0xa1, 0x00, 0x58, 0x08][..], &[7; 8]].concat()),
        negative("indefinite_map", "sl1", "BYE with a map of indefinite length", NotCanonical, vec![0x83, 0x03, 0x05, 0xbf, 0x00, 0x01, 0xff]),
        negative("indefinite_string", "sl1", "LEASE-REQ with a byte string in pieces", NotCanonical, [&[0x83, 0x05, 0x05, 0xa1, 0x00, 0x5f, 0x48][..], &[7; 8], &[0xff]].concat()),
        negative("indefinite_array", "sl1", "a message of indefinite length", Malformed, vec![0x9f, 0x03, 0x05, 0xa1, 0x00, 0x01, 0xff]),
        negative("trailing_byte", "sl1", "BYE with a byte behind it", Malformed, vec![0x83, 0x03, 0x05, 0xa1, 0x00, 0x01, 0x00]),
        negative("two_messages", "sl1", "BYE twice", Malformed, [0x83, 0x03, 0x05, 0xa1, 0x00, 0x01].repeat(2)),
        negative("truncated", "sl1", "HELLO without its last byte", Malformed, { let mut bytes = message("hello"); bytes.pop(); bytes }),
        negative("empty", "sl1", "no bytes", Malformed, vec![]),
        negative("tag", "sl1", "BYE whose reason has a tag", Malformed, vec![0x83, 0x03, 0x05, 0xa1, 0x00, 0xc1, 0x01]),
        negative("float", "sl1", "BYE whose reason is a floating-point 1", Malformed, vec![0x83, 0x03, 0x05, 0xa1, 0x00, 0xf9, 0x3c, 0x00]),
        negative("huge_length", "sl1", "LEASE-REQ with a string of 2^63 bytes", Malformed, vec![0x83, 0x05, 0x05, 0xa1, 0x00, 0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        negative("huge_map", "sl1", "BYE with a map of 2^64-1 entries", Malformed, vec![0x83, 0x03, 0x05, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        negative("depth_9", "sl1", "BYE with an unknown key nested nine deep", Malformed, vec![0x83, 0x03, 0x05, 0xa2, 0x00, 0x01, 0x09, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x01]),
    ]
}

#[rustfmt::skip]
fn shape() -> Vec<Negative> {
    use ErrorCode::{Malformed, NotCanonical, TooLarge, UnknownType};
    let mut big = Frame::new(1, Message::Hello(hello())).encode();
    big.resize(600, 0);
    vec![
        negative("unknown_type", "sl1", "type 6", UnknownType, vec![0x83, 0x06, 0x05, 0xa0]),
        negative("vendor_type", "sl1", "type 200, left to vendors", UnknownType, vec![0x83, 0x18, 0xc8, 0x05, 0xa0]),
        negative("two_items", "sl1", "a message of two items", Malformed, vec![0x82, 0x03, 0x05]),
        negative("answer_to_nothing", "sl1", "CMD-ACK without re", Malformed, vec![0x83, 0x18, 0x21, 0x05, 0xa3, 0x00, 0x00, 0x01, 0x01, 0x02, 0x00]),
        negative("answer_not_allowed", "sl1", "BYE with re", Malformed, vec![0x84, 0x03, 0x05, 0xa1, 0x00, 0x01, 0x01]),
        negative("missing_key", "sl1", "BYE without its reason", Malformed, vec![0x83, 0x03, 0x05, 0xa0]),
        negative("text_for_number", "sl1", "BYE whose reason is text", Malformed, vec![0x83, 0x03, 0x05, 0xa1, 0x00, 0x61, 0x31]),
        negative("hello_too_large", "sl1", "HELLO of 600 bytes where 512 are allowed", TooLarge, big),
        negative("record_not_canonical", "sl1", "STAMPS whose record has a longer integer than needed: the evidence is strict too", NotCanonical, record_not_canonical()),
        negative("record_short", "rec", "a record of nine items", Malformed, replace(&record(1).encode(), &[0x8a, 0x01], &[0x89, 0x01])),
        negative("record_too_large", "rec", "a record with 60 bytes", TooLarge, vec![0; 60]),
    ]
}

fn record_not_canonical() -> Vec<u8> {
    let record = record(1).encode();
    let longer = replace(&record, &[0x8a, 0x01], &[0x8a, 0x18, 0x01]);
    let string = |record: &[u8]| [&[0x58, u8::try_from(record.len()).unwrap()], record].concat();
    let stamps = Frame::new(20, Message::Stamps(stamps(1))).encode();
    replace(&stamps, &string(&record), &string(&longer))
}

#[rustfmt::skip]
fn values() -> Vec<Negative> {
    use ErrorCode::Range;
    let hello_bytes = message("hello");
    vec![
        negative("mid_17_bits", "sl1", "a message number above 65,535", Range, vec![0x83, 0x03, 0x1a, 0, 1, 0, 0, 0xa1, 0x00, 0x01]),
        negative("battery_101", "sl1", "a battery of 101 %", Range, replace(&hello_bytes, &[0x09, 0x18, 0x57], &[0x09, 0x18, 0x65])),
        negative("signal_positive", "sl1", "a signal strength of +1 dBm", Range, replace(&hello_bytes, &[0x0a, 0x38, 0x46], &[0x0a, 0x01])),
        negative("link_4", "sl1", "HELLO on an unknown link", Range, replace(&hello_bytes, &[0x10, 0x01, 0x11], &[0x10, 0x04, 0x11])),
        negative("no_records", "sl1", "STAMPS without records", Range, no_records()),
        negative("too_many_records", "sl1", "STAMPS with 41 records", Range, too_many_records()),
        negative("too_many_gaps", "sl1", "LOG-ACK with nine gaps", Range, [&[0x84, 0x11, 0x01, 0xa4, 0x00, 0x01, 0x01, 0x01, 0x02, 0x00, 0x03, 0x89][..], &[0x82, 0x01, 0x01].repeat(9), &[0x02]].concat()),
        negative("empty_gap", "sl1", "LOG-ACK with a gap of no records", Range, vec![0x84, 0x11, 0x01, 0xa4, 0x00, 0x01, 0x01, 0x01, 0x02, 0x00, 0x03, 0x81, 0x82, 0x01, 0x00, 0x02]),
        negative("block_too_large", "sl1", "OTA-BLK with 2,049 bytes", Range, [&[0x83, 0x18, 0x32, 0x01, 0xa3, 0x00, 0x01, 0x01, 0x01, 0x02, 0x59, 0x08, 0x01][..], &[0; 2049]].concat()),
        negative("record_zero", "rec", "record 0: the first is 1", Range, replace(&record(1).encode(), &[0x8a, 0x01], &[0x8a, 0x00])),
        negative("latitude", "rec", "a latitude above 90 degrees", Range, replace(&record(1).encode(), &[0x1a, 0x17, 0xc8, 0xe5, 0xd0], &[0x1a, 0x35, 0xa4, 0xe9, 0x01])),
        negative("lost_nothing", "rec", "kind 250 that stands for no record", Range, replace(&Record::lost(100, 3, 41, 3700).unwrap().encode(), &[0x18, 0xfa, 0x03], &[0x18, 0xfa, 0x00])),
    ]
}

fn no_records() -> Vec<u8> {
    let mut empty = stamps(1);
    empty.records.clear();
    Frame::new(20, Message::Stamps(empty)).encode()
}

fn too_many_records() -> Vec<u8> {
    let mut many = stamps(1);
    many.records = vec![many.records[0]; 41];
    Frame::new(20, Message::Stamps(many)).encode()
}

#[rustfmt::skip]
fn signed() -> Vec<Negative> {
    use ErrorCode::{Malformed, NotCanonical, Range};
    let lock = ticket("lock");
    let signed = cose::sign_with(&key(3), 3, Purpose::Command, &lock);
    vec![
        negative("ticket_unknown_key", "ticket", "a ticket with key 9: signed bodies fail closed", Malformed, [&[0xa8], &lock[1..], &[0x09, 0x00]].concat()),
        negative("args_unknown_key", "ticket", "lock with an argument 2", Malformed, replace(&lock, &[0x08, 0xa1, 0x00, 0x04], &[0x08, 0xa2, 0x00, 0x04, 0x02, 0x00])),
        negative("args_tag", "ticket", "lock with unlock's arguments", Range, replace(&lock, &[0x08, 0xa1, 0x00, 0x04], &[0x08, 0xa1, 0x00, 0x05])),
        negative("op_domain", "ticket", "lock in the firmware domain", Range, replace(&lock, &[0x01, 0x00, 0x02], &[0x01, 0x03, 0x02])),
        negative("op_17", "ticket", "an unknown op", Range, replace(&lock, &[0x03, 0x04, 0x04], &[0x03, 0x11, 0x04])),
        negative("counter_zero", "ticket", "counter 0", Range, replace(&lock, &[0x02, 0x18, 0x20], &[0x02, 0x00])),
        negative("grant_501", "ticket", "a grant of 501 stamps", Range, replace(&ticket("grant_polygon"), &[0x02, 0x19, 0x01, 0xf4], &[0x02, 0x19, 0x01, 0xf5])),
        negative("backlight_181", "ticket", "a backlight of 181 s", Range, replace(&ticket("config"), &[0x02, 0x18, 0x3c], &[0x02, 0x18, 0xb5])),
        negative("window_backwards", "ticket", "a window that ends before it begins", Range, { let mut ticket = tickets().remove(0).value; std::mem::swap(&mut ticket.nbf, &mut ticket.exp); ticket.payload() }),
        negative("sign1_unprotected", "sign1", "a key id outside the protected header", Malformed, replace(&signed, &[0x03, 0xa0], &[0x03, 0xa1, 0x04, 0x41, 0x03])),
        negative("sign1_algorithm", "sign1", "another algorithm (EdDSA, -8)", Malformed, replace(&signed, &[0x01, 0x32, 0x04], &[0x01, 0x27, 0x04])),
        negative("sign1_tagged", "sign1", "with COSE's tag 18", Malformed, [&[0xd2], &signed[..]].concat()),
        negative("sign1_short", "sign1", "a signature of 63 bytes", Range, { let mut bytes = replace(&signed, &[0x58, 0x40], &[0x58, 0x3f]); bytes.pop(); bytes }),
        negative("lease_backwards", "lease-payload", "a lease that ends when it begins", Range, { let mut lease = lease(); lease.exp = lease.iat; lease.payload() }),
        negative("lease_unknown_key", "lease-payload", "a lease with key 6", Malformed, [&[0xa7], &lease().payload()[1..], &[0x06, 0x00]].concat()),
        negative("keys_twice", "keyset-payload", "a key id twice", NotCanonical, { let mut set = key_set(); set.entries[1].kid = 2; set.payload() }),
        negative("keys_root_scope", "keyset-payload", "the root's scope given away", Range, KeySet { version: 1, entries: vec![KeyEntry { scopes: Scope::KEYSET, ..key_set().entries[0] }] }.payload()),
    ]
}

fn link(name: &str) -> Vec<u8> {
    let mut all = link_samples::messages().into_iter();
    let sample = all.find(|sample| sample.name == name);
    sample.expect("a sample of that name").value.encode()
}

fn control(name: &str) -> Vec<u8> {
    let mut all = controls().into_iter();
    let sample = all.find(|sample| sample.name == name);
    sample.expect("a sample of that name").value.encode()
}

fn seal_frame(name: &str) -> Vec<u8> {
    let mut all = seal_frames().into_iter();
    let sample = all.find(|sample| sample.name == name);
    sample.expect("a sample of that name").value.encode()
}

#[rustfmt::skip]
fn links() -> Vec<Negative> {
    use ErrorCode::{Malformed, NotCanonical, Range, TooLarge, UnknownType};
    let ok = link("link_ok");
    let ticket = link_samples::ticket();
    vec![
        negative("link_type", "linkmsg", "HELLO is no link message", UnknownType, message("bye")),
        negative("link_for_sl1", "sl1", "LINK-OK is no message of a session", UnknownType, ok.clone()),
        negative("link_status", "linkmsg", "LINK-OK with status 3", Range, replace(&ok, &[0xa1, 0x00, 0x00], &[0xa1, 0x00, 0x03])),
        negative("link_answer", "linkmsg", "LINK-OK that answers nothing", Malformed, [&[0x83], &ok[1..ok.len() - 3]].concat()),
        negative("link_key_twice", "linkmsg", "RECEIVED with key 0 twice", NotCanonical, replace(&link("received"), &[0xa2, 0x00, 0x01, 0x01], &[0xa2, 0x00, 0x01, 0x00])),
        negative("link_no_handshake", "linkmsg", "LINK-CHAL without a handshake", Range, vec![0x84, 0x18, 0x61, 0x00, 0xa1, 0x00, 0x40, 0x01]),
        negative("link_too_large", "linkmsg", "LINK-OK of 97 bytes", TooLarge, [&[0x84, 0x18, 0x62, 0x00, 0xa2, 0x00, 0x00, 0x05, 0x58, 0x56][..], &[0; 87]].concat()),
        negative("link_ticket_backwards", "link-payload", "a link ticket that ends when it begins", Range, LinkTicket { exp: ticket.iat, ..ticket }.payload()),
        negative("link_ticket_long", "link-payload", "a box's ticket for more than a day", Range, LinkTicket { exp: ticket.exp + 1, ..ticket }.payload()),
        negative("link_ticket_user_long", "link-payload", "a user's ticket for a day", Range, LinkTicket { role: sealgate_codec::statement::LinkRole::User, ..ticket }.payload()),
        negative("link_ticket_role", "link-payload", "a link ticket of role 2", Range, replace(&ticket.payload(), &[0x02, 0x01, 0x03], &[0x02, 0x02, 0x03])),
        negative("link_ticket_unknown_key", "link-payload", "a link ticket with key 6", Malformed, [&[0xa7], &ticket.payload()[1..], &[0x06, 0x00]].concat()),
    ]
}

#[rustfmt::skip]
fn edges() -> Vec<Negative> {
    use ErrorCode::{Malformed, NotCanonical, Range, TooLarge, UnknownType};
    let assign = control("assign");
    let open = seal_frame("open");
    let ids = |last| [0, 1, 2, 3, 4, 5, 6, last];
    vec![
        negative("control_type", "control", "control type 13", UnknownType, vec![0x83, 0x0d, 0x01, 0xa0]),
        negative("control_answer", "control", "EDGE-ACK that answers nothing", Malformed, { let ack = control("edge_ack"); [&[0x83], &ack[1..ack.len() - 1]].concat() }),
        negative("control_too_large", "control", "DONE of 100 bytes", TooLarge, [&[0x84, 0x05, 0x00, 0xa1, 0x05, 0x58, 0x5d][..], &[0; 93], &[0x00]].concat()),
        negative("assign_order", "control", "ASSIGN with a seal twice", NotCanonical, replace(&assign, &ids(8), &ids(7))),
        negative("assign_part", "control", "ASSIGN, part 1 of 1", Range, replace(&assign, &[0x01, 0x00, 0x02, 0x01, 0x03], &[0x01, 0x01, 0x02, 0x01, 0x03])),
        negative("assign_parts", "control", "ASSIGN in no parts", Range, replace(&assign, &[0x01, 0x00, 0x02, 0x01, 0x03], &[0x01, 0x00, 0x02, 0x00, 0x03])),
        negative("seen_none", "control", "SEEN without a seal", Range, vec![0x83, 0x06, 0x01, 0xa1, 0x00, 0x80]),
        negative("seen_way", "control", "SEEN by GPRS", Range, replace(&control("seen"), &[0x01, 0x02, 0x38, 0x46], &[0x01, 0x01, 0x38, 0x46])),
        negative("seen_presence", "control", "SEEN at presence 4", Range, replace(&control("seen"), &[0x01, 0x02, 0x38, 0x46], &[0x04, 0x02, 0x38, 0x46])),
        negative("scan_zero", "control", "SCAN of no seconds", Range, vec![0x83, 0x0a, 0x01, 0xa1, 0x00, 0x00]),
        negative("version_text", "control", "a version of 33 bytes", Range, replace(&control("edge_hello"), b"\x650.1.0", &[&[0x78, 33][..], &[b'x'; 33]].concat())),
        negative("seal_frame_kind", "sealframe", "a frame of kind 4", UnknownType, vec![0x82, 0x04, 0x01]),
        negative("seal_frame_length", "sealframe", "STORED of three items", Malformed, vec![0x83, 0x12, 0x01, 0x02]),
        negative("seal_frame_way", "sealframe", "OPEN for a GPRS link", Range, replace(&open, &[0xf5, 0x02, 0x07], &[0xf5, 0x01, 0x07])),
        negative("seal_frame_empty", "sealframe", "a message of no bytes", Range, vec![0x84, 0x01, 0x00, 0x01, 0x40]),
        negative("seal_frame_result", "sealframe", "PASS with result 3", Range, vec![0x83, 0x03, 0x01, 0x03]),
        negative("seal_frame_trailing", "sealframe", "a byte behind STORED", Malformed, vec![0x82, 0x12, 0x01, 0x00]),
    ]
}

#[test]
fn every_negative_vector_is_refused_with_its_code() {
    for negative in all() {
        let error = decode(negative.rule, &negative.bytes).expect_err(negative.name);
        assert_eq!(error.code(), negative.error, "{}: {error}", negative.name);
    }
}

#[test]
fn nesting_of_eight_is_accepted_and_nine_is_not() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0x01]].concat();
    assert_eq!(check_canonical(&nested(8)), Ok(()));
    assert_eq!(check_canonical(&nested(9)), Err(DecodeError::TooDeep));
}

#[test]
fn two_hundred_thousand_nested_arrays_are_refused_without_recursion() {
    for byte in [0x81, 0x9f, 0xa1, 0xc1, 0xd8, 0x5f] {
        let bytes = vec![byte; 200_000];
        assert!(check_canonical(&bytes).is_err());
        assert!(Frame::decode(&bytes).is_err());
        assert!(cose::parse(&bytes).is_err());
        assert!(Record::decode(&bytes).is_err());
    }
}

#[test]
fn a_message_above_the_cap_of_its_type_is_refused_before_it_is_read() {
    for kind in sealgate_codec::MessageType::ALL {
        let number = kind.number();
        let head = if number < 24 {
            vec![0x83, number]
        } else {
            vec![0x83, 24, number]
        };
        // What follows is not even CBOR.
        let bytes = [head, vec![0xff; kind.cap()]].concat();
        assert!(
            matches!(Frame::decode(&bytes), Err(DecodeError::TooLarge { .. })),
            "{kind}"
        );
    }
}

#[test]
fn the_number_of_a_refused_message_can_still_be_told() {
    let bytes = [0x83, 0x03, 0x05, 0xa2, 0x00, 0x01, 0x00, 0x02];
    assert!(Frame::decode(&bytes).is_err());
    assert_eq!(
        Frame::peek(&bytes),
        Some((sealgate_codec::MessageType::Bye, 5))
    );
    assert_eq!(lease().sign(&key(LEASE), LEASE).first(), Some(&0x84));
}
