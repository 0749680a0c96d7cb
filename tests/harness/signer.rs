//! A signer as a child process.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{gateway::signal, material::program};

/// A signer in a child process.
#[derive(Debug)]
pub struct SignerProcess {
    dir: TempDir,
    child: Child,
}

impl SignerProcess {
    /// Starts one over the keys in `keys`; waits until it listens.
    ///
    /// # Panics
    /// It does not.
    #[must_use]
    pub fn start(keys: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let log = File::create(dir.path().join("signer.log")).expect("a log");
        let child = Command::new(program())
            .args(["signer", "--keys"])
            .arg(keys)
            .arg("--socket")
            .arg(dir.path().join("run/signer.sock"))
            .arg("--data")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("started");
        let mut signer = Self { dir, child };
        for _ in 0..1_200 {
            if signer.log().contains("the signer listens") {
                return signer;
            }
            if let Some(status) = signer.child.try_wait().expect("a child") {
                panic!("the signer ended ({status}):\n{}", signer.log());
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("the signer does not listen:\n{}", signer.log());
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/signer.sock")
    }

    /// SIGHUP: it reads its keys again.
    pub fn reload(&self) {
        signal(&self.child, "HUP");
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("signer.log")).unwrap_or_default()
    }
}

impl Drop for SignerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("--- the signer's log:\n{}", self.log());
        }
    }
}
