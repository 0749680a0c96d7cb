//! What stands behind a simulated radio or wire: a seal, seen from the medium that carries its bytes.
//!
//! A link is a pair of bounded channels. The medium (the fake BlueZ, a pseudo-terminal) holds one end, the peripheral
//! the other; either ends the link by letting go of its end. So a slow side slows the other, and nobody polls a flag.
//! What a link carries are whole attribute values on a radio and pieces of a byte stream on a wire.

mod echo;

use bytes::Bytes;
use tokio::sync::mpsc;

pub use echo::Echo;

/// Values waiting in one direction of a link.
const DEPTH: usize = 32;

/// A device behind a radio or a wire.
///
/// Called by the medium and never waited for: a peripheral with work to do hands the link to a task of its own.
pub trait Peripheral: Send {
    /// A central has connected, or the wire is plugged in. The former link, if any, has ended before.
    fn connected(&mut self, link: Link);

    /// What the information characteristic reads; asked at each reading.
    fn information(&self) -> Bytes {
        Bytes::new()
    }
}

/// What carries a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Bluetooth LE: values of at most the ATT MTU less three bytes.
    Radio {
        /// The ATT MTU of this connection.
        mtu: u16,
    },
    /// A serial line: bytes without boundaries.
    Wire,
}

impl Medium {
    /// Largest value one transmission carries, where there is such a limit.
    #[must_use]
    pub fn payload(self) -> Option<usize> {
        match self {
            Self::Radio { mtu } => Some(usize::from(mtu.saturating_sub(3))),
            Self::Wire => None,
        }
    }
}

/// The medium has ended the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link has ended")]
pub struct LinkGone;

/// The peripheral's end of a link. Dropping it hangs up.
#[derive(Debug)]
pub struct Link {
    medium: Medium,
    inbound: mpsc::Receiver<Bytes>,
    outbound: mpsc::Sender<Bytes>,
}

impl Link {
    /// Both ends of a new link.
    #[must_use]
    pub fn pair(medium: Medium) -> (Self, LinkEnd) {
        let (to_peripheral, inbound) = mpsc::channel(DEPTH);
        let (outbound, from_peripheral) = mpsc::channel(DEPTH);
        let link = Self {
            medium,
            inbound,
            outbound,
        };
        let end = LinkEnd {
            to_peripheral,
            from_peripheral,
        };
        (link, end)
    }

    /// What carries it.
    #[must_use]
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// What the central sent next; `None` when the link has ended.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.inbound.recv().await
    }

    /// Sends to the central, waiting while the medium is busy.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn send(&self, value: Bytes) -> Result<(), LinkGone> {
        self.outbound.send(value).await.map_err(|_| LinkGone)
    }

    /// Receiver and sender apart, for a task that selects over both.
    #[must_use]
    pub fn split(self) -> (mpsc::Receiver<Bytes>, mpsc::Sender<Bytes>) {
        (self.inbound, self.outbound)
    }
}

/// The medium's end of a link. Dropping it disconnects the peripheral.
#[derive(Debug)]
pub struct LinkEnd {
    /// What the central sent.
    pub to_peripheral: mpsc::Sender<Bytes>,
    /// What the peripheral sends; closed when it hung up.
    pub from_peripheral: mpsc::Receiver<Bytes>,
}
