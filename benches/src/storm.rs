//! Everybody connects at once: handshakes a second, full and resumed, against what rustls alone does with the same
//! certificates on the same cores (a server child that accepts, shakes hands, and closes).

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ServerSessionMemoryCache, WebPkiClientVerifier},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    client::Client,
    prepared::Seal,
    report::{Latencies, Report},
    timer,
    world::source,
};

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections under way at once.
    pub parallel: usize,
}

/// Connects every seal twice (full, then resumed) to the gateway.
///
/// # Errors
/// A session was refused.
pub async fn gateway(
    report: &mut Report,
    front: SocketAddr,
    seals: &[Seal],
    plan: Plan,
) -> Result<[f64; 2]> {
    let mut rates = [0.0; 2];
    for (rate, how) in rates.iter_mut().zip(["full", "resumed"]) {
        let (found, latencies) = storm(seals, plan, |number, seal| async move {
            let hello = seal.hello(1);
            let tls = Arc::clone(&seal.tls);
            let client =
                Client::connect(front, source(number), tls, &seal.name, Some(&hello)).await?;
            drop(client);
            Ok(())
        })
        .await?;
        *rate = found;
        report.figure(
            &format!("gateway: {how}, TCP to CONNACK"),
            found,
            "1/s",
            None,
        );
        report.latency(&format!("gateway: {how}"), &latencies);
    }
    Ok(rates)
}

/// The same against the bare TLS server.
///
/// # Errors
/// A handshake failed.
pub async fn bare(
    report: &mut Report,
    server: SocketAddr,
    seals: &[Seal],
    plan: Plan,
) -> Result<[f64; 2]> {
    let mut rates = [0.0; 2];
    for (rate, how) in rates.iter_mut().zip(["full", "resumed"]) {
        let (found, latencies) = storm(seals, plan, |number, seal| async move {
            let tls = Arc::clone(&seal.tls);
            let mut client = Client::handshake(server, source(number), tls, &seal.name).await?;
            client.one_byte().await
        })
        .await?;
        *rate = found;
        report.figure(&format!("rustls alone: {how}"), found, "1/s", None);
        report.latency(&format!("rustls alone: {how}"), &latencies);
    }
    Ok(rates)
}

async fn storm<'s, F, Fut>(seals: &'s [Seal], plan: Plan, connect: F) -> Result<(f64, Latencies)>
where
    F: Fn(usize, &'s Seal) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let began = timer::now();
    let done: Vec<Result<Duration>> = stream::iter(seals.iter().enumerate())
        .map(|(number, seal)| {
            let attempt = connect(number, seal);
            async move {
                let began = timer::now();
                attempt.await.with_context(|| seal.name.clone())?;
                Ok(began.elapsed())
            }
        })
        .buffer_unordered(plan.parallel)
        .collect()
        .await;
    let taken = began.elapsed();
    let mut latencies = Latencies::default();
    for one in done {
        latencies.record(timer::micros(one?));
    }
    Ok((timer::rate(seals.len() as u64, taken), latencies))
}

/// The bare TLS server, in a child.
#[derive(Debug)]
pub struct Bare {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts it with the gateway's certificates.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(pki: &Path, dir: &Path) -> Result<Self> {
        let file = dir.join("bare-address");
        let _ = fs::remove_file(&file);
        let child = Command::new(std::env::current_exe()?)
            .arg("bare-tls")
            .arg(pki)
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()?;
        let mut bare = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        for _ in 0..200 {
            if let Some(address) = fs::read_to_string(&file).ok().and_then(|t| t.parse().ok()) {
                bare.address = address;
                return Ok(bare);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("the bare TLS server does not start")
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's whole life: accept, shake hands with the same settings as the gateway, write a byte, close.
///
/// # Errors
/// The certificates cannot be used.
pub async fn serve_bare(pki: &Path, address_file: &Path) -> Result<()> {
    let mut roots = RootCertStore::empty();
    for anchor in CertificateDer::pem_slice_iter(&fs::read(pki.join("ca.pem"))?) {
        roots.add(anchor?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()?;
    let chain = CertificateDer::pem_slice_iter(&fs::read(pki.join("server.pem"))?)
        .collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(pki.join("server.key"))?)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.send_tls13_tickets = 1;
    config.session_storage = ServerSessionMemoryCache::new(1 << 17);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    fs::write(address_file, listener.local_addr()?.to_string())?;
    loop {
        let (tcp, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        sealgate::tasks::spawn("bare", async move {
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                let _ = tls.write_all(b"x").await;
                let _ = tls.flush().await;
                let _ = tls.read(&mut [0; 1]).await;
            }
        });
    }
}
