//! Files that appear whole or not at all.
//!
//! A new file is written under a temporary name (`O_EXCL`, mode set at creation), synced, and then linked to its
//! name, which fails if the name is taken. Replacing is a rename.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::Error;

/// Mode of files with keys.
pub const SECRET: u32 = 0o600;
/// Mode of files for everybody.
pub const PUBLIC: u32 = 0o644;

/// Creates `path` with `content`; refuses if it exists.
///
/// # Errors
/// The name is taken, or the file system fails.
pub fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = write_beside(path, content, mode)?;
    let linked = fs::hard_link(&temporary, path);
    let removed = fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists(path.to_owned()));
        }
        other => other.map_err(Error::io(path))?,
    }
    removed.map_err(Error::io(&temporary))?;
    sync_parent(path)
}

/// Creates `path` or puts `content` in its place.
///
/// # Errors
/// The file system fails.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = write_beside(path, content, mode)?;
    fs::rename(&temporary, path).map_err(Error::io(path))?;
    sync_parent(path)
}

/// Creates a folder (and its parents) that only the owner may enter.
///
/// # Errors
/// The file system fails.
pub fn private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io(path))
}

/// Writes a new file in a folder nobody else knows yet (see `device::issue`): no temporary name needed.
pub(crate) fn create_in_fresh_dir(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = open_new(path, mode).map_err(Error::io(path))?;
    file.write_all(content).map_err(Error::io(path))
}

/// Reads a secret file, refusing one that others may read.
///
/// # Errors
/// The file is missing, exposed, or larger than a key can be.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    const LARGEST: u64 = 16 * 1024;
    let file = File::open(path).map_err(Error::io(path))?;
    let about = file.metadata().map_err(Error::io(path))?;
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    if about.len() > LARGEST {
        return Err(Error::Malformed {
            path: path.to_owned(),
            expected: "a key file",
        });
    }
    let mut content = Zeroizing::new(Vec::with_capacity(about.len() as usize + 1));
    file.take(LARGEST)
        .read_to_end(&mut content)
        .map_err(Error::io(path))?;
    Ok(content)
}

/// Reads a public file.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::io(path))
}

/// Reads a public text file.
///
/// # Errors
/// The file cannot be read or is not text.
pub fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::io(path))
}

fn open_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

fn write_beside(path: &Path, content: &[u8], mode: u32) -> Result<PathBuf, Error> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::Invalid(format!("{} names no file", path.display())))?;
    let mut random = [0; 8];
    crate::keys::fill_random(&mut random)?;
    let suffix = data_encoding::HEXLOWER.encode(&random);
    let temporary = path.with_file_name(format!(".{}.{suffix}", name.to_string_lossy()));
    let written = open_new(&temporary, mode).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    if let Err(source) = written {
        // The error that matters is the write's.
        let _ = fs::remove_file(&temporary);
        return Err(Error::Io {
            path: path.to_owned(),
            source,
        });
    }
    Ok(temporary)
}

fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_created_for_its_owner_only_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        create(&path, b"one", SECRET).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(matches!(
            create(&path, b"two", SECRET),
            Err(Error::Exists(_))
        ));
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"one");
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        create(&path, b"one", PUBLIC).unwrap();
        let error = read_secret(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn replacing_leaves_the_new_content_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        create(&path, b"one", PUBLIC).unwrap();
        replace(&path, b"two", SECRET).unwrap();
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"two");
    }
}
