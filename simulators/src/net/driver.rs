//! Drives one seal over a real socket: the machine decides, this only carries.
//!
//! One task owns the seal, its socket and its control channel. Nothing here waits for only one of them: bytes,
//! timers and hands on the seal are served as they come. A link that is cut stays cut for the seal until it is
//! restored; the seal finds out as a real one would, by failing.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use super::{
    control::{Control, LinkFault, View},
    mqtt::{Inbound, Mqtt, Version},
    wire::{Opening, Wire},
};
use crate::{
    clock::WorldClock,
    fleet::Keeper,
    seal::{Input, Output, Seal, Topic},
};

/// How long TCP and TLS may take together.
const DIAL_PATIENCE: Duration = Duration::from_secs(20);

/// Where the platform listens.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Address.
    pub address: SocketAddr,
    /// Name its certificate must carry.
    pub name: ServerName<'static>,
}

/// Everything a driver is given.
#[derive(Debug)]
pub struct Setup {
    /// The machine.
    pub seal: Seal,
    /// TLS settings with the seal's certificate.
    pub tls: Arc<ClientConfig>,
    /// The platform.
    pub endpoint: Endpoint,
    /// MQTT version of the modem.
    pub version: Version,
    /// World time.
    pub clock: WorldClock,
    /// Ends the driver, also while there are handles.
    pub stop: CancellationToken,
}

type Dial = Pin<Box<dyn Future<Output = io::Result<TlsStream<TcpStream>>> + Send>>;

enum Link {
    Down,
    Dialing(Dial),
    Up(Box<Wire>),
}

enum Happening {
    Dialed(Box<io::Result<TlsStream<TcpStream>>>),
    Packet(io::Result<Inbound>),
}

/// Carries between a seal, its socket and its handle.
pub struct Driver {
    setup: Setup,
    keeper: Option<Keeper>,
    kept: u64,
    control: mpsc::Receiver<Control>,
    link: Link,
    cut: bool,
    duplicating: bool,
    fault: Option<String>,
    topics: [String; 3],
}

impl Driver {
    /// Takes over a seal.
    #[must_use]
    pub fn new(setup: Setup, keeper: Option<Keeper>, control: mpsc::Receiver<Control>) -> Self {
        let name = setup.seal.name().to_owned();
        Self {
            setup,
            keeper,
            kept: 0,
            control,
            link: Link::Down,
            cut: false,
            duplicating: false,
            fault: None,
            topics: ["u", "t", "w"].map(|kind| format!("s1/{name}/{kind}")),
        }
    }

    /// Runs until it is stopped or no handle is left; gives the seal back.
    pub async fn run(mut self) -> Seal {
        loop {
            self.carry_out();
            let wait = self.wait();
            let stop = self.setup.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                control = self.control.recv() => match control {
                    Some(control) => self.obey(control),
                    None => break,
                },
                happening = next(&mut self.link) => self.react(happening),
                () = sleep(wait) => self.tick(),
            }
        }
        self.hang_up().await;
        self.setup.seal
    }

    fn now(&self) -> u64 {
        self.setup.clock.now()
    }

    fn feed(&mut self, input: Input) {
        let now = self.now();
        self.setup.seal.handle(input, now);
    }

    fn wait(&self) -> Duration {
        let seal = self.setup.seal.poll_timeout();
        let wire = match &self.link {
            Link::Up(wire) => Some(wire.timeout()),
            Link::Down | Link::Dialing(_) => None,
        };
        let at = seal.into_iter().chain(wire).min();
        at.map_or(Duration::from_secs(3_600), |at| {
            Duration::from_millis(at.saturating_sub(self.now()))
        })
    }

    fn tick(&mut self) {
        let now = self.now();
        if let Link::Up(wire) = &mut self.link
            && wire.tick(now).is_err()
        {
            self.lose(Input::LinkLost);
        }
        self.feed(Input::Tick);
    }

    /// Keeps what changed before anybody else can see it.
    fn keep(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let seal = &self.setup.seal;
        if seal.changes() != self.kept {
            match keeper.save(seal.flash(), seal.truth()) {
                Ok(()) => self.kept = seal.changes(),
                Err(error) => tracing::error!(device = seal.name(), %error, "cannot keep flash"),
            }
        }
    }

    /// Does what the seal asked for.
    fn carry_out(&mut self) {
        self.keep();
        while let Some(output) = self.setup.seal.poll_output() {
            match output {
                Output::Connect if self.cut => {
                    self.link = Link::Dialing(Box::pin(async {
                        sleep(Duration::from_millis(500)).await;
                        Err(io::ErrorKind::NetworkUnreachable.into())
                    }));
                }
                Output::Connect => self.link = Link::Dialing(self.dial()),
                Output::Disconnect { orderly: true } => self.leave(),
                Output::Disconnect { orderly: false } => self.link = Link::Down,
                Output::Send { topic, payload } => self.send(topic, &payload),
            }
        }
    }

    fn dial(&self) -> Dial {
        let endpoint = self.setup.endpoint.clone();
        let connector = TlsConnector::from(Arc::clone(&self.setup.tls));
        Box::pin(async move {
            let dialed = timeout(DIAL_PATIENCE, async {
                let tcp = TcpStream::connect(endpoint.address).await?;
                tcp.set_nodelay(true)?;
                connector.connect(endpoint.name, tcp).await
            });
            dialed
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    }

    fn send(&mut self, topic: Topic, payload: &[u8]) {
        let Link::Up(wire) = &mut self.link else {
            return;
        };
        let (index, reliable) = match topic {
            Topic::Up => (0, true),
            Topic::Telemetry => (1, false),
            Topic::Farewell => (2, true),
        };
        wire.publish(&self.topics[index], reliable, payload);
        if self.duplicating {
            wire.publish(&self.topics[index], reliable, payload);
        }
    }

    /// An orderly end: what is queued leaves first, in the background.
    fn leave(&mut self) {
        if let Link::Up(mut wire) = std::mem::replace(&mut self.link, Link::Down) {
            wire.say_goodbye();
            crate::tasks::spawn("goodbye", async move {
                let written = poll_fn(|cx| wire.poll_write_out(cx));
                // A link that breaks meanwhile has ended all the same.
                let _ = timeout(Duration::from_secs(2), written).await;
            });
        }
    }

    fn lose(&mut self, input: Input) {
        self.link = Link::Down;
        self.feed(input);
    }

    fn react(&mut self, happening: Happening) {
        match happening {
            Happening::Dialed(dialed) => match *dialed {
                Ok(stream) => self.established(stream),
                Err(error) => self.broken(&error),
            },
            Happening::Packet(Err(error)) => self.broken(&error),
            Happening::Packet(Ok(packet)) => self.packet(packet),
        }
    }

    fn broken(&mut self, error: &io::Error) {
        tracing::debug!(device = self.setup.seal.name(), %error, "link lost");
        self.fault = Some(error.to_string());
        self.lose(Input::LinkLost);
    }

    /// CONNECT and HELLO leave together: the platform may answer both in one go.
    fn established(&mut self, stream: TlsStream<TcpStream>) {
        let now = self.now();
        let will = self.setup.seal.will();
        let opening = Opening {
            client: self.setup.seal.name(),
            keep_alive_s: self.setup.seal.keep_alive_s(),
            will: Some((&self.topics[2], will.into())),
        };
        let mqtt = Mqtt::new(self.setup.version);
        let wire = Wire::new(stream, mqtt, &opening, now);
        self.link = Link::Up(Box::new(wire));
        self.feed(Input::LinkUp);
    }

    fn packet(&mut self, packet: Inbound) {
        let now = self.now();
        let Link::Up(wire) = &mut self.link else {
            return;
        };
        match packet {
            Inbound::Accepted { keep_alive } => {
                if let Some(seconds) = keep_alive {
                    wire.set_keep_alive(seconds, now);
                }
            }
            Inbound::Refused => {
                self.fault = Some("the platform refused the connection (CONNACK)".to_owned());
                self.lose(Input::LinkRefused);
            }
            Inbound::Publish { pkid, payload, .. } => {
                if let Some(pkid) = pkid {
                    wire.acknowledge(pkid);
                }
                self.feed(Input::Down(payload.to_vec()));
            }
            Inbound::PingResp => wire.pong(),
            Inbound::PubAck(_) => {}
            Inbound::Disconnect => self.lose(Input::LinkLost),
        }
    }

    fn obey(&mut self, control: Control) {
        match control {
            Control::Do(input, reply) => {
                self.feed(input);
                self.carry_out();
                let _ = reply.send(self.setup.seal.last_press());
            }
            Control::Fault(fault, reply) => {
                self.spoil(fault);
                let _ = reply.send(());
            }
            Control::View(reply) => {
                let _ = reply.send(View::of(&self.setup.seal, self.fault.clone()));
            }
            Control::Truth(reply) => {
                let _ = reply.send(Box::new(self.setup.seal.truth().clone()));
            }
            Control::Flash(reply) => {
                let _ = reply.send(Box::new(self.setup.seal.flash().clone()));
            }
            Control::Restore(flash, reply) => {
                let now = self.now();
                self.link = Link::Down;
                self.setup.seal.roll_back(*flash, now);
                let _ = reply.send(());
            }
        }
    }

    fn spoil(&mut self, fault: LinkFault) {
        match fault {
            LinkFault::Drop => self.drop_link(),
            LinkFault::Cut => {
                self.cut = true;
                self.drop_link();
            }
            LinkFault::Restore => self.cut = false,
            LinkFault::Duplicate(on) => self.duplicating = on,
            LinkFault::MoveTo(address) => self.setup.endpoint.address = address,
        }
    }

    fn drop_link(&mut self) {
        if !matches!(self.link, Link::Down) {
            self.lose(Input::LinkLost);
        }
    }

    async fn hang_up(&mut self) {
        if let Link::Up(mut wire) = std::mem::replace(&mut self.link, Link::Down) {
            wire.say_goodbye();
            let written = poll_fn(|cx| wire.poll_write_out(cx));
            // The process is ending; an unsent goodbye looks like a lost link, which is legal.
            let _ = timeout(Duration::from_secs(1), written).await;
        }
    }
}

async fn next(link: &mut Link) -> Happening {
    match link {
        Link::Down => std::future::pending().await,
        Link::Dialing(dial) => Happening::Dialed(Box::new(dial.await)),
        Link::Up(wire) => Happening::Packet(poll_fn(|cx| wire.poll_packet(cx)).await),
    }
}
