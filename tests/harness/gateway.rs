//! A gateway as a child process, to be killed at any moment and started again on the same folder and ports.

use std::{
    fs::{self, File, OpenOptions},
    io::Read as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    database::{Database, Home},
    material::{Material, cli, program},
};

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its keys and certificates.
    pub material: &'static Material,
    /// Its database.
    pub database: Database,
    /// Socket of its signer; without one it signs itself.
    pub signer: Option<PathBuf>,
    /// Where its data folder is made; elsewhere than usual, if anywhere.
    pub disk: Option<PathBuf>,
    /// Appended to its settings.
    pub settings: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            material: Material::shared(),
            database: Database::default(),
            signer: None,
            disk: None,
            settings: String::new(),
        }
    }
}

/// Where a gateway listens.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Addresses {
    /// HTTP.
    #[serde(alias = "http_addr")]
    pub http: SocketAddr,
    /// Seals.
    #[serde(alias = "front_addr")]
    pub front: SocketAddr,
    /// Business subscribers.
    #[serde(alias = "business_addr")]
    pub business: SocketAddr,
}

/// A gateway in a child process.
#[derive(Debug)]
pub struct GatewayProcess {
    dir: TempDir,
    child: Option<Child>,
    // Dropped after the process is gone.
    home: Home,
    /// Where it listens; the same after a restart.
    pub at: Addresses,
    /// Token with every right.
    pub token: String,
}

impl GatewayProcess {
    /// Starts one on a fresh folder.
    ///
    /// # Panics
    /// It does not become ready.
    #[must_use]
    pub fn start(setup: &Setup) -> Self {
        let dir = match &setup.disk {
            Some(disk) => TempDir::new_in(disk),
            None => tempfile::tempdir(),
        };
        let dir = dir.expect("a folder");
        let ports = free_ports();
        let home = setup.database.make();
        let config = config(dir.path(), setup, &home, ports);
        let file = dir.path().join("sealgate.toml");
        fs::write(&file, config).expect("written");
        let named = file.display().to_string();
        cli(&["migrate", "--config", &named]);
        let made = cli(&[
            "token", "create", "tests", "--admin", "--local", "--config", &named, "--output",
            "json",
        ]);
        let mut gateway = Self {
            dir,
            child: None,
            home,
            at: Addresses {
                http: loopback(ports[0]),
                front: loopback(ports[1]),
                business: loopback(ports[2]),
            },
            token: secret(&made),
        };
        gateway.restart();
        gateway
    }

    /// The data folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The URL of its own database on PostgreSQL.
    ///
    /// # Panics
    /// It has none.
    #[must_use]
    pub fn database(&self) -> &str {
        self.home.url.as_deref().expect("a database of its own")
    }

    /// Its process.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// SIGHUP: it reads its certificates again.
    ///
    /// # Panics
    /// It does not run.
    pub fn reload(&self) {
        signal(self.child.as_ref().expect("it runs"), "HUP");
    }

    /// The settings file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("sealgate.toml")
    }

    /// Starts it again; waits until it is ready.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it still runs");
        let addresses = self.dir.path().join("run/addresses.json");
        let _ = fs::remove_file(&addresses);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log");
        // A write beyond a limit of file sizes shall fail, as on a full disk, and not kill.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(program())
            .args(["serve", "--config", &self.config().display().to_string()])
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("started");
        for _ in 0..1_200 {
            if addresses.is_file() {
                self.child = Some(child);
                return;
            }
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("the gateway ended ({status}):\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(25));
        }
        let _ = child.kill();
        panic!("the gateway did not become ready:\n{}", self.log());
    }

    /// kill -9.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// SIGTERM; waits for the orderly end and says whether it was a good one.
    ///
    /// # Panics
    /// It does not run, or does not end.
    pub fn stop(&mut self) -> bool {
        let mut child = self.child.take().expect("it runs");
        signal(&child, "TERM");
        for _ in 0..1_200 {
            if let Some(status) = child.try_wait().expect("a child") {
                return status.success();
            }
            thread::sleep(Duration::from_millis(25));
        }
        let _ = child.kill();
        panic!("the gateway did not end:\n{}", self.log());
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("gateway.log")
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = File::open(self.log_file()) {
            let _ = file.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            let log = self.log();
            let tail = log.len().saturating_sub(4_000);
            let tail = (tail..log.len()).find(|i| log.is_char_boundary(*i));
            println!("--- the gateway's log ends:\n{}", &log[tail.unwrap_or(0)..]);
        }
    }
}

/// Sends a signal to a child.
///
/// # Panics
/// It is gone.
pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let told = Command::new("kill")
        .args([&format!("-{name}"), &pid])
        .status();
    assert!(told.is_ok_and(|status| status.success()), "told {name}");
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Three ports that were free a moment ago; held together, so that they differ.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

fn config(dir: &Path, setup: &Setup, home: &Home, ports: [u16; 3]) -> String {
    let [http, front, business] = ports;
    let pki = setup.material.path("pki");
    let signer = match &setup.signer {
        Some(socket) => format!("socket = {socket:?}"),
        None => format!(
            "in_process = true\nkeys_dir = {:?}",
            setup.material.path("keys")
        ),
    };
    let (store, extra) = (&home.settings, &setup.settings);
    format!(
        "[node]\ndata_dir = {dir:?}\n\
         [http]\nlisten = \"127.0.0.1:{http}\"\ntoken_rate = 10000\ntoken_burst = 10000\n\
         [front]\nlisten = \"127.0.0.1:{front}\"\nbusiness_listen = \"127.0.0.1:{business}\"\n\
         [front.tls]\nca = {:?}\ncert = {:?}\nkey = {:?}\n\
         [signer]\n{signer}\n{store}\
         [sms]\nprovider = \"memory\"\n\
         [log]\nlevel = \"info\"\nformat = \"text\"\n{extra}\n",
        pki.join("ca.pem"),
        pki.join("server.pem"),
        pki.join("server.key"),
    )
}

/// The secret in what `token create` printed.
///
/// # Panics
/// There is none.
#[must_use]
pub fn secret(printed: &str) -> String {
    let start = printed.find("sk_").expect("a token's secret");
    printed[start..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}
