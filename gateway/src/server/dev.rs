//! What a first start makes: the data folder and its secret always; CA, keys and a token only when asked to (`--dev`).

use std::path::Path;

use sealgate_broker_config::{
    DAY, Error,
    ca::{FleetCa, Layout},
    files,
    keys::KeyDir,
};
use zeroize::Zeroizing;

use crate::{
    app::{Actor, App, AppError, access::Scopes, token::NewToken},
    clock::{Clock, SystemClock},
    config::Config,
    server::ServerError,
    signer::keys::sign_key_set,
};

/// Life of development keys.
const KEY_DAYS: u64 = 730;

/// Makes the data folder, for its owner only.
///
/// # Errors
/// The file system fails.
pub fn make_data_dir(config: &Config) -> Result<(), Error> {
    files::private_dir(&config.node.data_dir)?;
    files::private_dir(&config.under_data(Path::new("run")))
}

/// Makes a development CA and signing keys where there are none.
///
/// # Errors
/// The file system fails, or only half of the material is there.
pub fn prepare(config: &Config) -> Result<(), Error> {
    make_data_dir(config)?;
    let now = u64::from(SystemClock::new().now().seconds());
    let tls = &config.front.tls;
    let cert = config.under_data(&tls.cert);
    if !cert.exists() {
        let folder = cert.parent().unwrap_or(Path::new("."));
        let layout = Layout::of(folder);
        let expected = [
            (&tls.ca, layout.ca_cert),
            (&tls.cert, layout.server_cert),
            (&tls.key, layout.server_key),
        ];
        for (configured, made) in expected {
            if config.under_data(configured) != made {
                return Err(Error::Invalid(format!(
                    "a development CA is made as {}, but the settings name {}",
                    made.display(),
                    config.under_data(configured).display()
                )));
            }
        }
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        FleetCa::init(folder, &names, now)?;
        tracing::info!(folder = %folder.display(), "development CA made");
    }
    let keys = KeyDir::new(&config.under_data(&config.signer.keys_dir));
    if !keys.exists() {
        keys.init(now, KEY_DAYS * DAY, &sign_key_set)?;
        tracing::info!(root = %keys.root_key().display(), "signing keys made");
    }
    Ok(())
}

/// Makes an admin token and writes it to `file`, unless the file exists.
///
/// # Errors
/// The database or the file system fails.
pub async fn admin_token(app: &App, file: &Path) -> Result<Option<String>, ServerError> {
    if file.exists() {
        // Whoever else may read it may do everything: refused like any other key.
        files::read_secret(file)?;
        return Ok(None);
    }
    let new = NewToken {
        name: "admin (first start)".to_owned(),
        scopes: Scopes::all(),
        organization: None,
        expires_at: None,
    };
    let made = app.create_token(&Actor::cli(), new).await;
    let (_, secret) = made.map_err(|error: AppError| ServerError::Failed(error.to_string()))?;
    files::create(file, format!("{secret}\n").as_bytes(), files::SECRET)?;
    Ok(Some(secret))
}

/// The secret of this deployment; made on first start.
pub(super) fn secret(config: &Config) -> Result<[u8; 32], Error> {
    let path = config.under_data(&config.node.secret_file);
    if !path.exists() {
        let fresh = Zeroizing::new(rand::random::<[u8; 32]>());
        let text = Zeroizing::new(data_encoding::HEXLOWER.encode(fresh.as_ref()));
        match files::create(&path, text.as_bytes(), files::SECRET) {
            // Another process was faster: its secret is as good.
            Ok(()) | Err(Error::Exists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let text = files::read_secret(&path)?;
    data_encoding::HEXLOWER
        .decode(text.trim_ascii())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(Error::Malformed {
            path,
            expected: "32 bytes in hex",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_makes_everything_and_a_second_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::loopback(&dir.path().join("data"));
        prepare(&config).unwrap();
        let cert = std::fs::read(config.under_data(&config.front.tls.cert)).unwrap();
        let first = secret(&config).unwrap();
        prepare(&config).unwrap();
        assert_eq!(
            std::fs::read(config.under_data(&config.front.tls.cert)).unwrap(),
            cert
        );
        assert_eq!(secret(&config).unwrap(), first);
        assert!(KeyDir::new(&config.under_data(&config.signer.keys_dir)).exists());
    }

    #[test]
    fn a_development_ca_is_not_made_beside_files_the_settings_do_not_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::loopback(dir.path());
        config.front.tls.ca = "elsewhere/ca.pem".into();
        assert!(matches!(prepare(&config), Err(Error::Invalid(_))));
    }
}
