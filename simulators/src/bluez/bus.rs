//! A private `dbus-daemon`: own socket in a folder that vanishes, everything allowed on it, nobody else there.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// Enough for a loaded machine; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The program is not there.
    #[error(
        "dbus-daemon is not installed; it comes with the package dbus-daemon (Debian, Ubuntu) or dbus (others)"
    )]
    Missing,
    /// It cannot be started.
    #[error("dbus-daemon cannot be started")]
    Start(#[from] io::Error),
    /// It said something else than its address.
    #[error("dbus-daemon did not come up: {0}")]
    Silent(String),
}

/// A running bus. Dropping it kills it; [`PrivateBus::stop`] ends it in order.
#[derive(Debug)]
pub struct PrivateBus {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl PrivateBus {
    /// The path of `dbus-daemon`, where there is one.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain(["/usr/bin".into(), "/usr/local/bin".into()])
            .map(|folder| folder.join("dbus-daemon"))
            .find(|file| file.is_file())
    }

    /// Starts a bus and waits until it listens.
    ///
    /// # Errors
    /// The program is missing, or does not say that it listens.
    pub async fn start() -> Result<Self, BusError> {
        let program = Self::program().ok_or(BusError::Missing)?;
        let folder = tempfile::Builder::new().prefix("sealgate-bus-").tempdir()?;
        // Clients of other users may connect, as they may to the system's bus.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let config = folder.path().join("bus.conf");
        fs::write(&config, configuration(&folder.path().join("socket")))?;
        // A file, because a pipe that nobody reads would stop the bus one day.
        let log = folder.path().join("log");
        let mut child = Command::new(program)
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()?;
        let address = read_address(&mut child, &log).await?;
        Ok(Self {
            child,
            address,
            _folder: folder,
        })
    }

    /// Where it listens, as D-Bus writes addresses.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it and waits for its end.
    pub async fn stop(mut self) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

async fn read_address(child: &mut Child, log: &Path) -> Result<String, BusError> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        // Silence and an end without a word are told by the empty line.
        let _ = timeout(PATIENCE, reader.read_line(&mut line)).await;
    }
    let address = line.trim();
    if address.starts_with("unix:") {
        return Ok(address.to_owned());
    }
    // It has ended by itself, or never will do what it is for.
    let _ = child.kill().await;
    let complaint = fs::read_to_string(log).unwrap_or_default();
    let complaint = complaint.trim();
    let said = if complaint.is_empty() {
        address
    } else {
        complaint
    };
    Err(BusError::Silent(said.to_owned()))
}

/// The limits are the defaults of a system bus: a client that would meet them there meets them here.
fn configuration(socket: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"#,
        socket.display()
    )
}
