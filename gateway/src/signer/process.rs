//! The signer process: keys on one side, a socket on the other.
//!
//! The socket lies in a folder only its owner may enter (0700), has mode 0600, and every peer must have the signer's
//! own user id. A peer that breaks the protocol, stops in the middle of a frame or does not take its answers loses its
//! connection, nothing more.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sealgate_broker_config::Error;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream, unix::OwnedReadHalf},
    sync::Semaphore,
    time::{interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    SignerError,
    core::Core,
    in_process::sign,
    wire::{FrameReader, Reply, Request, VERSION, WireError},
};
use crate::{clock::SharedClock, tasks};

/// Connections at once.
const MAX_CONNECTIONS: usize = 32;
/// Longest wait for the rest of a frame, or for a peer to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often sums are written to the audit file.
const FLUSH: Duration = Duration::from_secs(10);

/// Why the signer did not start.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The keys can not be read.
    #[error("the signing keys can not be read")]
    Keys(#[from] Error),
    /// Another signer listens there.
    #[error("another signer listens at {}", .0.display())]
    Taken(PathBuf),
    /// The socket can not be made.
    #[error("the socket {} can not be made", .path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A signer that listens.
#[derive(Debug)]
pub struct Process {
    core: Arc<Core>,
    listener: UnixListener,
    socket: PathBuf,
    owner: u32,
}

impl Process {
    /// Reads the keys and listens at `socket`.
    ///
    /// # Errors
    /// See [`ProcessError`].
    pub async fn start(
        keys_dir: &Path,
        socket: &Path,
        audit: &Path,
        clock: SharedClock,
    ) -> Result<Self, ProcessError> {
        let core = Arc::new(Core::open(keys_dir, Some(audit), clock)?);
        let failed = |source| ProcessError::Socket {
            path: socket.to_owned(),
            source,
        };
        make_folder(socket).map_err(failed)?;
        if UnixStream::connect(socket).await.is_ok() {
            return Err(ProcessError::Taken(socket.to_owned()));
        }
        remove_stale(socket).map_err(failed)?;
        let listener = UnixListener::bind(socket).map_err(failed)?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let owner = fs::metadata(socket).map_err(failed)?.uid();
        Ok(Self {
            core,
            listener,
            socket: socket.to_owned(),
            owner,
        })
    }

    /// Reads the keys again; see `key rotate`.
    ///
    /// # Errors
    /// The keys on disk do not fit together; the old ones stay in use.
    pub fn reload(&self) -> Result<(), Error> {
        self.core.reload()
    }

    /// Serves until `stop`; then takes no new connection and ends the open ones between two requests.
    pub async fn run(&self, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut flush = interval(FLUSH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = flush.tick() => self.core.flush(),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream, &places, &stop),
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        let every = u32::try_from(MAX_CONNECTIONS).expect("a small number");
        // Connections end on their own; one that does not must not hold up the process.
        let _ = timeout(PATIENCE, places.acquire_many(every)).await;
        self.core.flush();
        let _ = fs::remove_file(&self.socket);
    }

    fn admit(&self, stream: UnixStream, places: &Arc<Semaphore>, stop: &CancellationToken) {
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == self.owner => {}
            Ok(peer) => return tracing::warn!(uid = peer.uid(), "refused a peer of another user"),
            Err(error) => {
                return tracing::warn!(%error, "refused a peer that can not be identified");
            }
        }
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            return tracing::warn!("refused a peer: too many connections");
        };
        let core = Arc::clone(&self.core);
        let stop = stop.clone();
        tasks::spawn("signer-connection", async move {
            if let Err(error) = serve(&core, stream, &stop).await {
                tracing::warn!(%error, "connection ended");
            }
            drop(place);
        });
    }
}

/// The parents as usual, the socket's own folder for its owner only. An existing folder others may enter is refused.
fn make_folder(socket: &Path) -> io::Result<()> {
    let folder = socket
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .ok_or_else(|| io::Error::other("the socket needs a folder of its own"))?;
    if !folder.exists() {
        sealgate_broker_config::files::private_dir(folder).map_err(io::Error::other)?;
    }
    let mode = fs::metadata(folder)?.mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "others may enter {} (mode {mode:o}); run: chmod 700 {}",
            folder.display(),
            folder.display()
        )))
    }
}

/// A socket nobody listens at is left over from a signer that was killed. Anything else stays.
fn remove_stale(socket: &Path) -> io::Result<()> {
    match fs::symlink_metadata(socket) {
        Ok(about) if about.file_type().is_socket() => fs::remove_file(socket),
        Ok(_) => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn serve(
    core: &Arc<Core>,
    stream: UnixStream,
    stop: &CancellationToken,
) -> Result<(), ServeError> {
    let (read, mut write) = stream.into_split();
    let mut reader = FrameReader::new(read);
    let mut greeted = false;
    while let Some(frame) = next(&mut reader, stop).await? {
        let reply = match Request::parse(&frame)? {
            Request::Greeting(VERSION) if !greeted => {
                greeted = true;
                Reply::Greeting(VERSION)
            }
            Request::Greeting(other) if !greeted => {
                // The peer learns which version would do.
                write.write_all(&Reply::Greeting(VERSION).frame()).await?;
                return Err(WireError::Version(other).into());
            }
            Request::Sign(id, requests) if greeted => {
                Reply::Signed(id, sign(core, requests).await?)
            }
            Request::KeySet(id) if greeted => Reply::KeySet(id, core.keyring().document().to_vec()),
            _ => return Err(WireError::Malformed.into()),
        };
        timeout(PATIENCE, write.write_all(&reply.frame()))
            .await
            .map_err(|_| ServeError::Slow)??;
    }
    Ok(())
}

/// The next frame. Waiting between frames has no limit, inside one it has.
async fn next(
    reader: &mut FrameReader<OwnedReadHalf>,
    stop: &CancellationToken,
) -> Result<Option<Vec<u8>>, ServeError> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            frame = reader.next() => return Ok(frame?),
            () = tokio::time::sleep(PATIENCE) => if reader.is_partial() {
                return Err(ServeError::Slow);
            },
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the peer is too slow")]
    Slow,
    #[error(transparent)]
    Signer(#[from] SignerError),
}

#[cfg(test)]
mod tests;
