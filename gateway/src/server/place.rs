//! The data folder while a gateway works in it: locked, and telling others where the gateway listens.
//!
//! The file of an SQLite database is locked too, wherever it is: a second gateway on it would take every session of
//! the first for dead. Commands that only open the database (`migrate`, `token create --local`) need no lock.

use std::{
    fs::{File, OpenOptions, TryLockError},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sealgate_broker_config::files;
use serde_json::json;

use super::{ServerError, dev};
use crate::{
    config::Config,
    store::{self, StoreError},
};

/// Held while the gateway runs. The lock goes with the process, however that ends.
#[derive(Debug)]
pub(super) struct Place {
    addresses: PathBuf,
    _folder: File,
    _database: Option<File>,
}

impl Place {
    /// Makes the folder if it is missing, and locks it and the database file.
    pub(super) fn take(config: &Config) -> Result<Self, ServerError> {
        dev::make_data_dir(config)?;
        let folder = lock(
            &config.under_data("run/lock".as_ref()),
            &config.node.data_dir,
        )?;
        let file = store::file(&config.resolved_store()).map_err(ServerError::Store)?;
        let database = file.map(|file| lock_database(&file)).transpose()?;
        Ok(Self {
            addresses: config.addresses_file(),
            _folder: folder,
            _database: database,
        })
    }

    /// Tells where the gateway listens.
    pub(super) fn announce(
        &self,
        http: SocketAddr,
        front: SocketAddr,
        business: SocketAddr,
    ) -> Result<(), ServerError> {
        let text = json!({
            "http": http.to_string(),
            "front": front.to_string(),
            "business": business.to_string(),
            "pid": std::process::id(),
        });
        files::replace(
            &self.addresses,
            format!("{text:#}\n").as_bytes(),
            files::PUBLIC,
        )?;
        Ok(())
    }

    /// Nobody should connect any more.
    pub(super) fn withdraw(&self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.addresses);
    }
}

/// Locks `<file>.lock`; by whatever links the file was named, the lock is beside the file itself.
fn lock_database(file: &Path) -> Result<File, ServerError> {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let mut name = real.clone().into_os_string();
    name.push(".lock");
    lock(Path::new(&name), &real).map_err(|error| match error {
        ServerError::Failed(text) => ServerError::Store(StoreError::Setup(text)),
        other => other,
    })
}

/// Takes the lock, or says that `what` is taken.
fn lock(path: &Path, what: &Path) -> Result<File, ServerError> {
    let failed = |error| ServerError::Failed(format!("{}: {error}", path.display()));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(files::SECRET)
        .open(path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServerError::Taken(what.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_gateways_can_not_work_in_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::loopback(dir.path());
        let first = Place::take(&config).unwrap();
        assert!(matches!(Place::take(&config), Err(ServerError::Taken(_))));
        drop(first);
        assert!(Place::take(&config).is_ok());
    }

    #[test]
    fn two_gateways_can_not_work_on_one_database_file_from_different_folders() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shared.db");
        let at = |name: &str| {
            let mut config = Config::loopback(&dir.path().join(name));
            config.store.url = format!("sqlite://{}", file.display());
            config
        };
        let first = Place::take(&at("one")).unwrap();
        let told = Place::take(&at("two")).unwrap_err().to_string();
        assert!(told.contains("another gateway works"), "{told}");
        assert!(told.contains("shared.db"), "{told}");
        drop(first);
        assert!(Place::take(&at("two")).is_ok());
    }

    #[test]
    fn the_addresses_can_be_read_while_the_gateway_runs() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::loopback(dir.path());
        let place = Place::take(&config).unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        place.announce(at(1), at(2), at(3)).unwrap();
        let text = std::fs::read(config.addresses_file()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["http"], "127.0.0.1:1");
        assert_eq!(value["business"], "127.0.0.1:3");
        place.withdraw();
        assert!(!config.addresses_file().exists());
    }
}
