//! Child processes that are this program again, and that never outlive it.
//!
//! A child holds the read end of a pipe whose write end only the parent has: when the parent is gone, however it
//! went, the child's standard input ends and the child leaves. A child can be killed without warning, and that is
//! what the demo is for.

use std::{
    io::Read as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context as _;

/// This program, run again.
#[derive(Debug)]
pub(crate) struct Offspring {
    child: Child,
}

impl Offspring {
    /// Starts this program with `args`; what it prints goes to `log`.
    pub(crate) fn spawn(args: &[&str], log: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own file")?;
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let errors = output.try_clone()?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()?;
        Ok(Self { child })
    }

    /// Kills it at once: no handler runs, nothing is flushed.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to leave by ending its standard input, and waits.
    pub(crate) fn leave(&mut self, patience: Duration) {
        drop(self.child.stdin.take());
        let step = Duration::from_millis(50);
        let mut waited = Duration::ZERO;
        while waited < patience {
            if self.ended().is_some() {
                return;
            }
            thread::sleep(step);
            waited += step;
        }
        // It had its time; a process that is already gone cannot be killed and need not be.
        let _ = self.kill();
    }
}

impl Drop for Offspring {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.leave(Duration::from_secs(2));
        }
    }
}

/// Resolves when the parent is gone or wants this process to leave.
pub(crate) async fn orphaned() {
    let (gone, wait) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let mut sink = [0_u8; 64];
        while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
        // Nobody waits any more when the process is ending anyway.
        let _ = gone.send(());
    });
    let _ = wait.await;
}
