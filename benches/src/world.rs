//! A work folder with keys, certificates and devices; a gateway child on it; a fleet in its database.
//!
//! Devices, their binding and their grant are written into the database before the gateway starts, by SQL: what is
//! measured is what comes after.

use std::{
    fs,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use serde::Deserialize;

use crate::{
    prepared::{Seal, roots},
    seed,
    timer::micros,
};

/// The work folder.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    /// `sqlite://` or `postgres://` address of the gateway's database.
    pub store: String,
}

/// Where a gateway child listens.
#[derive(Debug, Clone, Deserialize)]
pub struct Addresses {
    /// HTTP.
    pub http: SocketAddr,
    /// Seals.
    pub front: SocketAddr,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Where it listens.
    pub at: Addresses,
}

impl World {
    /// A fresh folder with keys, CA and `count` devices.
    ///
    /// # Errors
    /// The command line refuses, or the disk is full.
    pub fn create(dir: &Path, count: usize, store: Option<String>) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let store =
            store.unwrap_or_else(|| format!("sqlite://{}", dir.join("sealgate.db").display()));
        let world = Self {
            dir: dir.to_owned(),
            store,
        };
        world.cli(&["ca", "init", "--dir", &world.path("pki")])?;
        world.cli(&["key", "init", "--dir", &world.path("keys")])?;
        world.cli(&[
            "device",
            "issue",
            "--count",
            &count.to_string(),
            "--out",
            &world.path("devices"),
            "--ca",
            &world.path("pki"),
            "--keys",
            &world.path("keys"),
        ])?;
        fs::write(world.dir.join("sealgate.toml"), world.config())?;
        Ok(world)
    }

    /// The folder of an earlier run, whose database is now there.
    ///
    /// # Errors
    /// There is none.
    pub fn reopen(dir: &Path, store: Option<String>) -> Result<Self> {
        let store =
            store.unwrap_or_else(|| format!("sqlite://{}", dir.join("sealgate.db").display()));
        let world = Self {
            dir: dir.to_owned(),
            store,
        };
        fs::write(world.dir.join("sealgate.toml"), world.config())?;
        Ok(world)
    }

    /// A file of the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Where the server's certificate files are.
    #[must_use]
    pub fn pki(&self, file: &str) -> PathBuf {
        self.dir.join("pki").join(file)
    }

    fn config(&self) -> String {
        format!(
            "[node]\ndata_dir = \"{dir}\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\ntoken_rate = 100000\ntoken_burst = 100000\n\
             [front]\nlisten = \"127.0.0.1:0\"\nbusiness_listen = \"127.0.0.1:0\"\nmax_sessions = 100000\n\
             device_rate = 10000\ndevice_burst = 100000\n\
             [front.tls]\nca = \"{dir}/pki/ca.pem\"\ncert = \"{dir}/pki/server.pem\"\nkey = \"{dir}/pki/server.key\"\n\
             [store]\nurl = \"{store}\"\n\
             [signer]\nin_process = true\nkeys_dir = \"{dir}/keys\"\n\
             [log]\nlevel = \"warn\"\n",
            dir = self.dir.display(),
            store = self.store
        )
    }

    /// Runs the gateway's command line in a child.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = gateway_program()?
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Brings the schema up.
    ///
    /// # Errors
    /// The database refuses.
    pub fn migrate(&self) -> Result<()> {
        self.cli(&["migrate", "--config", &self.path("sealgate.toml")])
            .map(drop)
    }

    /// Brings the schema up and writes the fleet into it: all bound to one organization, an open grant each.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn seed(&self) -> Result<()> {
        self.migrate()?;
        let manifest = fs::read(self.dir.join("devices/manifest.json"))?;
        let devices: Vec<seed::Device> = serde_json::from_slice(&manifest)?;
        match self.store.strip_prefix("sqlite://") {
            Some(file) => seed::sqlite(Path::new(file), &devices),
            None => seed::postgres(&self.store, &devices).await,
        }
    }

    /// A token for the API.
    ///
    /// # Errors
    /// The command line refuses.
    pub fn token(&self) -> Result<String> {
        let out = self.cli(&[
            "token",
            "create",
            "load",
            "--admin",
            "--local",
            "--config",
            &self.path("sealgate.toml"),
            "--output",
            "json",
        ])?;
        let start = out.find("sk_").context("a token in the output")?;
        Ok(out[start..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect())
    }

    /// Starts the gateway and waits until it is ready.
    ///
    /// # Errors
    /// It does not become ready.
    pub fn start(&self) -> Result<Gateway> {
        let addresses = self.dir.join("run/addresses.json");
        let _ = fs::remove_file(&addresses);
        let log = fs::File::create(self.dir.join("gateway.log"))?;
        let mut child = gateway_program()?
            .args(["serve", "--config", &self.path("sealgate.toml")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        for _ in 0..600 {
            if let Some(at) = fs::read(&addresses)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            {
                return Ok(Gateway { child, at });
            }
            if let Some(status) = child.try_wait()? {
                let mut said = String::new();
                fs::File::open(self.dir.join("gateway.log"))?.read_to_string(&mut said)?;
                bail!("the gateway ended ({status}): {said}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        bail!("the gateway did not become ready")
    }

    /// The seals, in order of their ids.
    ///
    /// # Errors
    /// A device folder is incomplete.
    pub fn seals(&self, resume: bool) -> Result<Vec<Seal>> {
        let devices = self.dir.join("devices");
        let roots = roots(&devices)?;
        let mut folders: Vec<PathBuf> = fs::read_dir(&devices)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join("device.json").is_file())
            .collect();
        folders.sort();
        folders
            .iter()
            .map(|folder| Seal::load(folder, &roots, resume))
            .collect()
    }
}

/// The gateway's own command line, built beside this program.
fn gateway_program() -> Result<Command> {
    let program = std::env::current_exe()?.with_file_name("sealgate-load-gateway");
    anyhow::ensure!(program.is_file(), "{} is not built", program.display());
    Ok(Command::new(program))
}

impl Gateway {
    /// Resident memory in bytes.
    ///
    /// # Errors
    /// The process is gone, or this is no Linux.
    pub fn resident(&self) -> Result<u64> {
        resident(self.child.id())
    }

    /// Processor time used so far.
    ///
    /// # Errors
    /// The process is gone, or this is no Linux.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process in bytes.
///
/// # Errors
/// The process is gone, or this is no Linux.
pub fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

/// Raises the limit of open files as far as it goes; says why when it is not enough for `needed`.
#[must_use]
pub fn descriptors(needed: u64) -> Option<String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let wanted = Rlimit {
        current: Some(most.min(1 << 20)),
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, wanted);
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (now < needed).then(|| format!("{needed} descriptors needed, limit {now}"))
}

/// A loopback source for the n-th connection: an address has some 28,000 ports to one destination.
#[must_use]
pub fn source(number: usize) -> Option<SocketAddr> {
    let host = u8::try_from(number / 20_000 % 250).expect("below 250") + 1;
    (host > 1).then(|| SocketAddr::from(([127, 0, 0, host], 0)))
}

/// Prepares something for every seal on all cores, with a bar.
pub fn prepare<T: Send>(
    what: &'static str,
    seals: &[Seal],
    make: impl Fn(&Seal) -> T + Sync,
) -> Vec<T> {
    let bar = ProgressBar::new(seals.len() as u64).with_message(what);
    let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let chunk = seals.len().div_ceil(workers).max(1);
    let (make, bar_ref) = (&make, &bar);
    let made = thread::scope(|scope| {
        let running: Vec<_> = seals
            .chunks(chunk)
            .map(|part| {
                scope.spawn(move || {
                    part.iter()
                        .map(|seal| {
                            bar_ref.inc(1);
                            make(seal)
                        })
                        .collect::<Vec<T>>()
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|worker| worker.join().expect("no panic"))
            .collect()
    });
    bar.finish_and_clear();
    made
}

/// The machine, for the report.
#[must_use]
pub fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split(':').nth(1)?.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} x {model}, Linux {}", kernel.trim())
}

/// Waits until `done` says so, or gives up.
///
/// # Errors
/// It took longer than `limit`.
pub async fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> Result<()> {
    let began = crate::timer::now();
    while !done() {
        if micros(began.elapsed()) > micros(limit) {
            bail!("not done within {limit:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
