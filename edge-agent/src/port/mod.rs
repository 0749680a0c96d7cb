//! Ways to seals: a port hears seals and makes connections to them, and nothing else. What travels is the link's business.
//!
//! Constraints and invariants:
//! - A port never ends the program: a lost adapter or an unplugged line is [`PortEvent::Down`], and it comes back by itself.
//! - A connection is two bounded channels. The end of the incoming one is the end of the connection, whoever ended it;
//!   dropping the connection ends it too. One item is one ATT value, or a piece of the line.
//! - A port connects only when told to, one at a time over BLE.

#[cfg(feature = "ble")]
pub mod ble;
pub mod loopback;
pub mod serial;

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use sealgate_codec::{
    link::{Advert, Framing, LinkLimits},
    record::LinkKind,
};
use tokio::sync::mpsc;

/// Values or pieces that wait in a connection, each way.
pub const WAITING: usize = 32;
/// Events of all ports that wait for the agent.
pub const EVENTS: usize = 256;

/// Where a seal can be reached by a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A Bluetooth address.
    Ble([u8; 6]),
    /// A serial line, by the path of its device.
    Line(Arc<str>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ble([a, b, c, d, e, g]) => {
                write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
            }
            Self::Line(path) => f.write_str(path),
        }
    }
}

/// What a port says.
#[derive(Debug, Clone)]
pub enum PortEvent {
    /// It works.
    Up {
        /// Its name.
        port: Arc<str>,
    },
    /// It does not work now; it is being tried again.
    Down {
        /// Its name.
        port: Arc<str>,
        /// Why.
        reason: String,
    },
    /// An advertisement.
    Heard(Heard),
    /// A line is there, or gone.
    Line {
        /// Which.
        address: Address,
        /// Whether it can be opened.
        present: bool,
    },
}

/// An advertisement as it was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// By whom; connect there.
    pub address: Address,
    /// What it says.
    pub advert: Advert,
    /// Signal strength in dBm.
    pub rssi: Option<i8>,
}

/// An open connection to something that may be a seal.
#[derive(Debug)]
pub struct Connection {
    /// How packets travel.
    pub framing: Framing,
    /// Times of its links.
    pub limits: LinkLimits,
    /// What the other end sends; its end is the end of the connection.
    pub incoming: mpsc::Receiver<Vec<u8>>,
    /// What the other end gets, in order.
    pub outgoing: mpsc::Sender<Vec<u8>>,
    /// Signal strength when it was made, in dBm.
    pub rssi: Option<i8>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// No port leads there.
    #[error("no port leads to {0}")]
    NoSuch(Address),
    /// The port does not work now.
    #[error("the port is down: {0}")]
    Down(String),
    /// The other end did not answer, or refused.
    #[error("no connection: {0}")]
    Refused(String),
    /// What answered has not the service of a seal.
    #[error("not a seal: {0}")]
    NotASeal(String),
}

/// A way to seals.
pub trait Port: Send + Sync + 'static {
    /// Its name, for logs and status.
    fn name(&self) -> Arc<str>;

    /// What kind of links it makes.
    fn way(&self) -> LinkKind;

    /// Whether this address is reached by this port.
    fn leads_to(&self, address: &Address) -> bool;

    /// Hears and watches until `events` is closed. Called once.
    fn run(self: Arc<Self>, events: mpsc::Sender<PortEvent>) -> BoxFuture<'static, ()>;

    /// Makes a connection. Dropping the future gives up.
    fn connect(&self, address: Address) -> BoxFuture<'_, Result<Connection, PortError>>;
}

/// Whether the agent still listens.
pub(crate) async fn tell(events: &mpsc::Sender<PortEvent>, event: PortEvent) -> bool {
    events.send(event).await.is_ok()
}
