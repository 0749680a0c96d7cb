use sealgate_codec::{
    DeviceId,
    edge::{EdgeErr, LinkState, SealFrame, SealOpen},
    record::LinkKind,
};
use tokio::task::JoinHandle;

use super::{
    testing::{NOW, PATIENCE, Peer, Pki},
    *,
};
use crate::{queue::MemoryStore, tasks};

const DEV: DeviceId = DeviceId::new([0, 1, 2, 3, 4, 5, 6, 7]);

/// The box's end, without an agent.
struct Rig {
    says: mpsc::Sender<Say>,
    events: mpsc::Receiver<Event>,
    streams: watch::Receiver<Option<Arc<dyn Streams>>>,
    task: JoinHandle<()>,
}

fn start(gateway: Gateway, identity: Identity) -> Rig {
    let clock = Clock::system();
    let queue = Queue::start(MemoryStore::new(1 << 20), clock.clone()).unwrap();
    let (says, heard) = mpsc::channel(CONTROLS);
    let (tell, events) = mpsc::channel(CONTROLS);
    let none: Option<Arc<dyn Streams>> = None;
    let (streams_out, streams) = watch::channel(none);
    // Nobody changes what HELLO says.
    let (_, introduction) = watch::channel(Introduction {
        run: [7; 8],
        key: [8; 32],
        assignment: 3,
        ways: Ways(Ways::BLE),
    });
    let uplink = Uplink {
        gateway,
        identity,
        queue,
        clock,
        introduction,
        events: tell,
        streams: streams_out,
    };
    let task = tasks::spawn("uplink", uplink.run(heard));
    Rig {
        says,
        events,
        streams,
        task,
    }
}

impl Rig {
    async fn event(&mut self) -> Event {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("in time").expect("an uplink")
    }

    async fn up(&mut self) -> EdgeAck {
        loop {
            match self.event().await {
                Event::Up(ack) => return ack,
                Event::Down(_) => {}
                other => panic!("{other:?} before ACK"),
            }
        }
    }

    async fn down(&mut self) -> String {
        match self.event().await {
            Event::Down(why) => why,
            other => panic!("{other:?} instead of an end"),
        }
    }

    async fn stream(&mut self) -> crate::seal::SealStream {
        let connected = self
            .streams
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone();
        connected.unwrap().open().await.expect("a stream")
    }
}

fn open() -> SealFrame {
    SealFrame::Open(SealOpen {
        dev: DEV,
        link: LinkState {
            linked: false,
            way: LinkKind::Ble,
            term: 0,
            rssi: None,
        },
        queued: 0,
    })
}

#[tokio::test]
async fn connected_means_that_hello_was_answered() {
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(peer.gateway(), pki.identity());
    let (mut session, hello) = peer.accept().await;
    assert_eq!(
        (hello.run, hello.key, hello.assignment),
        ([7; 8], [8; 32], 3)
    );
    assert!(rig.streams.borrow().is_none() && rig.events.try_recv().is_err());
    session.ack(3).await;
    assert_eq!(rig.up().await.now, NOW);
    // Both directions of the control stream.
    rig.says
        .send(Say::New(Control::Nearby(vec![])))
        .await
        .unwrap();
    rig.says
        .send(Say::Reply(9, Control::Done(None)))
        .await
        .unwrap();
    assert_eq!(session.hear().await.control, Control::Nearby(vec![]));
    let done = session.hear().await;
    assert_eq!((done.control, done.re), (Control::Done(None), Some(9)));
    session.reply(2, Control::Time(NOW + 5)).await;
    assert!(matches!(rig.event().await, Event::Control(frame) if frame.mid == 2));
}

#[tokio::test]
async fn a_box_without_a_right_certificate_is_told_so_and_never_counts_as_connected() {
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(peer.gateway(), pki.stranger());
    let endpoint = peer.endpoint.clone();
    let accepting = tasks::spawn("peer", async move {
        while let Some(incoming) = endpoint.accept().await {
            assert!(incoming.await.is_err(), "the handshake fails here");
        }
    });
    let why = rig.down().await;
    assert!(
        why.contains("certificate") || why.contains("UnknownCA") || why.contains("alert"),
        "{why}"
    );
    assert!(rig.streams.borrow().is_none());
    accepting.abort();
}

#[tokio::test]
async fn a_gateway_of_another_ca_is_not_believed() {
    let (pki, other) = (Pki::new(), Pki::new());
    let peer = Peer::new(&other);
    let mut rig = start(peer.gateway(), pki.identity());
    let endpoint = peer.endpoint.clone();
    tasks::spawn("peer", async move {
        while let Some(incoming) = endpoint.accept().await {
            drop(incoming.await);
        }
    });
    let why = rig.down().await;
    assert!(
        why.contains("certificate") || why.contains("UnknownIssuer"),
        "{why}"
    );
}

#[tokio::test]
async fn a_refusal_is_told_with_its_text_and_the_box_comes_again() {
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(peer.gateway(), pki.identity());
    let (mut session, _) = peer.accept().await;
    let refusal = Control::Err(EdgeErr {
        code: ErrorCode::RetryLater,
        retry: Some(0),
        text: Some("starting".to_owned()),
    });
    session.reply(1, refusal).await;
    let why = rig.down().await;
    assert!(
        why.contains("retry later") && why.contains("starting"),
        "{why}"
    );
    let (_session, _) = peer.connect().await;
    rig.up().await;
}

#[tokio::test]
async fn a_broken_connection_is_replaced_and_streams_end_with_it() {
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(peer.gateway(), pki.identity());
    let (session, _) = peer.connect().await;
    rig.up().await;
    let mut stream = rig.stream().await;
    stream.up.send(open()).await.unwrap();
    let (mut seal, _) = session.seal().await;
    seal.say(SealFrame::Accept { stored: 4 }).await;
    assert_eq!(
        stream.down.recv().await,
        Some(SealFrame::Accept { stored: 4 })
    );
    session.connection.close(0_u32.into(), b"restart");
    assert_eq!(stream.down.recv().await, None);
    rig.down().await;
    let (_again, _) = peer.connect().await;
    rig.up().await;
}

#[tokio::test]
async fn what_the_gateway_garbles_ends_a_stream_and_never_the_connection() {
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(peer.gateway(), pki.identity());
    let (mut session, _) = peer.connect().await;
    rig.up().await;
    let garbage = [
        stream_frame(&[0xff, 1, 2]),
        vec![0, 0],
        vec![0xff, 0xff, 1],
        stream_frame(&open().encode()),
    ];
    for bytes in garbage {
        let mut stream = rig.stream().await;
        stream.up.send(open()).await.unwrap();
        let (mut seal, _) = session.seal().await;
        seal.send.write_all(&bytes).await.unwrap();
        assert_eq!(stream.down.recv().await, None, "{bytes:?}");
    }
    session.reply(1, Control::Time(NOW)).await;
    assert!(matches!(rig.event().await, Event::Control(_)));
}

#[tokio::test]
async fn on_stop_everything_written_arrives_before_the_connection_closes() {
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(peer.gateway(), pki.identity());
    let (session, _) = peer.connect().await;
    rig.up().await;
    let stream = rig.stream().await;
    stream.up.send(open()).await.unwrap();
    let (mut seal, _) = session.seal().await;
    for n in 1..=100 {
        let message = vec![n; 2000];
        let frame = SealFrame::Msg {
            pos: u64::from(n),
            term: 1,
            message,
        };
        stream.up.send(frame).await.unwrap();
    }
    let reading = tasks::spawn("peer", async move {
        for n in 1..=100 {
            match seal.hear().await {
                SealFrame::Msg { pos, .. } => assert_eq!(pos, n),
                other => panic!("{other:?}"),
            }
        }
        seal.ends().await
    });
    drop(stream);
    drop(rig.says);
    assert!(reading.await.unwrap(), "ended in order");
    timeout(PATIENCE, rig.task).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn a_gateway_that_drains_is_left_within_its_time_and_met_again() {
    let pki = Pki::new();
    let peer = Peer::new(&pki);
    let mut rig = start(peer.gateway(), pki.identity());
    let (mut session, _) = peer.connect().await;
    rig.up().await;
    let drain = Control::Drain {
        reason: DrainReason::Balance,
        within: 1,
    };
    session.say(drain).await;
    assert!(matches!(rig.event().await, Event::Control(_)));
    assert_eq!(rig.down().await, "drained");
    let (_again, _) = peer.connect().await;
    rig.up().await;
}
