//! One line: a peripheral, the terminal it is plugged into, and the hands that spoil it.
//!
//! Two tasks carry while it is plugged in, one each way; unplugging ends both, whatever they wait for. A peripheral that
//! hangs up is silent from then on: a wire does not tell the box.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    noise::{Noise, NoisySource},
    pty::Pty,
};
use crate::{
    peripheral::{Link, Medium, Peripheral},
    tasks,
};

/// How often locks left behind are lifted.
const UNLOCK_EVERY: Duration = Duration::from_millis(200);
/// Injections waiting for their turn.
const INJECTIONS: usize = 16;

/// Nothing is plugged in, or more is waiting to be injected than the line takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the serial line takes no bytes now")]
pub struct LineBusy;

/// A seal on a serial line. Dropping it unplugs the seal and removes the path.
pub struct SerialLine {
    path: PathBuf,
    peripheral: Box<dyn Peripheral>,
    quality: Arc<Mutex<Quality>>,
    plugged: Option<Plugged>,
}

struct Quality {
    up: NoisySource,
    down: NoisySource,
    pace: Duration,
}

struct Plugged {
    injections: mpsc::Sender<Bytes>,
    tasks: [JoinHandle<()>; 2],
}

impl SerialLine {
    /// Plugs `peripheral` in at `path`, which becomes a symbolic link. Must be called within a runtime.
    ///
    /// # Errors
    /// No terminal, or something else already stands at the path.
    pub fn start(path: &Path, peripheral: Box<dyn Peripheral>, seed: u64) -> io::Result<Self> {
        let quality = Quality {
            up: NoisySource::new(Noise::default(), seed),
            down: NoisySource::new(Noise::default(), !seed),
            pace: Duration::ZERO,
        };
        let mut line = Self {
            path: path.to_owned(),
            peripheral,
            quality: Arc::new(Mutex::new(quality)),
            plugged: None,
        };
        line.plug()?;
        Ok(line)
    }

    /// The path to open.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Plugs the seal in at the same path, on a new terminal. Does nothing when it is plugged in.
    ///
    /// # Errors
    /// No terminal, or something else stands at the path.
    pub fn plug(&mut self) -> io::Result<()> {
        if self.plugged.is_some() {
            return Ok(());
        }
        let pty = Arc::new(Pty::open()?);
        self.point_to(pty.path())?;
        let (link, end) = Link::pair(Medium::Wire);
        let (injections, injected) = mpsc::channel(INJECTIONS);
        let up = carry_up(pty.clone(), end.to_peripheral, self.quality.clone());
        let down = carry_down(pty, end.from_peripheral, injected, self.quality.clone());
        self.plugged = Some(Plugged {
            injections,
            tasks: [
                tasks::spawn("serial-up", up),
                tasks::spawn("serial-down", down),
            ],
        });
        self.peripheral.connected(link);
        Ok(())
    }

    fn point_to(&self, terminal: &Path) -> io::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(meta) if meta.is_symlink() => fs::remove_file(&self.path)?,
            Ok(_) => {
                let text = format!("{} exists and is no symbolic link", self.path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(_) => {}
        }
        std::os::unix::fs::symlink(terminal, &self.path)
    }

    /// Pulls the plug: the path vanishes, and whoever has it open reads the end.
    pub fn unplug(&mut self) {
        if let Some(plugged) = self.plugged.take() {
            // The path goes first, so that nobody opens a terminal that is about to vanish. It may be gone already.
            let _ = fs::remove_file(&self.path);
            for task in plugged.tasks {
                task.abort();
            }
        }
    }

    /// Puts bytes on the line that the seal did not send.
    ///
    /// # Errors
    /// Unplugged, or too much is waiting.
    pub fn inject(&self, bytes: impl Into<Bytes>) -> Result<(), LineBusy> {
        let plugged = self.plugged.as_ref().ok_or(LineBusy)?;
        plugged
            .injections
            .try_send(bytes.into())
            .map_err(|_| LineBusy)
    }

    /// Spoils both directions from here on.
    pub fn set_noise(&self, noise: Noise) {
        let mut quality = self.quality.lock().unwrap_or_else(PoisonError::into_inner);
        quality.up.set(noise);
        quality.down.set(noise);
    }

    /// Sends byte by byte with a pause after each; zero sends as fast as it goes.
    pub fn set_pace(&self, pause: Duration) {
        self.quality
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pace = pause;
    }
}

impl Drop for SerialLine {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// From the box to the seal.
async fn carry_up(pty: Arc<Pty>, seal: mpsc::Sender<Bytes>, quality: Arc<Mutex<Quality>>) {
    let mut unlocking = interval(UNLOCK_EVERY);
    unlocking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = vec![0; 4_096];
    loop {
        tokio::select! {
            read = pty.read(&mut buffer) => {
                let Ok(length) = read else {
                    return;
                };
                let bytes = quality
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .up
                    .spoil(&buffer[..length]);
                if !bytes.is_empty() {
                    // A seal that hung up hears nothing any more.
                    let _ = seal.send(bytes.into()).await;
                }
            }
            _ = unlocking.tick() => pty.unlock(),
        }
    }
}

/// From the seal, and from whoever injects, to the box.
async fn carry_down(
    pty: Arc<Pty>,
    mut seal: mpsc::Receiver<Bytes>,
    mut injected: mpsc::Receiver<Bytes>,
    quality: Arc<Mutex<Quality>>,
) {
    loop {
        let (bytes, pace) = tokio::select! {
            Some(bytes) = seal.recv() => {
                let mut quality = quality.lock().unwrap_or_else(PoisonError::into_inner);
                (quality.down.spoil(&bytes), quality.pace)
            }
            Some(bytes) = injected.recv() => (bytes.to_vec(), Duration::ZERO),
            else => return,
        };
        let size = if pace.is_zero() {
            bytes.len().max(1)
        } else {
            1
        };
        for piece in bytes.chunks(size) {
            if pty.write_all(piece).await.is_err() {
                return;
            }
            if !pace.is_zero() {
                sleep(pace).await;
            }
        }
    }
}
