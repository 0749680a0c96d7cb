//! The whole agent: seals on a loopback port, a small gateway on a real QUIC socket, a queue in a file.

use std::{net::UdpSocket, path::Path};

use sealgate_codec::{
    ErrorCode, Frame, Message, MessageType,
    edge::{
        Assign, Assigned, Nearby, PassResult, Presence, RenewedTicket, Scan, SealFrame, Seen, Want,
        WantReason,
    },
    link::{
        Advert, AdvertState, Framing, Link as _, LinkEvent, LinkLimits, Received, SealLink,
        SealSetup, advert_id, public_key,
    },
};

use super::*;
use crate::{
    port::{
        Address,
        loopback::{FarEnd, Loopback},
    },
    seal::tests::{BOX, DEV, NOW, SEAL, hello, keys, log_ack, stamps, ticket},
    uplink::testing::{PATIENCE, Peer, Pki, SealPeer, Session},
};

const ADVERT: [u8; 32] = [0xad; 32];
const AIR: Framing = Framing::Ble { mtu: 185 };

fn assigned() -> Assigned {
    Assigned {
        dev: DEV,
        key: public_key(&SEAL),
        advert_key: ADVERT,
        ways: Ways(Ways::BLE),
        address: None,
        ticket: Some(ticket(DEV)),
    }
}

fn assign(version: u32, seals: Vec<Assigned>) -> Control {
    Control::Assign(Assign::parts(version, seals).remove(0))
}

fn address() -> Address {
    Address::Ble([1, 2, 3, 4, 5, 6])
}

/// One box with one seal near it.
struct Rig {
    air: Loopback,
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// What the seal's links told it.
    seal: mpsc::Receiver<LinkEvent>,
}

async fn start(dir: &Path, gateway: Gateway, identity: Identity) -> Rig {
    let air = Loopback::new("air", AIR);
    let (door, rings) = mpsc::channel(4);
    air.place(address(), door);
    let (tell, seal) = mpsc::channel(64);
    let clock = Clock::starting_at(i64::from(NOW) * 1000);
    tasks::spawn("seal", live(rings, tell, clock.clone()));
    let (asks, asked) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let agent = Agent::start(Parts {
        queue: Queue::open(&dir.join("queue.db"), 1 << 20, clock.clone()).unwrap(),
        clock,
        ports: vec![Arc::new(air.clone())],
        lines: BTreeMap::new(),
        secret: Zeroizing::new(BOX),
        gateway,
        identity,
        idle: 3_000,
        metrics: Arc::new(Metrics::new()),
        notifier: Notifier::default(),
    });
    let task = tasks::spawn("agent", agent.await.unwrap().run(asked, stop.clone()));
    Rig {
        air,
        asks,
        stop,
        task,
        seal,
    }
}

/// A seal that says HELLO and three records on every link.
async fn live(mut rings: mpsc::Receiver<FarEnd>, tell: mpsc::Sender<LinkEvent>, clock: Clock) {
    while let Some(mut far) = rings.recv().await {
        let setup = SealSetup {
            framing: AIR,
            limits: LinkLimits::BLE,
            dev: DEV,
            secret: SEAL,
            keys: keys(),
            time: Some(NOW),
            seed: rand::random(),
        };
        let mut link = SealLink::accept(setup, clock.monotonic());
        loop {
            while let Some(value) = link.poll_output() {
                if far.to_box.send(value).await.is_err() {
                    break;
                }
            }
            let now = clock.monotonic();
            if let Some(event) = link.poll_event() {
                if matches!(event, LinkEvent::Opened { .. }) {
                    link.send(&hello(1).encode(), now).unwrap();
                    link.send(&stamps(2, 1, 3).encode(), now).unwrap();
                }
                if tell.send(event).await.is_err() {
                    return;
                }
                continue;
            }
            let Some(deadline) = link.deadline() else {
                break;
            };
            tokio::select! {
                value = far.from_box.recv() => match value {
                    Some(value) => link.receive(&value, clock.monotonic()),
                    None => break,
                },
                () = tokio::time::sleep_until(clock.instant(deadline)) => link.tick(clock.monotonic()),
            }
        }
    }
}

impl Rig {
    fn advertise(&self, state: u8, pending: u16) {
        let advert = Advert {
            id: advert_id(&ADVERT, NOW / 86_400),
            state: AdvertState(state),
            pending,
            battery: 80,
        };
        self.air.advertise(address(), advert, Some(-50));
    }

    async fn seal_hears(&mut self, wanted: impl Fn(&LinkEvent) -> bool) -> LinkEvent {
        loop {
            let event = timeout(PATIENCE, self.seal.recv()).await.expect("in time");
            let event = event.expect("a seal");
            if wanted(&event) {
                return event;
            }
        }
    }

    async fn report(&self) -> Report {
        let (answer, report) = oneshot::channel();
        self.asks.send(Ask::Report(answer)).await.unwrap();
        report.await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task)
            .await
            .expect("it ends")
            .unwrap();
    }
}

async fn seen(session: &mut Session, wanted: Presence) -> Seen {
    session
        .hear_that(|frame| match &frame.control {
            Control::Seen(all) => all.iter().find(|s| s.presence == wanted).copied(),
            _ => None,
        })
        .await
}

fn is_received(event: &LinkEvent) -> bool {
    *event == LinkEvent::Received(Received { epoch: 1, upto: 4 })
}

/// HELLO, then the batch; its number.
async fn first_batch(seal: &mut SealPeer) -> u64 {
    let mut said = Vec::new();
    loop {
        if let SealFrame::Msg { pos, term, message } = seal.hear().await {
            assert_eq!(term, 1);
            said.push(Frame::peek(&message).unwrap().0);
            if pos > 0 {
                assert_eq!(said, [MessageType::Hello, MessageType::Stamps]);
                return pos;
            }
        }
    }
}

#[tokio::test]
async fn from_the_advertisement_to_the_acknowledged_record() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(dir.path(), peer.gateway(), pki.identity()).await;
    let (mut session, hello) = peer.connect().await;
    assert_eq!((hello.assignment, hello.key), (0, public_key(&BOX)));
    rig.advertise(AdvertState::RECORDS, 3);
    assert_eq!(session.order(assign(5, vec![assigned()])).await, None);
    assert_eq!(seen(&mut session, Presence::Gone).await.dev, DEV);
    rig.advertise(AdvertState::RECORDS, 3);

    let (mut seal, open) = session.seal().await;
    assert_eq!(open.dev, DEV);
    seal.say(SealFrame::Accept { stored: 0 }).await;
    let pos = first_batch(&mut seal).await;
    rig.seal_hears(is_received).await;
    assert_eq!(rig.report().await.queue.messages, 1, "until it is stored");
    let send = SealFrame::Send {
        n: 1,
        term: 1,
        message: log_ack(4),
    };
    seal.say(SealFrame::Stored { upto: pos }).await;
    seal.say(send).await;
    let passed = SealFrame::Pass {
        n: 1,
        result: PassResult::Passed,
    };
    while seal.hear().await != passed {}
    let heard = rig.seal_hears(|e| matches!(e, LinkEvent::Message(_))).await;
    let LinkEvent::Message(bytes) = heard else {
        unreachable!()
    };
    assert!(matches!(
        Frame::decode(&bytes).unwrap().message,
        Message::LogAck(ack) if ack.upto == 4
    ));
    let linked = seen(&mut session, Presence::Linked).await;
    assert_eq!(
        (linked.rssi, linked.battery, linked.pending),
        (Some(-50), Some(80), 3)
    );
    // Nothing more to say: the link ends by itself.
    let closed = |frame: &SealFrame| matches!(frame, SealFrame::Link(state) if !state.linked);
    while !closed(&seal.hear().await) {}
    let report = rig.report().await;
    assert!(report.gateway.connected && report.ports[0].up);
    assert_eq!((report.assignment, report.queue.messages), (5, 0));
    rig.end().await;
    assert!(matches!(
        session
            .hear_that(|f| matches!(f.control, Control::Drain { .. }).then_some(()))
            .await,
        ()
    ));
}

#[tokio::test]
async fn without_a_gateway_the_box_goes_on_with_what_it_was_assigned_and_delivers_later() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let rig = start(dir.path(), peer.gateway(), pki.identity()).await;
    let (mut session, _) = peer.connect().await;
    assert_eq!(session.order(assign(9, vec![assigned()])).await, None);
    rig.end().await;

    // A port where nobody answers.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nowhere = Gateway {
        address: silent.local_addr().unwrap().to_string(),
        ..peer.gateway()
    };
    let mut rig = start(dir.path(), nowhere, pki.identity()).await;
    rig.advertise(AdvertState::RECORDS, 3);
    rig.seal_hears(is_received).await;
    let report = rig.report().await;
    assert_eq!((report.assignment, report.queue.messages), (9, 1));
    assert!(!report.gateway.connected);
    rig.end().await;

    let rig = start(dir.path(), peer.gateway(), pki.identity()).await;
    let (session, hello) = peer.connect().await;
    assert_eq!((hello.assignment, hello.queue.messages), (9, 1));
    let (mut seal, open) = session.seal().await;
    assert!(!open.link.linked && open.queued > 0);
    seal.say(SealFrame::Accept { stored: 0 }).await;
    match seal.hear().await {
        SealFrame::Msg { pos, term, .. } => {
            assert_eq!((pos, term), (open.queued, 1));
            seal.say(SealFrame::Stored { upto: pos }).await;
        }
        other => panic!("{other:?}"),
    }
    let empty = async {
        while rig.report().await.queue.messages > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, empty).await.expect("dropped when stored");
    rig.end().await;
}

#[tokio::test]
async fn the_gateway_s_orders_are_done_or_answered_by_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(dir.path(), peer.gateway(), pki.identity()).await;
    let (mut session, _) = peer.connect().await;
    let other = DeviceId::new([9; 8]);
    let unassigned = Want {
        dev: other,
        reason: WantReason::Urgent,
    };
    let answer = session.order(Control::Want(vec![unassigned])).await;
    assert_eq!(answer, Some(ErrorCode::NotUser));
    let known = Assigned {
        ticket: None,
        ..assigned()
    };
    assert_eq!(session.order(assign(1, vec![known])).await, None);
    let mut later = Assign::parts(2, vec![assigned()]).remove(0);
    (later.part, later.parts) = (1, 2);
    let answer = session.order(Control::Assign(later)).await;
    assert_eq!(answer, Some(ErrorCode::Range), "its first part is missing");

    // Without a ticket nothing; with one, and wanted, a link although the seal asks for none.
    rig.advertise(0, 0);
    let wanted = Want {
        dev: DEV,
        reason: WantReason::Command,
    };
    assert_eq!(session.order(Control::Want(vec![wanted])).await, None);
    let renewed = RenewedTicket {
        dev: DEV,
        ticket: ticket(DEV),
    };
    assert_eq!(session.order(Control::Tickets(vec![renewed])).await, None);
    rig.seal_hears(|e| matches!(e, LinkEvent::Opened { .. }))
        .await;

    // Removed: no seal is the box's any more, and the next HELLO says so.
    let removed = Control::Drain {
        reason: DrainReason::Removed,
        within: 1,
    };
    session.say(removed).await;
    let (_session, hello) = peer.connect().await;
    assert_eq!(hello.assignment, 0);
    assert!(rig.report().await.seals.is_empty());
    rig.end().await;
}

#[tokio::test]
async fn a_scan_tells_of_strangers_only_and_says_when_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let rig = start(dir.path(), peer.gateway(), pki.identity()).await;
    let (mut session, _) = peer.connect().await;
    let known = Assigned {
        ticket: None,
        ..assigned()
    };
    assert_eq!(session.order(assign(1, vec![known])).await, None);
    assert_eq!(
        session.order(Control::Scan(Scan { seconds: 1 })).await,
        None
    );
    let stranger = Advert {
        id: [7; 6],
        state: AdvertState(AdvertState::UNBOUND),
        pending: 0,
        battery: 9,
    };
    let at = Address::Ble([9; 6]);
    rig.air.advertise(at, stranger, None);
    rig.advertise(0, 0);
    let mut found: Vec<Nearby> = Vec::new();
    loop {
        let part = session
            .hear_that(|frame| match &frame.control {
                Control::Nearby(part) => Some(part.clone()),
                _ => None,
            })
            .await;
        if part.is_empty() {
            break;
        }
        found.extend(part);
    }
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].address), ([7; 6], [9; 6]));
    session
        .hear_that(|f| matches!(f.control, Control::Status(_)).then_some(()))
        .await;
    rig.end().await;
}
