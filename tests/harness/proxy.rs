//! A wire that a test can freeze: bytes wait, nothing is closed, nobody is told. What a network does that vanishes.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// A wire to one address.
#[derive(Debug)]
pub struct Proxy {
    /// Where to connect instead.
    pub address: SocketAddr,
    frozen: watch::Sender<bool>,
}

impl Proxy {
    /// A wire to `to`.
    ///
    /// # Panics
    /// There is no port.
    pub async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (frozen, state) = watch::channel(false);
        sealgate::tasks::spawn("proxy", async move {
            while let Ok((near, _)) = listener.accept().await {
                sealgate::tasks::spawn("wire", wire(near, to, state.clone()));
            }
        });
        Self { address, frozen }
    }

    /// From now on nothing gets through, or everything again.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }
}

async fn wire(near: TcpStream, to: SocketAddr, mut state: watch::Receiver<bool>) {
    // The end of the test ends the wire.
    if state.wait_for(|frozen| !frozen).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(to).await else {
        return;
    };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = carry(near_in, far_out, state.clone()) => {}
        () = carry(far_in, near_out, state) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut bytes).await else {
            return;
        };
        if state.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
