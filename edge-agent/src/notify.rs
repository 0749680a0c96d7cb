//! What the service manager is told: ready, alive, stopping. A few bytes to a local socket.
//!
//! Invariant: without a service manager, or when it does not listen, nothing happens.

use std::os::{
    linux::net::SocketAddrExt as _,
    unix::net::{SocketAddr, UnixDatagram},
};

/// The service manager's socket, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// The socket with this name, as in `NOTIFY_SOCKET`; `@` begins an abstract one.
    #[must_use]
    pub fn new(name: Option<&str>) -> Self {
        let open = |name: &str| -> std::io::Result<(UnixDatagram, SocketAddr)> {
            let address = match name.strip_prefix('@') {
                Some(rest) => SocketAddr::from_abstract_name(rest)?,
                None => SocketAddr::from_pathname(name)?,
            };
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        };
        let socket = name.filter(|name| !name.is_empty()).map(open);
        match socket {
            Some(Err(error)) => {
                tracing::warn!(%error, "the service manager is not told anything");
                Self::default()
            }
            socket => Self {
                socket: socket.and_then(Result::ok),
            },
        }
    }

    /// Everything is started.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The program is not stuck.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// The program ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, what: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(what.as_bytes(), address)
        {
            tracing::debug!(%error, what, "the service manager does not listen");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_hears_ready_alive_and_stopping() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.to_str());
        notifier.ready();
        notifier.alive();
        notifier.stopping();
        for expected in ["READY=1", "WATCHDOG=1", "STOPPING=1"] {
            let mut buffer = [0; 32];
            let length = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected.as_bytes());
        }
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        Notifier::new(None).ready();
        Notifier::new(Some("")).ready();
        Notifier::new(Some("/nowhere/notify")).ready();
    }
}
