//! `sealgate-sim proxy`: a bad network between UDP clients and one server.

use std::{net::SocketAddr, time::Duration};

use sealgate_simulators::proxy::{UdpProxy, Weather};

use super::{end, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where clients send to.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The server.
    #[arg(long)]
    server: SocketAddr,
    /// Share of packets that vanish, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Delay each way, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay_ms: u32,
    /// Up to so many milliseconds more.
    #[arg(long, default_value_t = 0)]
    jitter_ms: u32,
    /// Bits a second each way; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Let jitter change the order.
    #[arg(long)]
    reorder: bool,
    /// Give clients a new port towards the server this often.
    #[arg(long, value_parser = crate::duration)]
    rebind_every: Option<Duration>,
    /// Seed of loss and jitter; drawn and printed when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// End after this time; otherwise when told to.
    #[arg(long, value_parser = crate::duration)]
    duration: Option<Duration>,
}

/// Prints the address to send to on the first line, and what happened on the last.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}");
    let weather = Weather {
        loss: args.loss,
        delay_ms: args.delay_ms,
        jitter_ms: args.jitter_ms,
        bits_per_second: args.rate,
        reorder: args.reorder,
        ..Weather::default()
    };
    let proxy = UdpProxy::start(args.listen, args.server, weather, seed).await?;
    say(&proxy.address().to_string())?;
    tokio::select! {
        ended = end(args.duration) => ended?,
        () = rebind(&proxy, args.rebind_every) => {}
    }
    say(&serde_json::to_string(&proxy.counters())?)?;
    Ok(())
}

/// Rebinds for ever; without an interval it only waits.
async fn rebind(proxy: &UdpProxy, every: Option<Duration>) {
    let Some(every) = every else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(every).await;
        proxy.rebind().await;
    }
}
