//! Lanes between real sockets. One task owns everything; a small task a client reads the socket towards the server.
//!
//! Each client has its own socket upstream, as behind a NAT; [`UdpProxy::rebind`] gives every client a new one, so that
//! the server sees a new port. What still arrives at the old one is lost, as it would be.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use rustix::net::{SendFlags, sockopt};
use serde::Serialize;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::lane::{Fate, Lane, Weather};
use crate::tasks;

/// Clients at a time; packets of further ones are lost.
const MAX_CLIENTS: usize = 1_024;
/// A client silent for so long may be forgotten when another one needs its place.
const IDLE: Duration = Duration::from_secs(120);
/// The default of 208 kB would lose bursts that no lane decided to lose.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
const LONGEST: usize = 65_536;

/// What the proxy did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Packets delivered to the server.
    pub up: u64,
    /// Packets delivered to clients.
    pub down: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost because too much was waiting.
    pub overflow: u64,
    /// Lost in outages.
    pub dark: u64,
    /// Lost because there were too many clients or a socket was full.
    pub refused: u64,
}

enum Order {
    Weather(Weather),
    Darken(Duration),
    Rebind,
}

/// A running proxy. Dropping it ends it.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
    counters: Arc<Mutex<Counters>>,
    task: JoinHandle<()>,
}

impl UdpProxy {
    /// Listens on `listen` and carries to `server`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(
        listen: SocketAddr,
        server: SocketAddr,
        weather: Weather,
        seed: u64,
    ) -> io::Result<Self> {
        let front = UdpSocket::bind(listen).await?;
        widen(&front);
        let address = front.local_addr()?;
        let (orders, inbox) = mpsc::channel(16);
        let counters = Arc::new(Mutex::new(Counters::default()));
        let (arrivals, arrived) = mpsc::channel(1_024);
        let proxy = Carrying {
            front,
            server,
            weather,
            seed,
            began: Instant::now(),
            dark_until: Duration::ZERO,
            clients: HashMap::new(),
            counters: counters.clone(),
            arrivals,
            born: 0,
        };
        let task = tasks::spawn("udp-proxy", proxy.run(inbox, arrived));
        Ok(Self {
            address,
            orders,
            counters,
            task,
        })
    }

    /// Where clients send to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather in both directions.
    pub async fn set_weather(&self, weather: Weather) {
        self.order(Order::Weather(weather)).await;
    }

    /// Loses everything for a while from here on; a second call replaces the first.
    pub async fn blackhole(&self, outage: Duration) {
        self.order(Order::Darken(outage)).await;
    }

    /// The NAT forgets: each client reaches the server from a new port from here on.
    pub async fn rebind(&self) {
        self.order(Order::Rebind).await;
    }

    async fn order(&self, order: Order) {
        // The task ends with this handle only, so the channel is open.
        let _ = self.orders.send(order).await;
    }

    /// What it did so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Client {
    upstream: Arc<UdpSocket>,
    reader: JoinHandle<()>,
    up: Lane,
    down: Lane,
    seen: Instant,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Carrying {
    front: UdpSocket,
    server: SocketAddr,
    weather: Weather,
    seed: u64,
    began: Instant,
    dark_until: Duration,
    clients: HashMap<SocketAddr, Client>,
    counters: Arc<Mutex<Counters>>,
    arrivals: mpsc::Sender<(SocketAddr, Bytes)>,
    born: u64,
}

impl Carrying {
    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut arrived: mpsc::Receiver<(SocketAddr, Bytes)>,
    ) {
        let mut buffer = vec![0; LONGEST];
        loop {
            self.deliver();
            let due = self.next_due();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                received = self.front.recv_from(&mut buffer) => {
                    // An error here is the echo of a refused packet; the socket itself stays good.
                    if let Ok((length, client)) = received {
                        self.offer_up(client, Bytes::copy_from_slice(&buffer[..length])).await;
                    }
                }
                Some((client, packet)) = arrived.recv() => self.offer_down(client, packet),
                () = sleep_until(due.unwrap_or(self.began)), if due.is_some() => {}
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn count(&self, fate: Fate) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        match fate {
            Fate::Due(_) => {}
            Fate::Lost => counters.lost += 1,
            Fate::Overflow => counters.overflow += 1,
            Fate::Dark => counters.dark += 1,
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Weather(weather) => {
                self.weather = weather;
                for client in self.clients.values_mut() {
                    client.up.set_weather(weather);
                    client.down.set_weather(weather);
                }
            }
            Order::Darken(outage) => {
                self.dark_until = self.now() + outage;
                for client in self.clients.values_mut() {
                    client.up.darken(self.dark_until);
                    client.down.darken(self.dark_until);
                }
            }
            Order::Rebind => {
                let known: Vec<SocketAddr> = self.clients.keys().copied().collect();
                for address in known {
                    // Without a new socket the old one stays: better late than cut.
                    let Ok((upstream, reader)) = self.dial(address).await else {
                        continue;
                    };
                    if let Some(client) = self.clients.get_mut(&address) {
                        client.reader.abort();
                        client.upstream = upstream;
                        client.reader = reader;
                    }
                }
            }
        }
    }

    async fn offer_up(&mut self, address: SocketAddr, packet: Bytes) {
        if !self.clients.contains_key(&address) && !self.welcome(address).await {
            self.refuse();
            return;
        }
        let now = self.now();
        if let Some(client) = self.clients.get_mut(&address) {
            client.seen = Instant::now();
            let fate = client.up.offer(now, packet);
            self.count(fate);
        }
    }

    fn offer_down(&mut self, address: SocketAddr, packet: Bytes) {
        let now = self.now();
        if let Some(client) = self.clients.get_mut(&address) {
            let fate = client.down.offer(now, packet);
            self.count(fate);
        }
    }

    /// Makes place for a new client; false when there is none.
    async fn welcome(&mut self, address: SocketAddr) -> bool {
        if self.clients.len() >= MAX_CLIENTS {
            self.clients
                .retain(|_, client| client.seen.elapsed() < IDLE);
        }
        if self.clients.len() >= MAX_CLIENTS {
            return false;
        }
        let Ok((upstream, reader)) = self.dial(address).await else {
            return false;
        };
        self.born += 2;
        let mut client = Client {
            upstream,
            reader,
            up: Lane::new(self.weather, self.seed ^ self.born),
            down: Lane::new(self.weather, self.seed ^ (self.born + 1)),
            seen: Instant::now(),
        };
        client.up.darken(self.dark_until);
        client.down.darken(self.dark_until);
        self.clients.insert(address, client);
        true
    }

    /// A socket of its own towards the server, and the task that reads it.
    async fn dial(&self, address: SocketAddr) -> io::Result<(Arc<UdpSocket>, JoinHandle<()>)> {
        let any: SocketAddr = match self.server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        widen(&socket);
        socket.connect(self.server).await?;
        let upstream = Arc::new(socket);
        let arrivals = self.arrivals.clone();
        let reading = upstream.clone();
        let reader = tasks::spawn("udp-proxy-client", async move {
            let mut buffer = vec![0; LONGEST];
            loop {
                let Ok(length) = reading.recv(&mut buffer).await else {
                    // Refused by a server that is not there (yet): the next packet may pass.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                let packet = Bytes::copy_from_slice(&buffer[..length]);
                if arrivals.send((address, packet)).await.is_err() {
                    return;
                }
            }
        });
        Ok((upstream, reader))
    }

    fn refuse(&self) {
        self.counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refused += 1;
    }

    fn next_due(&self) -> Option<Instant> {
        self.clients
            .values()
            .flat_map(|client| [client.up.next_due(), client.down.next_due()])
            .flatten()
            .min()
            .map(|due| self.began + due)
    }

    /// Sends past the runtime, whose idea of readiness lags behind a new socket; a full socket loses the packet.
    fn deliver(&mut self) {
        let now = self.now();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, client) in &mut self.clients {
            while let Some(packet) = client.up.take(now) {
                match rustix::net::send(&client.upstream, &packet, SendFlags::DONTWAIT) {
                    Ok(_) => counters.up += 1,
                    Err(_) => counters.refused += 1,
                }
            }
            while let Some(packet) = client.down.take(now) {
                match rustix::net::sendto(&self.front, &packet, SendFlags::DONTWAIT, address) {
                    Ok(_) => counters.down += 1,
                    Err(_) => counters.refused += 1,
                }
            }
        }
    }
}

/// The kernel grants what its limit allows; less is no error.
fn widen(socket: &UdpSocket) {
    let _ = sockopt::set_socket_recv_buffer_size(socket, SOCKET_BUFFER);
    let _ = sockopt::set_socket_send_buffer_size(socket, SOCKET_BUFFER);
}
