//! The task of one link: values from clients to the peripheral and back, until either side lets go.
//!
//! It never blocks on the peripheral while a command waits. Values that find no reader are lost and counted, as the real
//! daemon loses them.

use std::{collections::VecDeque, io, os::fd::OwnedFd};

use bytes::Bytes;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use tokio::{net::UnixDatagram, sync::mpsc, task::JoinHandle};
use zbus::{Connection, Message};

use super::Tally;
use crate::{bluez::address::Address, peripheral::LinkEnd, tasks};

/// Values waiting for the peripheral before writers have to wait.
const WAITING: usize = 32;
const COMMANDS: usize = 64;
/// Longer than any value.
const BUFFER: usize = 1_024;

/// What a link reports.
#[derive(Debug)]
pub(super) struct News {
    pub device: Address,
    pub link: u64,
    pub what: Happened,
}

#[derive(Debug)]
pub(super) enum Happened {
    PeripheralLeft,
    NotifyClosed,
    WritesClosed,
    Value(Bytes),
}

#[derive(Debug)]
pub(super) enum Command {
    /// Notifications go to this descriptor; to nobody in fact when `deaf`.
    Notify { socket: UnixDatagram, deaf: bool },
    /// Notifications are reported, for signals.
    Signals(bool),
    /// Values come from this descriptor.
    Writes(UnixDatagram),
    /// One value; the call is answered when the peripheral has it.
    Write { value: Bytes, call: Option<Message> },
    /// Nothing comes or goes.
    Silent(bool),
    /// The service is gone: descriptors end.
    Close,
}

#[derive(Debug)]
pub(super) struct LinkHandle {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

/// The link has more to do than it keeps.
pub(super) struct Busy;

impl LinkHandle {
    pub(super) fn command(&self, command: Command) -> Result<(), Busy> {
        self.commands.try_send(command).map_err(|_| Busy)
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Both ends of the descriptor a client gets: one for it, one for us.
pub(super) fn descriptor() -> io::Result<(OwnedFd, UnixDatagram)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (theirs, ours) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let ours = UnixDatagram::from_std(std::os::unix::net::UnixDatagram::from(ours))?;
    Ok((theirs, ours))
}

pub(super) struct Link {
    pub bus: Connection,
    pub device: Address,
    pub number: u64,
    pub payload: usize,
    pub silent: bool,
    pub news: mpsc::Sender<News>,
    pub tally: Tally,
}

impl Link {
    pub(super) fn start(self, end: LinkEnd) -> LinkHandle {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let carrying = Carrying {
            link: self,
            notify: None,
            deaf: false,
            signals: false,
            writes: None,
            waiting: VecDeque::new(),
        };
        LinkHandle {
            commands,
            task: tasks::spawn("bluetooth-link", carrying.run(end, inbox)),
        }
    }
}

struct Carrying {
    link: Link,
    notify: Option<UnixDatagram>,
    deaf: bool,
    signals: bool,
    writes: Option<UnixDatagram>,
    waiting: VecDeque<(Bytes, Option<Message>)>,
}

impl Carrying {
    async fn run(mut self, end: LinkEnd, mut commands: mpsc::Receiver<Command>) {
        let LinkEnd {
            to_peripheral,
            mut from_peripheral,
        } = end;
        let mut buffer = vec![0; BUFFER];
        let mut unread = vec![0; BUFFER];
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                permit = to_peripheral.reserve(), if !self.waiting.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some((value, call)) = self.waiting.pop_front() {
                            permit.send(value);
                            self.answer(call).await;
                        }
                    }
                    Err(_) => break,
                },
                value = from_peripheral.recv() => match value {
                    Some(value) => self.notify(value).await,
                    None => break,
                },
                packet = receive(self.writes.as_ref(), &mut buffer), if self.waiting.len() < WAITING => {
                    if let Some(length) = packet {
                        self.accept(&buffer[..length]);
                    } else {
                        self.writes = None;
                        self.report(Happened::WritesClosed).await;
                    }
                }
                packet = receive(self.notify.as_ref(), &mut unread) => {
                    // What a client writes into the descriptor for notifications goes nowhere.
                    if packet.is_none() {
                        self.notify = None;
                        self.report(Happened::NotifyClosed).await;
                    }
                }
            }
        }
        self.report(Happened::PeripheralLeft).await;
        // The daemon ends the link; until then the descriptors stay as they are.
        while commands.recv().await.is_some() {}
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Notify { socket, deaf } => {
                self.notify = Some(socket);
                self.deaf = deaf;
            }
            Command::Signals(on) => self.signals = on,
            Command::Writes(socket) => self.writes = Some(socket),
            Command::Write { value, call } => self.waiting.push_back((value, call)),
            Command::Silent(silent) => self.link.silent = silent,
            Command::Close => {
                self.notify = None;
                self.writes = None;
                self.signals = false;
            }
        }
    }

    /// A value from a client's descriptor: what does not fit into one packet is lost without a word.
    fn accept(&mut self, value: &[u8]) {
        if self.link.silent || value.len() > self.link.payload {
            self.link.tally.count(|c| c.dropped += 1);
        } else {
            self.waiting
                .push_back((Bytes::copy_from_slice(value), None));
        }
    }

    async fn answer(&self, call: Option<Message>) {
        self.link.tally.count(|c| c.written += 1);
        if let Some(call) = call
            && let Err(error) = self.link.bus.reply(&call.header(), &()).await
        {
            tracing::debug!(%error, "a reply did not get on the bus");
        }
    }

    async fn notify(&self, value: Bytes) {
        let fits = value.len() <= self.link.payload;
        let mut reached = false;
        if fits && !self.link.silent {
            if let Some(socket) = self.notify.as_ref().filter(|_| !self.deaf) {
                // Not through the runtime: its idea of readiness lags, and a full socket loses the value anyway.
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                reached = rustix::net::send(socket, &value, flags).is_ok();
            }
            if self.signals {
                reached = true;
                self.report(Happened::Value(value)).await;
            }
        }
        self.link.tally.count(|c| {
            if reached {
                c.notified += 1;
            } else {
                c.dropped += 1;
            }
        });
    }

    async fn report(&self, what: Happened) {
        let news = News {
            device: self.link.device,
            link: self.link.number,
            what,
        };
        // A daemon that is gone needs no news.
        let _ = self.link.news.send(news).await;
    }
}

/// The next packet's length; `None` at the end; never when there is no socket.
async fn receive(socket: Option<&UnixDatagram>, buffer: &mut [u8]) -> Option<usize> {
    match socket {
        Some(socket) => socket.recv(buffer).await.ok().filter(|length| *length > 0),
        None => std::future::pending().await,
    }
}
