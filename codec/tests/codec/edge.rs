//! Control and seal streams: properties, caps, parts of an assignment.

use proptest::{collection::vec, option, prelude::*};
use sealgate_codec::{
    DeviceId, Direction, ErrorCode,
    edge::{
        Assign, Assigned, Control, ControlFrame, ControlType, LinkState, MAX_ASSIGNED, MAX_CONTROL,
        MAX_PARTS, MAX_SEAL_FRAME, MAX_SEEN, RenewedTicket, SealFrame, SealOpen, Ways,
        stream_frame,
    },
    link::LinkType,
    message::{Answers, MAX_MESSAGE},
    record::LinkKind,
};

use crate::{
    edge_samples::{assigned, controls, seal_frames, seen},
    keys::DEVICE,
    link_samples::{self, signed_ticket},
};

#[test]
fn every_type_has_a_sample_and_answers_as_published() {
    let samples = controls();
    for kind in ControlType::ALL {
        let mut of_kind = samples
            .iter()
            .filter(|sample| sample.value.control.kind() == *kind)
            .peekable();
        assert!(of_kind.peek().is_some(), "{kind}");
        for sample in of_kind {
            let answers = sample.value.re.is_some();
            match kind.answers() {
                Answers::Always => assert!(answers, "{}", sample.name),
                Answers::Never => assert!(!answers, "{}", sample.name),
                Answers::Sometimes => {}
            }
        }
    }
    for kind in LinkType::ALL {
        let mut links = link_samples::messages().into_iter();
        assert!(links.any(|sample| sample.value.message.kind() == *kind));
    }
    let up: Vec<bool> = seal_frames()
        .iter()
        .map(|sample| sample.value.is_up())
        .collect();
    assert_eq!(up.iter().filter(|up| **up).count(), 7);
    assert_eq!(ControlType::Drain.direction(), Direction::Both);
}

#[test]
fn the_largest_messages_fit_their_caps() {
    let seal = assigned().remove(0);
    let ticket = seal.ticket.clone().unwrap();
    assert!(ticket.len() <= 150, "{}", ticket.len());
    let many: Vec<Assigned> = (0..MAX_ASSIGNED as u64)
        .map(|number| Assigned {
            dev: DeviceId::new(number.to_be_bytes()),
            ticket: Some(vec![1; 200]),
            ..seal.clone()
        })
        .collect();
    let renewed = many
        .iter()
        .map(|seal| RenewedTicket {
            dev: seal.dev,
            ticket: vec![1; 200],
        })
        .collect();
    let assign = Assign {
        version: u32::MAX,
        part: 31,
        parts: 32,
        seals: many,
    };
    for control in [
        Control::Assign(assign),
        Control::Tickets(renewed),
        Control::Seen(vec![seen(); MAX_SEEN]),
    ] {
        let bytes = ControlFrame::new(u16::MAX, control.clone()).encode();
        assert!(bytes.len() <= control.kind().cap(), "{}", bytes.len());
        assert!(ControlFrame::decode(&bytes).is_ok());
    }
    let message = SealFrame::Msg {
        pos: u64::MAX,
        term: u32::MAX,
        message: vec![1; MAX_MESSAGE],
    };
    assert!(message.encode().len() <= MAX_SEAL_FRAME);
    assert_eq!(stream_frame(&[7; 300])[..2], [1, 44]);
    const { assert!(MAX_CONTROL < 65_536) };
}

#[test]
fn an_assignment_is_cut_into_parts_that_rise() {
    let seal = assigned().remove(1);
    let seals = |count: usize| -> Vec<Assigned> {
        (0..count as u64)
            .rev()
            .map(|number| Assigned {
                dev: DeviceId::new(number.to_be_bytes()),
                ..seal.clone()
            })
            .collect()
    };
    for (count, parts) in [(0, 1), (1, 1), (48, 1), (49, 2), (100, 3)] {
        let all = Assign::parts(9, seals(count));
        assert_eq!(all.len(), parts, "{count}");
        let ids: Vec<DeviceId> = all
            .iter()
            .flat_map(|part| part.seals.iter().map(|seal| seal.dev))
            .collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.len(), count);
        for (number, part) in all.iter().enumerate() {
            assert_eq!(usize::from(part.part), number);
            assert_eq!(usize::from(part.parts), parts);
            let bytes = ControlFrame::new(1, Control::Assign(part.clone())).encode();
            assert!(ControlFrame::decode(&bytes).is_ok());
        }
    }
    let most = MAX_ASSIGNED * usize::from(MAX_PARTS);
    let all = Assign::parts(1, seals(most + 5));
    assert_eq!(all.len(), usize::from(MAX_PARTS));
    assert_eq!(all.iter().map(|part| part.seals.len()).sum::<usize>(), most);
}

#[test]
fn unknown_keys_of_control_messages_are_passed_over() {
    // DONE with a key 7 of a later version.
    let later = [0x84, 0x05, 0x01, 0xa2, 0x00, 0x05, 0x07, 0x81, 0x01, 0x02];
    let (frame, unknown) = ControlFrame::decode_counting(&later).unwrap();
    assert_eq!(unknown, 1);
    let code = ErrorCode::from_number(5);
    assert_eq!(frame.control, Control::Done(Some(code)));
}

fn link() -> impl Strategy<Value = LinkState> {
    (
        any::<bool>(),
        prop_oneof![Just(LinkKind::Ble), Just(LinkKind::Uart)],
        any::<u32>(),
        option::of(-128..=0_i8),
    )
        .prop_map(|(linked, way, term, rssi)| LinkState {
            linked,
            way,
            term,
            rssi,
        })
}

fn frame() -> impl Strategy<Value = SealFrame> {
    let message = vec(any::<u8>(), 1..200);
    prop_oneof![
        (link(), any::<u64>()).prop_map(|(link, queued)| SealFrame::Open(SealOpen {
            dev: DEVICE,
            link,
            queued
        })),
        (any::<u64>(), any::<u32>(), message.clone())
            .prop_map(|(pos, term, message)| SealFrame::Msg { pos, term, message }),
        (any::<u32>(), any::<u32>(), message).prop_map(|(n, term, message)| SealFrame::Send {
            n,
            term,
            message
        }),
        link().prop_map(SealFrame::Link),
        any::<u64>().prop_map(|upto| SealFrame::Stored { upto }),
        (any::<u16>(), option::of(any::<u16>())).prop_map(|(code, retry)| SealFrame::Refuse {
            code: ErrorCode::from_number(code),
            retry
        }),
    ]
}

proptest! {
    #[test]
    fn every_seal_frame_survives_the_wire(frame in frame()) {
        prop_assert_eq!(SealFrame::decode(&frame.encode()), Ok(frame));
    }

    #[test]
    fn every_assignment_survives_the_wire(version: u32, ids in proptest::collection::btree_set(any::<[u8; 8]>(), 0..20), ways: u8, address: Option<[u8; 6]>, with_ticket: bool) {
        let seals: Vec<Assigned> = ids.into_iter().map(|id| Assigned {
            dev: DeviceId::new(id),
            ways: Ways(ways),
            address,
            ticket: with_ticket.then(signed_ticket),
            ..assigned().remove(0)
        }).collect();
        for part in Assign::parts(version, seals) {
            let frame = ControlFrame::new(7, Control::Assign(part));
            prop_assert_eq!(ControlFrame::decode(&frame.encode()), Ok(frame));
        }
    }
}
