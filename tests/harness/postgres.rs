//! A PostgreSQL server of a test's own, to be killed, started again and given certificates.
//!
//! It keeps what it commits (`fsync` stays on), listens on loopback and on a socket in its folder, and goes with its
//! handle. It refuses to run as root, so root becomes the user `postgres`.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{database::execute, tools};

/// The account PostgreSQL runs under when we are root.
const ACCOUNT: &str = "postgres";

/// A server.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    child: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl PostgresServer {
    /// A fresh one, not yet started; or nothing, with the reason printed.
    #[must_use]
    pub fn make() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL is not installed");
            return None;
        };
        let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        let owner = match (root, account()) {
            (false, _) => None,
            (true, Some(owner)) => Some(owner),
            (true, None) => {
                println!(
                    "skipped: PostgreSQL does not run as root, and there is no user {ACCOUNT}"
                );
                return None;
            }
        };
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let server = Self {
            programs,
            owner,
            child: None,
            port,
            folder: tempfile::tempdir().expect("a folder"),
        };
        server.give(server.folder.path());
        let made = server
            .program("initdb")
            .args(["-U", "sealgate", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(server.data())
            .output()
            .expect("initdb");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.owner {
            chown(path, Some(user), Some(group)).expect("given to the server");
        }
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if self.owner.is_none() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"])
            .arg(program)
            .current_dir("/");
        command
    }

    /// Writes a file of the server, readable for it alone: settings, certificates.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("closed");
        self.give(&path);
    }

    /// Starts it, also after [`PostgresServer::kill`]; waits until it answers.
    ///
    /// # Panics
    /// It never does.
    pub async fn start(&mut self) {
        for _ in 0..600 {
            if self.child.as_mut().is_none_or(has_ended) {
                // A server that was killed leaves processes that go a moment later; until then no other starts.
                self.child = Some(self.spawn());
            }
            if execute(&self.local(), "SELECT 1").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("PostgreSQL does not start:\n{}", self.log());
    }

    fn spawn(&self) -> Child {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("server.log"))
            .expect("a log");
        self.program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .arg("-c")
            .arg(format!(
                "unix_socket_directories={}",
                self.folder.path().display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("started")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// kill -9 of the server process; its children follow.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where clients reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://sealgate@127.0.0.1:{}/postgres", self.port)
    }

    /// Where its owner reaches it, whatever it asks of clients.
    #[must_use]
    pub fn local(&self) -> String {
        format!(
            "postgres://sealgate@localhost:{}/postgres?host={}&sslmode=disable",
            self.port,
            self.folder.path().display()
        )
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // In order, so that it takes its children and its shared memory with it.
        let pid = child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        for _ in 0..200 {
            if has_ended(&mut child) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// Where the server's programs are: distributions keep them off the path.
fn programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let mut places: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    places.sort();
    places.extend(told.filter(|told| !told.is_empty()).map(PathBuf::from));
    let complete = |place: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|p| place.join(p).is_file())
    };
    places.into_iter().rev().find(complete)
}

fn account() -> Option<(u32, u32)> {
    let number = |flag: &str| {
        let said = tools::run(Command::new("id").args([flag, ACCOUNT]));
        String::from_utf8_lossy(&said.stdout).trim().parse().ok()
    };
    number("-u").zip(number("-g"))
}
