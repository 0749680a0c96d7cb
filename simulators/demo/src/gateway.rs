//! The gateway as a child process: started, waited for, killed, started again on the same ports.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep};

use crate::child::{Offspring, Parting};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an orderly end may take.
const PARTING: Duration = Duration::from_secs(20);

/// Where the gateway listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// HTTP.
    pub(crate) http: u16,
    /// Seals.
    pub(crate) front: u16,
    /// Business subscribers.
    pub(crate) business: u16,
}

impl Ports {
    /// The usual ports where they are free, else others.
    pub(crate) fn choose() -> anyhow::Result<Self> {
        Self::near([8080, 8883, 8884])
    }

    /// Ports nobody else is likely to use.
    pub(crate) fn any() -> anyhow::Result<Self> {
        Self::near([0; 3])
    }

    /// All three are held until all are chosen, so that no two are the same.
    fn near(wanted: [u16; 3]) -> anyhow::Result<Self> {
        let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let [http, front, business] = wanted.map(|port| bind(port).or_else(|_| bind(0)));
        let (http, front, business) = (http?, front?, business?);
        Ok(Self {
            http: http.local_addr()?.port(),
            front: front.local_addr()?.port(),
            business: business.local_addr()?.port(),
        })
    }
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    data: PathBuf,
    ports: Ports,
    child: Offspring,
}

impl Gateway {
    /// Starts a gateway that keeps everything under `data` and makes what is missing there.
    pub(crate) async fn start(data: &Path, ports: Ports) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        let child = launch(data, ports)?;
        let mut gateway = Self {
            data: data.to_owned(),
            ports,
            child,
        };
        gateway.ready().await?;
        Ok(gateway)
    }

    /// Base of the HTTP interface.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    /// Where seals connect.
    pub(crate) fn front(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.front).into()
    }

    /// Kills the process and starts another on the same data and ports.
    pub(crate) async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        sleep(Duration::from_millis(700)).await;
        self.child = launch(&self.data, self.ports)?;
        self.ready().await
    }

    /// Ends it in order; `impatient` ends it as it is.
    pub(crate) async fn stop(&mut self, impatient: impl Future<Output = ()>) -> Parting {
        let what = "the gateway (requests and writes under way are finished)";
        self.child.part(what, PARTING, impatient).await
    }

    /// Fails when the gateway has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.ended() {
            Some(status) => bail!(
                "the gateway ended ({status}); its last words are in {}",
                log_file(&self.data).display()
            ),
            None => Ok(()),
        }
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .no_proxy()
            .build()?;
        let url = format!("{}/readyz", self.base());
        let until = Instant::now() + PATIENCE;
        loop {
            self.check()?;
            if let Ok(answer) = client.get(&url).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            if Instant::now() >= until {
                bail!(
                    "the gateway did not become ready; see {}",
                    log_file(&self.data).display()
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn log_file(data: &Path) -> PathBuf {
    data.join("gateway.log")
}

fn launch(data: &Path, ports: Ports) -> anyhow::Result<Offspring> {
    let address = |port: u16| OsString::from(format!("127.0.0.1:{port}"));
    let args: Vec<OsString> = vec![
        "serve".into(),
        "--dev".into(),
        "--data".into(),
        data.into(),
        "--http".into(),
        address(ports.http),
        "--front".into(),
        address(ports.front),
        "--business".into(),
        address(ports.business),
    ];
    Offspring::sealgate(&args, &log_file(data))
}
