//! A raw pseudo-terminal pair, opened without unsafe code.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::PathBuf,
};

use rustix::{
    fs::{Mode, OFlags, fcntl_setfl, open},
    io::Errno,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, ioctl_tiocnxcl, tcgetattr, tcsetattr},
};
use tokio::io::unix::AsyncFd;

/// Both ends of a terminal in raw mode. Dropping it hangs up.
#[derive(Debug)]
pub struct Pty {
    ours: AsyncFd<OwnedFd>,
    theirs: OwnedFd,
    path: PathBuf,
}

impl Pty {
    /// Opens a new pair.
    ///
    /// # Errors
    /// The system has no pseudo-terminal to give.
    #[expect(
        deprecated,
        reason = "sound for an OwnedFd, and the replacement is an unsafe function"
    )]
    pub fn open() -> io::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = open(&path, flags, Mode::empty())?;
        let mut settings = tcgetattr(&theirs)?;
        settings.make_raw();
        tcsetattr(&theirs, OptionalActions::Now, &settings)?;
        fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
        Ok(Self {
            ours: AsyncFd::new(ours)?,
            theirs,
            path,
        })
    }

    /// The terminal's path.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Lifts a lock that a program may have left behind.
    pub fn unlock(&self) {
        // A terminal that has just been unplugged has no lock to lift.
        let _ = ioctl_tiocnxcl(self.theirs.as_fd());
    }

    /// Bytes the other side wrote.
    ///
    /// # Errors
    /// The terminal is gone.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.ours.readable().await?;
            match rustix::io::read(self.ours.get_ref(), &mut *buffer) {
                Ok(length) => return Ok(length),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes all bytes to the other side, waiting while its buffer is full.
    ///
    /// # Errors
    /// The terminal is gone.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.ours.writable().await?;
            match rustix::io::write(self.ours.get_ref(), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
