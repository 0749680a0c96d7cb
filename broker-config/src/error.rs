//! What can go wrong, with the file concerned.

use std::{io, path::PathBuf};

/// Why material was not made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system operation failed.
    #[error("{}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The file exists; nothing is overwritten.
    #[error("{} exists already and is never overwritten", .0.display())]
    Exists(PathBuf),
    /// The file does not hold what it should.
    #[error("{} is not {expected}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A secret file that others may read.
    #[error("{} may be read by others (mode {mode:o}); run: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A certificate could not be made.
    #[error("certificate")]
    Certificate(#[from] rcgen::Error),
    /// The system's random number generator failed.
    #[error("the system gives no random numbers")]
    Random,
    /// No such device in the folder.
    #[error("no device {0} in this folder")]
    UnknownDevice(String),
    /// A setting or argument makes no sense.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// For `map_err` at a file operation.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
