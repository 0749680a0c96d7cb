//! Flash and truth of a seal in one file, so that the simulator's process may be killed at any instant.
//!
//! The file is replaced by renaming before anything the change led to leaves the seal: what others have seen is
//! never newer than what is kept.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::seal::{Flash, Truth};

/// What is kept of a seal.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The device's memory.
    pub flash: Flash,
    /// The world's memory.
    pub truth: Truth,
}

#[derive(Serialize)]
struct Keeping<'a> {
    flash: &'a Flash,
    truth: &'a Truth,
}

/// Keeps one seal's state in one file.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
}

impl Keeper {
    /// Keeps `name` under `dir`.
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Self {
        Self {
            path: dir.join(format!("{name}.json")),
        }
    }

    /// What was kept, if anything.
    ///
    /// # Errors
    /// The file cannot be read or is not what was written.
    pub fn load(&self) -> io::Result<Option<Kept>> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces what is kept.
    ///
    /// # Errors
    /// The file system refused.
    pub fn save(&self, flash: &Flash, truth: &Truth) -> io::Result<()> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(&Keeping { flash, truth })?)?;
        fs::rename(&fresh, &self.path)
    }
}
