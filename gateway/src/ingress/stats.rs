//! What the listeners count. Plain atomics, read by telemetry; nothing here blocks or allocates.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)+) => {
        /// One thing a listener counts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Count {
            $($(#[$doc])* $name,)+
        }

        impl Count {
            /// Every count, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The label of the count in metrics.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

counts! {
    /// TCP connections accepted.
    Accepted = "accepted",
    /// `accept` failed (descriptors, memory).
    AcceptFailed = "accept_failed",
    /// Closed at once: all session slots are taken.
    RefusedFull = "refused_full",
    /// A TLS handshake or its queue took too long.
    HandshakeTimeout = "handshake_timeout",
    /// A TLS handshake failed: no certificate, wrong CA, expired, not TLS at all, reset.
    HandshakeFailed = "handshake_failed",
    /// Full TLS handshakes completed.
    HandshakeFull = "handshake_full",
    /// Resumed TLS handshakes completed.
    HandshakeResumed = "handshake_resumed",
    /// The certificate names no device, or is out of its time.
    BadIdentity = "bad_identity",
    /// No CONNECT in time.
    ConnectTimeout = "connect_timeout",
    /// Something other than a valid CONNECT came first.
    ConnectMalformed = "connect_malformed",
    /// CONNECT refused: client id, protocol level, token or a refusal of the session host.
    ConnectRefused = "connect_refused",
    /// Sessions opened.
    Opened = "opened",
    /// Messages handed up.
    MessagesUp = "messages_up",
    /// Messages sent down.
    MessagesDown = "messages_down",
    /// Messages not sent because the client's maximum packet size forbids it.
    TooLargeForClient = "too_large_for_client",
    /// Sessions closed for a packet that is not MQTT.
    Malformed = "malformed",
    /// Sessions closed for a packet beyond the size limit.
    PacketTooLarge = "packet_too_large",
    /// Sessions closed for a topic that is not the client's.
    ForeignTopic = "foreign_topic",
    /// Sessions closed for another broken rule (QoS 2, retained, second CONNECT, …).
    ProtocolError = "protocol_error",
    /// Subscriptions refused.
    SubscribeRefused = "subscribe_refused",
    /// Times a session was slowed down by its rate limit.
    Throttled = "throttled",
    /// Sessions closed by keep-alive.
    KeepAliveTimeout = "keep_alive_timeout",
    /// Sessions closed because writes made no progress.
    WriteTimeout = "write_timeout",
    /// Sessions closed because a message was never acknowledged.
    AckTimeout = "ack_timeout",
    /// Sessions ended by their host (takeover, revocation, …).
    ClosedByHost = "closed_by_host",
    /// Sessions lost: reset or end of stream without DISCONNECT.
    Lost = "lost",
    /// Sessions ended by the client's DISCONNECT.
    Disconnected = "disconnected",
    /// Sessions drained at shutdown.
    Drained = "drained",
    /// Subscribers dropped because they fell behind.
    Lagged = "lagged",
}

/// Counters and gauges of one listener.
#[derive(Debug)]
pub struct Stats {
    counts: [AtomicU64; Count::ALL.len()],
    sessions: AtomicI64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; Count::ALL.len()],
            sessions: AtomicI64::new(0),
        }
    }
}

impl Stats {
    /// Adds one.
    pub fn bump(&self, count: Count) {
        self.counts[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Reads one.
    #[must_use]
    pub fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }

    /// Sessions open now.
    #[must_use]
    pub fn sessions(&self) -> i64 {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn session_opened(&self) {
        self.bump(Count::Opened);
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_closed(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
