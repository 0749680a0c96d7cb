//! Child processes that are this program again, and that never outlive it.
//!
//! A child holds the read end of a pipe whose write end only the parent has: when the parent is gone, however it
//! went, the child's standard input ends and the child leaves. A child can be killed without warning, and that is
//! what the demo is for.

use std::{
    ffi::OsString,
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::Path,
    pin::pin,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Signal, getpid, kill_process};

/// The name under which this program is the gateway's command line.
const SEALGATE: &str = "sealgate";

/// Whether this process was started as the gateway's command line.
pub(crate) fn called_sealgate() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| name == SEALGATE)
}

/// Asks this process to end in order once the parent is gone or wants it to leave.
pub(crate) fn leave_with_parent() {
    thread::spawn(|| {
        read_to_end();
        // A process can always signal itself.
        let _ = kill_process(getpid(), Signal::TERM);
    });
}

/// Resolves when the parent is gone or wants this process to leave.
pub(crate) async fn orphaned() {
    let (gone, wait) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        read_to_end();
        // Nobody waits any more when the process is ending anyway.
        let _ = gone.send(());
    });
    let _ = wait.await;
}

fn read_to_end() {
    let mut sink = [0_u8; 64];
    while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
}

/// How often a child that was asked to leave is looked at.
const STEP: Duration = Duration::from_millis(20);
/// How often it is said that it is still waited for.
const WORD: Duration = Duration::from_secs(2);

/// This program, run again.
#[derive(Debug)]
pub(crate) struct Offspring {
    child: Child,
}

impl Offspring {
    /// Starts the gateway's command line; what it prints goes to `log`.
    pub(crate) fn sealgate(args: &[OsString], log: &Path) -> anyhow::Result<Self> {
        Self::spawn(sealgate_command(args)?, log)
    }

    /// Starts this program with `args`.
    pub(crate) fn this(args: &[OsString], log: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program()?);
        command.args(args).process_group(0);
        Self::spawn(command, log)
    }

    fn spawn(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let errors = output.try_clone()?;
        let child = command
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

    /// Asks it to leave by ending its standard input, waits, and says so when that takes long. Kills it when its time is
    /// over, or when `impatient` comes first.
    pub(crate) async fn part(
        &mut self,
        what: &str,
        patience: Duration,
        impatient: impl Future<Output = ()>,
    ) -> Parting {
        drop(self.child.stdin.take());
        let mut impatient = pin!(impatient);
        let mut waited = Duration::ZERO;
        while waited < patience {
            if self.ended().is_some() {
                return Parting::Left;
            }
            tokio::select! {
                biased;
                () = impatient.as_mut() => {
                    let _ = self.kill();
                    return Parting::Killed;
                }
                () = tokio::time::sleep(STEP) => waited += STEP,
            }
            if waited.as_millis().is_multiple_of(WORD.as_millis()) {
                let (waited, most) = (waited.as_secs(), patience.as_secs());
                eprintln!(
                    "waiting for {what}: {waited} s of at most {most}; Ctrl-C again ends it at once"
                );
            }
        }
        // It had its time; a process that is already gone cannot be killed and need not be.
        let _ = self.kill();
        Parting::Killed
    }

    /// The same where nothing can be awaited.
    fn leave(&mut self, patience: Duration) {
        drop(self.child.stdin.take());
        let mut waited = Duration::ZERO;
        while waited < patience {
            if self.ended().is_some() {
                return;
            }
            thread::sleep(STEP);
            waited += STEP;
        }
        let _ = self.kill();
    }
}

/// How a child went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// By itself.
    Left,
    /// It was ended.
    Killed,
}

impl Drop for Offspring {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.leave(Duration::from_secs(5));
        }
    }
}

/// Runs the gateway's command line to its end.
pub(crate) fn run_sealgate(args: &[OsString]) -> anyhow::Result<()> {
    let mut child = sealgate_command(args)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Its standard input must stay open, or it would think that we are gone.
    let held = child.stdin.take();
    let output = child.wait_with_output()?;
    drop(held);
    if !output.status.success() {
        bail!(
            "sealgate {args:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn sealgate_command(args: &[OsString]) -> anyhow::Result<Command> {
    let mut command = Command::new(program()?);
    command
        .arg0(SEALGATE)
        .args(args)
        .env("SEALGATE__SMS__PROVIDER", "memory")
        // The terminal's interrupt is for the parent: it ends its children in order.
        .process_group(0);
    Ok(command)
}

fn program() -> anyhow::Result<std::path::PathBuf> {
    std::env::current_exe().context("this program's own file")
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn child(program: &str, word: &str) -> Offspring {
        let child = Command::new(program)
            .arg(word)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Offspring { child }
    }

    #[tokio::test]
    async fn a_child_that_leaves_when_asked_is_not_killed() {
        let mut cat = child("cat", "-");
        let patience = Duration::from_secs(60);
        let parting = cat.part("a cat", patience, pending()).await;
        assert_eq!(parting, Parting::Left);
        assert!(cat.ended().unwrap().success());
    }

    #[tokio::test]
    async fn a_child_that_hangs_is_ended_by_a_second_interrupt_or_when_its_time_is_over() {
        let mut deaf = child("sleep", "600");
        let patience = Duration::from_secs(60);
        assert_eq!(deaf.part("it", patience, ready(())).await, Parting::Killed);
        let mut deaf = child("sleep", "600");
        let patience = Duration::from_millis(40);
        assert_eq!(deaf.part("it", patience, pending()).await, Parting::Killed);
        assert!(deaf.ended().is_some());
    }
}
