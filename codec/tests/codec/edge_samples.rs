//! Samples of what a box and the gateway say to each other.

use sealgate_codec::{
    ErrorCode, Frame, Message,
    edge::{
        Assign, Assigned, Control, ControlFrame, DrainReason, EdgeAck, EdgeErr, EdgeHello,
        EdgeStatus, LinkState, Nearby, PassResult, Presence, QueueState, RenewedTicket, Scan,
        SealFrame, SealOpen, Seen, Want, WantReason, Ways,
    },
    link::{AdvertState, public_key},
    message::LeaseReq,
    record::LinkKind,
};

use crate::{
    keys::{DEVICE, NOW, OTHER_DEVICE},
    link_samples::{ADVERT_KEY, BOX_SECRET, SEAL_SECRET, signed_ticket},
    samples::{NONCE, Sample, sample},
};

fn queue() -> QueueState {
    QueueState {
        messages: 41,
        bytes: 5_000_000_000,
        limit: 8_000_000_000,
        oldest: 7200,
        refused: 0,
    }
}

pub(crate) fn assigned() -> Vec<Assigned> {
    let bare = Assigned {
        dev: OTHER_DEVICE,
        key: public_key(&SEAL_SECRET),
        advert_key: ADVERT_KEY,
        ways: Ways(Ways::UART),
        address: None,
        ticket: None,
    };
    let full = Assigned {
        dev: DEVICE,
        ways: Ways(Ways::BLE | Ways::UART),
        address: Some([0xc0, 0xff, 0xee, 1, 2, 3]),
        ticket: Some(signed_ticket()),
        ..bare.clone()
    };
    vec![full, bare]
}

pub(crate) fn seen() -> Seen {
    Seen {
        dev: DEVICE,
        presence: Presence::Heard,
        way: LinkKind::Ble,
        rssi: Some(-71),
        state: AdvertState(AdvertState::RECORDS),
        pending: 12,
        battery: Some(87),
        age: 3,
    }
}

/// Every control message.
#[rustfmt::skip]
pub(crate) fn controls() -> Vec<Sample<ControlFrame>> {
    let hello = EdgeHello { minor: 0, version: "0.1.0".into(), run: NONCE, key: public_key(&BOX_SECRET), assignment: 3, queue: queue(), ways: Ways(Ways::BLE | Ways::UART) };
    let ack = EdgeAck { minor: 0, now: NOW, report: 60, assignment: 4 };
    let assign = Assign { version: 4, part: 0, parts: 1, seals: assigned() };
    let none = Assign { version: 5, part: 0, parts: 1, seals: vec![] };
    let bare = Seen { dev: OTHER_DEVICE, presence: Presence::Gone, way: LinkKind::Uart, rssi: None, state: AdvertState(0), pending: 0, battery: None, age: 86_400 };
    let status = EdgeStatus { up: 3600, queue: queue(), linked: 6, refused: 1, temperature: None };
    let cold = EdgeStatus { temperature: Some(-5), ..status };
    let other = Nearby { id: [1, 2, 3, 4, 5, 6], address: [6, 5, 4, 3, 2, 1], rssi: Some(-40), state: AdvertState(AdvertState::UNBOUND), battery: 100 };
    let want = vec![Want { dev: DEVICE, reason: WantReason::Urgent }, Want { dev: OTHER_DEVICE, reason: WantReason::Lease }];
    let err = EdgeErr { code: ErrorCode::Suspended, retry: Some(900), text: Some("this box is suspended".into()) };
    vec![
        sample("edge_hello", "a box with 41 messages in its queue", ControlFrame::new(1, Control::Hello(hello))),
        sample("edge_ack", "connected; another assignment follows", ControlFrame::reply(1, 1, Control::Ack(ack))),
        sample("assign", "two seals, the second without a ticket", ControlFrame::new(2, Control::Assign(assign))),
        sample("assign_none", "no seals at all", ControlFrame::new(3, Control::Assign(none))),
        sample("tickets", "a new ticket for one seal", ControlFrame::new(4, Control::Tickets(vec![RenewedTicket { dev: DEVICE, ticket: signed_ticket() }]))),
        sample("done", "done", ControlFrame::reply(2, 2, Control::Done(None))),
        sample("done_not", "not done: no such way", ControlFrame::reply(3, 9, Control::Done(Some(ErrorCode::NotOnThisLink)))),
        sample("seen", "one seal heard, one gone", ControlFrame::new(4, Control::Seen(vec![seen(), bare]))),
        sample("edge_status", "how the box is", ControlFrame::new(5, Control::Status(status))),
        sample("edge_status_cold", "with its temperature", ControlFrame::new(6, Control::Status(cold))),
        sample("time", "answers STATUS", ControlFrame::reply(5, 5, Control::Time(NOW))),
        sample("want", "links to two seals are wanted", ControlFrame::new(6, Control::Want(want))),
        sample("scan", "listen for a minute", ControlFrame::new(7, Control::Scan(Scan { seconds: 60 }))),
        sample("nearby", "a seal that is not bound is near", ControlFrame::new(7, Control::Nearby(vec![other]))),
        sample("nearby_end", "the scan is over", ControlFrame::new(8, Control::Nearby(vec![]))),
        sample("drain", "the gateway restarts within ten seconds", ControlFrame::new(8, Control::Drain { reason: DrainReason::Stop, within: 10 })),
        sample("edge_err", "the box is suspended", ControlFrame::reply(9, 1, Control::Err(err))),
        sample("edge_err_bare", "something was malformed", ControlFrame::new(10, Control::Err(EdgeErr { code: ErrorCode::Malformed, retry: None, text: None }))),
    ]
}

/// Every frame of a seal's stream.
#[rustfmt::skip]
pub(crate) fn seal_frames() -> Vec<Sample<SealFrame>> {
    let linked = LinkState {
        linked: true,
        way: LinkKind::Ble,
        term: 7,
        rssi: Some(-71),
    };
    let ended = LinkState {
        linked: false,
        rssi: None,
        ..linked
    };
    let message = Frame::new(300, Message::LeaseReq(LeaseReq { nonce: NONCE })).encode();
    let open = |link, queued| {
        SealFrame::Open(SealOpen {
            dev: DEVICE,
            link,
            queued,
        })
    };
    let live = SealFrame::Msg {
        pos: 0,
        term: 7,
        message: message.clone(),
    };
    let queued = SealFrame::Msg {
        pos: 5_000_000_000,
        term: 6,
        message: message.clone(),
    };
    let refuse = |code, retry| SealFrame::Refuse { code, retry };
    vec![
        sample("open", "a linked seal, nothing queued", open(linked, 0)),
        sample("open_backlog", "no link, messages from number 4 on", open(ended, 4)),
        sample("msg", "a message as it came", live),
        sample("msg_queued", "a message from the queue", queued),
        sample("link", "the link ended", SealFrame::Link(ended)),
        sample("pass", "the seal has message 1", SealFrame::Pass { n: 1, result: PassResult::Passed }),
        sample("pass_not", "no link for message 2", SealFrame::Pass { n: 2, result: PassResult::NoLink }),
        sample("accept", "accepted", SealFrame::Accept { stored: 3 }),
        sample("send", "a message for the seal", SealFrame::Send { n: 1, term: 7, message }),
        sample("stored", "everything up to 9 is committed", SealFrame::Stored { upto: 9 }),
        sample("refuse", "this seal is not the box's", refuse(ErrorCode::NotUser, None)),
        sample("refuse_later", "come again in 5 s", refuse(ErrorCode::RetryLater, Some(5))),
    ]
}
