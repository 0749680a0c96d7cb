//! The data folder while a gateway works in it: locked, and telling others where the gateway listens.

use std::{
    fs::{File, OpenOptions, TryLockError},
    net::SocketAddr,
    path::PathBuf,
};

use sealgate_broker_config::files;
use serde_json::json;

use super::{ServerError, dev};
use crate::config::Config;

/// Held while the gateway runs. The lock goes with the process, however that ends.
#[derive(Debug)]
pub(super) struct Place {
    addresses: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes the folder if it is missing and locks it.
    pub(super) fn take(config: &Config) -> Result<Self, ServerError> {
        dev::make_data_dir(config)?;
        let path = config.under_data("run/lock".as_ref());
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| ServerError::Failed(format!("{}: {error}", path.display())))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                addresses: config.addresses_file(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(ServerError::Taken(config.node.data_dir.clone())),
            Err(TryLockError::Error(error)) => {
                Err(ServerError::Failed(format!("{}: {error}", path.display())))
            }
        }
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
