//! Servers of other people, started from the distribution's packages where they are installed: mosquitto and
//! PostgreSQL, each on loopback with a folder of its own, stopped by the handle's drop.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// A child that ends with its handle.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens on loopback.
    pub port: u16,
}

impl Server {
    /// Process id, for measurements.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback port that was free a moment ago.
///
/// # Errors
/// None is free.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Certificates a TLS listener needs.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Trust anchor for clients.
    pub ca: PathBuf,
    /// Own chain.
    pub cert: PathBuf,
    /// Own key.
    pub key: PathBuf,
}

/// Starts mosquitto with an mTLS listener for seals and a plain one for the consumer; `Ok(Err(reason))` when it is
/// not installed.
///
/// # Errors
/// It is installed and does not start.
pub fn mosquitto(
    dir: &Path,
    tls: &ServerTls,
) -> Result<std::result::Result<(Server, u16), String>> {
    let Some(program) = find(&[
        "/usr/sbin/mosquitto",
        "/usr/local/sbin/mosquitto",
        "/usr/bin/mosquitto",
    ]) else {
        return Ok(Err("mosquitto is not installed".to_owned()));
    };
    let (tls_port, plain_port) = (free_port()?, free_port()?);
    let config = format!(
        "user root\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nlog_type error\n\
         listener {plain_port} 127.0.0.1\n\
         listener {tls_port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        tls.ca.display(),
        tls.cert.display(),
        tls.key.display()
    );
    let file = dir.join("mosquitto.conf");
    fs::write(&file, config)?;
    let child = Command::new(program)
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.join("mosquitto.log"))?)
        .spawn()
        .context("starting mosquitto")?;
    let server = Server {
        child,
        port: tls_port,
    };
    wait_for(plain_port).context("mosquitto does not listen")?;
    Ok(Ok((server, plain_port)))
}

/// Starts PostgreSQL with its own defaults (every commit synchronous), in a fresh folder or in that of an earlier run;
/// `Ok(Err(reason))` when it is not installed.
///
/// # Errors
/// It is installed and does not start.
pub fn postgres(dir: &Path) -> Result<std::result::Result<Server, String>> {
    let Some(bin) = postgres_bin() else {
        return Ok(Err("PostgreSQL is not installed".to_owned()));
    };
    let data = dir.join("postgres");
    let root = rustix::process::geteuid().is_root();
    open_parents(dir)?;
    if !data.join("PG_VERSION").exists() {
        fs::create_dir_all(&data)?;
        if root {
            run(Command::new("chown").arg("postgres").arg(&data))?;
        }
        let mut initdb = as_postgres(root, &bin.join("initdb"));
        initdb
            .args([
                "-U",
                "sealgate",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "-D",
            ])
            .arg(&data);
        run(&mut initdb).context("initdb")?;
    }
    let port = free_port()?;
    let mut command = as_postgres(root, &bin.join("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string()])
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "max_connections=100",
        ])
        .arg("-c")
        .arg(format!("unix_socket_directories={}", data.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.join("postgres.log"))?);
    let child = command.spawn().context("starting PostgreSQL")?;
    let server = Server { child, port };
    for _ in 0..200 {
        let ready = Command::new(bin.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()?;
        if ready.success() {
            return Ok(Ok(server));
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("PostgreSQL does not become ready")
}

/// The account `postgres` must be able to walk to its folder.
fn open_parents(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711))?;
    Ok(())
}

fn as_postgres(root: bool, program: &Path) -> Command {
    if root {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn find(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|p| p.is_file())
}

fn postgres_bin() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    versions.sort();
    versions.pop()
}

fn wait_for(port: u16) -> Result<()> {
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("nothing on port {port}")
}
