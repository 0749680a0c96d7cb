//! The commands of `sealgate-sim` that hold a medium up until they are told to end.

pub(crate) mod bluez;
pub(crate) mod proxy;
pub(crate) mod serial;

use std::{future::pending, io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

/// Waits for the time given, for ctrl-c or for a request to terminate, whatever comes first.
pub(crate) async fn end(after: Option<Duration>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let time = async {
        match after {
            Some(after) => sleep(after).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = time => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// One line on standard output, at once.
pub(crate) fn say(line: &str) -> io::Result<()> {
    use io::Write as _;
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}
