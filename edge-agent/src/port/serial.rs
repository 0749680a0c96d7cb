//! Seals on serial lines: docks and bridges.
//!
//! Constraints and invariants:
//! - A read of no bytes is the end of the line (a pseudo-terminal or a USB converter that went reads so for ever), never
//!   a reason to read again at once.
//! - Modem lines are optional: many converters and every pseudo-terminal have none.
//! - A line that cannot be opened is tried again later and later, up to half a minute, and said once.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sealgate_codec::{
    link::{Framing, LinkLimits},
    record::LinkKind,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::mpsc,
};
use tokio_serial::{SerialPort as _, SerialPortBuilderExt as _, SerialStream};

use super::{Address, Connection, Port, PortError, PortEvent, WAITING, tell};
use crate::tasks;

/// Shortest and longest wait before a line is looked at again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often a present line is looked at, whether it is still there.
const LOOK: Duration = Duration::from_secs(2);

/// One line.
#[derive(Debug)]
pub struct SerialLine {
    path: Arc<str>,
    baud: u32,
}

impl SerialLine {
    /// The line with this device.
    #[must_use]
    pub fn new(path: &str, baud: u32) -> Self {
        Self {
            path: path.into(),
            baud,
        }
    }

    fn open(&self) -> Result<SerialStream, tokio_serial::Error> {
        let mut stream = tokio_serial::new(&*self.path, self.baud).open_native_async()?;
        // A bridge may wait for it; who has no such line refuses, which is no matter.
        if let Err(error) = stream.write_data_terminal_ready(true) {
            tracing::debug!(path = %self.path, %error, "no modem lines");
        }
        Ok(stream)
    }
}

impl Port for SerialLine {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.path)
    }

    fn way(&self) -> LinkKind {
        LinkKind::Uart
    }

    fn leads_to(&self, address: &Address) -> bool {
        matches!(address, Address::Line(path) if *path == self.path)
    }

    fn run(self: Arc<Self>, events: mpsc::Sender<PortEvent>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let address = Address::Line(self.name());
            let mut present = None;
            let mut wait = AGAIN.0;
            loop {
                let is = tokio::fs::metadata(&*self.path).await.is_ok();
                if present != Some(is) {
                    present = Some(is);
                    let port = self.name();
                    let state = if is {
                        PortEvent::Up { port }
                    } else {
                        let reason = "the device is not there".to_owned();
                        PortEvent::Down { port, reason }
                    };
                    let address = address.clone();
                    let line = PortEvent::Line {
                        address,
                        present: is,
                    };
                    if !tell(&events, state).await || !tell(&events, line).await {
                        return;
                    }
                }
                wait = if is { LOOK } else { (wait * 2).min(AGAIN.1) };
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = events.closed() => return,
                }
            }
        })
    }

    fn connect(&self, address: Address) -> BoxFuture<'_, Result<Connection, PortError>> {
        Box::pin(async move {
            if !self.leads_to(&address) {
                return Err(PortError::NoSuch(address));
            }
            let stream = self
                .open()
                .map_err(|error| PortError::Down(format!("{}: {error}", self.path)))?;
            let (reader, writer) = tokio::io::split(stream);
            let (to_link, incoming) = mpsc::channel(WAITING);
            let (outgoing, from_link) = mpsc::channel(WAITING);
            tasks::spawn("serial", carry(reader, writer, to_link, from_link));
            Ok(Connection {
                framing: Framing::Uart,
                limits: LinkLimits::UART,
                incoming,
                outgoing,
                rssi: None,
            })
        })
    }
}

/// Carries both directions until either ends: then the device is closed and both channels with it.
async fn carry(
    reader: ReadHalf<SerialStream>,
    writer: WriteHalf<SerialStream>,
    to_link: mpsc::Sender<Vec<u8>>,
    from_link: mpsc::Receiver<Vec<u8>>,
) {
    tokio::select! {
        why = read_all(reader, to_link) => tracing::debug!(why, "line ended"),
        why = write_all(writer, from_link) => tracing::debug!(why, "line ended"),
    }
}

async fn read_all(
    mut reader: ReadHalf<SerialStream>,
    to_link: mpsc::Sender<Vec<u8>>,
) -> &'static str {
    let mut buffer = [0; 1024];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return "hang-up",
            Ok(length) => {
                if to_link.send(buffer[..length].to_vec()).await.is_err() {
                    return "closed here";
                }
            }
            Err(error) => {
                tracing::debug!(%error, "read");
                return "read failed";
            }
        }
    }
}

async fn write_all(
    mut writer: WriteHalf<SerialStream>,
    mut from_link: mpsc::Receiver<Vec<u8>>,
) -> &'static str {
    while let Some(bytes) = from_link.recv().await {
        if let Err(error) = writer.write_all(&bytes).await {
            tracing::debug!(%error, "write");
            return "write failed";
        }
    }
    "closed here"
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Both ends of a pseudo-terminal, and the path of the near one, which is only kept open.
    fn terminal() -> (SerialStream, std::fs::File, String) {
        let (far, mut near) = SerialStream::pair().unwrap();
        near.set_exclusive(false).unwrap();
        let path = near.name().expect("a pseudo-terminal has a path");
        // Without the lock that the other handle holds.
        let kept = std::fs::File::open(&path).unwrap();
        (far, kept, path)
    }

    #[tokio::test]
    async fn every_byte_passes_both_ways_and_a_hang_up_ends_the_connection() {
        let (mut far, _kept, path) = terminal();
        let line = SerialLine::new(&path, 115_200);
        let mut near = line
            .connect(Address::Line(path.as_str().into()))
            .await
            .unwrap();
        assert_eq!(near.framing, Framing::Uart);
        let all: Vec<u8> = (0..=255).collect();
        near.outgoing.send(all.clone()).await.unwrap();
        let mut there = vec![0; 256];
        timeout(PATIENCE, far.read_exact(&mut there))
            .await
            .expect("in time")
            .unwrap();
        assert_eq!(there, all);
        far.write_all(&all).await.unwrap();
        let mut here = Vec::new();
        while here.len() < 256 {
            let piece = timeout(PATIENCE, near.incoming.recv()).await;
            here.extend(piece.expect("in time").expect("a piece"));
        }
        assert_eq!(here, all);
        drop(far);
        let end = timeout(PATIENCE, near.incoming.recv()).await;
        assert_eq!(end.expect("in time"), None);
    }

    #[tokio::test]
    async fn a_line_that_is_not_there_is_said_once_and_cannot_be_opened() {
        let line = Arc::new(SerialLine::new("/nowhere/tty", 9_600));
        let address = Address::Line("/nowhere/tty".into());
        let error = line.connect(address.clone()).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/tty"), "{error}");
        let other = Address::Ble([1; 6]);
        assert!(matches!(
            line.connect(other).await,
            Err(PortError::NoSuch(_))
        ));
        let (tell, mut events) = mpsc::channel(8);
        let running = tasks::spawn("port", line.run(tell));
        assert!(matches!(
            timeout(PATIENCE, events.recv()).await,
            Ok(Some(PortEvent::Down { .. }))
        ));
        assert!(matches!(
            timeout(PATIENCE, events.recv()).await,
            Ok(Some(PortEvent::Line { present: false, .. }))
        ));
        drop(events);
        timeout(PATIENCE, running).await.expect("it ends").unwrap();
    }
}
