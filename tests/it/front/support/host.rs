//! A session host that remembers, and obeys payloads that say what to do.
//!
//! `down:x` sends x down on `d`, `block:x` on `b`; every reliable payload is accepted unless the host is told to
//! hold still.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use sealgate::devices::link::{
    CloseReason, Downlink, DownlinkLane, Identity, LinkEnd, Refusal, Session, SessionHost, Uplink,
    UplinkLane, UplinkSink,
};
use sealgate::tasks;
use sealgate_domain::DeviceId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Payloads a session may be behind: small, so that backpressure is felt.
const QUEUE: usize = 4;

#[derive(Debug)]
pub(crate) struct FakeHost {
    state: Arc<Mutex<State>>,
    holding: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    identities: Vec<Identity>,
    received: Vec<(DeviceId, UplinkLane, Bytes)>,
    ends: Vec<(DeviceId, LinkEnd)>,
    refusals: HashMap<DeviceId, Refusal>,
    live: HashMap<DeviceId, (u64, mpsc::Sender<Downlink>, CancellationToken)>,
    last_term: u64,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            holding: watch::channel(false).0,
        }
    }
}

impl FakeHost {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }

    pub(crate) fn refuse(&self, device: DeviceId, refusal: Refusal) {
        self.state().refusals.insert(device, refusal);
    }

    /// Stops or goes on taking payloads.
    pub(crate) fn hold(&self, still: bool) {
        self.holding.send_replace(still);
    }

    pub(crate) fn received(&self, device: DeviceId) -> Vec<Bytes> {
        let state = self.state();
        let own = state.received.iter().filter(|(from, ..)| *from == device);
        own.map(|(.., payload)| payload.clone()).collect()
    }

    pub(crate) fn ends(&self, device: DeviceId) -> Vec<LinkEnd> {
        let state = self.state();
        let own = state.ends.iter().filter(|(from, _)| *from == device);
        own.map(|(_, end)| *end).collect()
    }

    pub(crate) fn identities(&self, device: DeviceId) -> Vec<Identity> {
        let state = self.state();
        state
            .identities
            .iter()
            .filter(|i| i.device == device)
            .cloned()
            .collect()
    }

    /// Is a session of this device live?
    pub(crate) fn is_live(&self, device: DeviceId) -> bool {
        self.state().live.contains_key(&device)
    }

    /// Sends something down once the device is there.
    pub(crate) async fn push(&self, device: DeviceId, lane: DownlinkLane, payload: &str) {
        super::until("a session", || self.is_live(device)).await;
        let down = self.sender(device).expect("a session");
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let _ = down.send(Downlink::Payload { lane, payload }).await;
    }

    /// Ends the device's session.
    pub(crate) async fn close(&self, device: DeviceId, why: CloseReason) {
        let down = self.sender(device).expect("a session");
        let _ = down.send(Downlink::Close(why)).await;
    }

    fn sender(&self, device: DeviceId) -> Option<mpsc::Sender<Downlink>> {
        let state = self.state();
        state.live.get(&device).map(|(_, down, _)| down.clone())
    }
}

impl SessionHost for FakeHost {
    async fn open(&self, identity: Identity) -> Result<Session, Refusal> {
        let device = identity.device;
        let (up, uplink) = mpsc::channel(QUEUE);
        let (down, downlink) = mpsc::channel(64);
        let closed = CancellationToken::new();
        let mut state = self.state();
        state.identities.push(identity);
        if let Some(refusal) = state.refusals.get(&device) {
            return Err(*refusal);
        }
        state.last_term += 1;
        let term = state.last_term;
        let entry = (term, down.clone(), closed.clone());
        if let Some((_, older, token)) = state.live.insert(device, entry) {
            let _ = older.try_send(Downlink::Close(CloseReason::TakenOver));
            token.cancel();
        }
        drop(state);
        let inbox = Inbox {
            device,
            term,
            uplink,
            down,
            holding: self.holding.subscribe(),
            state: self.state.clone(),
        };
        tasks::spawn("inbox", inbox.run());
        Ok(Session {
            term,
            uplink: UplinkSink::new(up),
            downlink,
            closed,
        })
    }
}

struct Inbox {
    device: DeviceId,
    term: u64,
    state: Arc<Mutex<State>>,
    uplink: mpsc::Receiver<Uplink>,
    down: mpsc::Sender<Downlink>,
    holding: watch::Receiver<bool>,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }

    async fn run(mut self) {
        loop {
            let Some(Uplink::Payload { lane, payload }) = self.uplink_next().await else {
                break;
            };
            let _ = self.holding.wait_for(|still| !still).await;
            let replies = self.take(lane, &payload);
            for reply in replies {
                if self.down.send(reply).await.is_err() {
                    break;
                }
            }
        }
        let mut state = self.state();
        if state
            .live
            .get(&self.device)
            .is_some_and(|(term, ..)| *term == self.term)
        {
            state.live.remove(&self.device);
        }
    }

    async fn uplink_next(&mut self) -> Option<Uplink> {
        let next = self.uplink.recv().await;
        let end = match &next {
            Some(Uplink::Payload { .. }) => return next,
            Some(Uplink::End(end)) => *end,
            None => LinkEnd::Lost,
        };
        self.state().ends.push((self.device, end));
        None
    }

    fn take(&self, lane: UplinkLane, payload: &Bytes) -> Vec<Downlink> {
        let mut state = self.state();
        state.received.push((self.device, lane, payload.clone()));
        let mut replies = Vec::new();
        if lane != UplinkLane::Telemetry {
            replies.push(Downlink::Accepted);
        }
        for (prefix, lane) in [
            (&b"down:"[..], DownlinkLane::Reliable),
            (b"block:", DownlinkLane::Block),
        ] {
            if payload.starts_with(prefix) {
                let payload = payload.slice(prefix.len()..);
                replies.push(Downlink::Payload { lane, payload });
            }
        }
        replies
    }
}
