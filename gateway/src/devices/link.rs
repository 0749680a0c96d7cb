//! What a link (the MQTT front, an outside cluster, an edge box) and a device session owe each other.
//!
//! The link authenticates; the session decides. A link hands up payloads in arrival order and gets exactly one
//! [`Downlink::Accepted`] for each reliable payload, in the same order, once that payload's effects are durable
//! (or finally rejected). Nothing else frees a link to acknowledge. Queues in both directions are bounded: a full
//! uplink makes the link stop reading, never drop.

use std::{future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use sealgate_domain::DeviceId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Who stands at the other end of a link, as proven by its certificate (never by a payload or a client id).
#[derive(Debug, Clone)]
pub struct Identity {
    /// The device the certificate names.
    pub device: DeviceId,
    /// SHA-256 of the leaf certificate's DER, compared with the fleet table at every session, resumed ones too.
    pub certificate: [u8; 32],
    /// Remote address, for logs only.
    pub peer: SocketAddr,
    /// What carries the session.
    pub kind: LinkKind,
}

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// The embedded front: mTLS straight to the seal, so receipts are not needed.
    Mqtt,
    /// An outside MQTT cluster.
    Cluster,
    /// An edge box over QUIC.
    Edge,
}

/// Why a session was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such device in the fleet, or its certificate is not the registered one, or it was revoked.
    NotAuthorized,
    /// The device is retired.
    Retired,
    /// Too much at once: try again after this time.
    Busy(Duration),
    /// The gateway is draining or its database is unreachable.
    Unavailable,
}

/// Opens sessions; implemented by `devices::Devices`.
pub trait SessionHost: Send + Sync + 'static {
    /// Checks the fleet table, takes over from an older session of the same device (a higher term wins), and
    /// starts the session.
    fn open(&self, identity: Identity) -> impl Future<Output = Result<Session, Refusal>> + Send;
}

/// A live session, as the link sees it.
#[derive(Debug)]
pub struct Session {
    /// Takeover number: the highest term of a device is its only live session.
    pub term: u64,
    /// Payloads up.
    pub uplink: UplinkSink,
    /// Payloads and acknowledgements down. Closed when the session is over.
    pub downlink: mpsc::Receiver<Downlink>,
    /// Cancelled when the session must end now (takeover, revocation, shutdown).
    pub closed: CancellationToken,
}

/// The bounded way up. Dropping it without [`UplinkSink::end`] means the link was lost.
#[derive(Debug, Clone)]
pub struct UplinkSink {
    sender: mpsc::Sender<Uplink>,
}

impl UplinkSink {
    /// Wraps the session's channel.
    #[must_use]
    pub fn new(sender: mpsc::Sender<Uplink>) -> Self {
        Self { sender }
    }

    /// Hands up one payload, waiting while the session is full.
    ///
    /// # Errors
    /// The session is over.
    pub async fn send(&self, lane: UplinkLane, payload: Bytes) -> Result<(), SessionOver> {
        self.sender
            .send(Uplink::Payload { lane, payload })
            .await
            .map_err(|_| SessionOver)
    }

    /// Tells the session how the link ended.
    pub async fn end(self, reason: LinkEnd) {
        // A session that is over already knows.
        let _ = self.sender.send(Uplink::End(reason)).await;
    }
}

/// The session is over; the link should close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is over")]
pub struct SessionOver;

/// What a link hands up.
#[derive(Debug)]
pub enum Uplink {
    /// One SL/1 message, undecoded.
    Payload {
        /// Which of the device's topics it came on.
        lane: UplinkLane,
        /// The bytes.
        payload: Bytes,
    },
    /// The link is over.
    End(LinkEnd),
}

/// Which of the device's topics a payload came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UplinkLane {
    /// `s1/<id>/u`, QoS 1: owed one [`Downlink::Accepted`].
    Reliable,
    /// `s1/<id>/t`, QoS 0: not acknowledged.
    Telemetry,
    /// `s1/<id>/w`, QoS 1: BYE. Owed one [`Downlink::Accepted`].
    Farewell,
}

/// How a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// The device said goodbye.
    Disconnected,
    /// Silence, reset or a write that did not progress.
    Lost,
    /// The device broke a rule of the link (malformed packet, foreign topic, rate).
    Violation,
    /// We are shutting down.
    Draining,
}

/// What a session sends down.
#[derive(Debug)]
pub enum Downlink {
    /// One SL/1 message.
    Payload {
        /// Which topic it goes to.
        lane: DownlinkLane,
        /// The bytes.
        payload: Bytes,
    },
    /// The oldest reliable payload not yet accepted is durable or finally rejected: PUBACK it.
    Accepted,
    /// Close the link now.
    Close(CloseReason),
}

/// Which of the device's topics a payload goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownlinkLane {
    /// `s1/<id>/d`, QoS 1.
    Reliable,
    /// `s1/<id>/b`, QoS 0: firmware blocks.
    Block,
}

/// Why we close a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// A newer session of the same device.
    TakenOver,
    /// The device was revoked or retired.
    NotAuthorized,
    /// A command was not acknowledged in time: a half-open link.
    Unresponsive,
    /// The device sends what it must not.
    Violation,
    /// The database failed: nothing is acknowledged, the device will send again.
    StoreFailed,
    /// A person moved the device's log on: it must greet anew.
    LogReopened,
    /// We are shutting down.
    Draining,
}
