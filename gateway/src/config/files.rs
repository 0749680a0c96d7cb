//! The files the settings name: are they there, and are the secret ones closed to others?
//!
//! Only for `config check`: a start makes some of them, and reads the others itself.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::{Config, Problem};

impl Config {
    /// Named files that are missing, and secret ones that others may read, all at once.
    #[must_use]
    pub fn file_problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut look = |key, path: &Path, kind| {
            if let Some(message) = complaint(path, kind) {
                found.push(Problem { key, message });
            }
        };
        let tls = &self.front.tls;
        look("front.tls.ca", &self.under_data(&tls.ca), Kind::File);
        look("front.tls.cert", &self.under_data(&tls.cert), Kind::File);
        look("front.tls.key", &self.under_data(&tls.key), Kind::Secret);
        let store = self.resolved_store().tls;
        for (key, path, kind) in [
            ("store.tls.ca", &store.ca, Kind::File),
            ("store.tls.cert", &store.cert, Kind::File),
            ("store.tls.key", &store.key, Kind::Secret),
        ] {
            if !path.as_os_str().is_empty() {
                look(key, path, kind);
            }
        }
        // The first start makes it.
        let secret = self.under_data(&self.node.secret_file);
        if secret.exists() {
            look("node.secret_file", &secret, Kind::Secret);
        }
        if !self.signer.in_process {
            let socket = self.under_data(&self.signer.socket);
            let folder = socket.parent().unwrap_or(Path::new("."));
            look("signer.socket", folder, Kind::Closed);
        }
        // Beside a signer of its own the gateway needs no keys, and they may be elsewhere.
        let keys = self.under_data(&self.signer.keys_dir);
        if self.signer.in_process || keys.exists() {
            look("signer.keys_dir", &keys.join("keys.json"), Kind::File);
            let mut secrets: Vec<_> = fs::read_dir(&keys)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|end| end == "key"))
                .collect();
            secrets.sort();
            for path in secrets {
                look("signer.keys_dir", &path, Kind::Secret);
            }
        }
        found
    }
}

/// What is expected at a path.
#[derive(Clone, Copy)]
enum Kind {
    /// A file.
    File,
    /// A file only its owner may read.
    Secret,
    /// A folder only its owner may enter.
    Closed,
}

fn complaint(path: &Path, kind: Kind) -> Option<String> {
    let shown = path.display();
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Some(match kind {
                Kind::Closed => {
                    format!("{shown} does not exist; the signer makes it when it starts")
                }
                Kind::File | Kind::Secret => format!("{shown} does not exist"),
            });
        }
        Err(error) => return Some(format!("{shown}: {error}")),
    };
    let folder = matches!(kind, Kind::Closed);
    if about.is_dir() != folder {
        let expected = if folder { "a folder" } else { "a file" };
        return Some(format!("{shown} is not {expected}"));
    }
    let mode = about.mode() & 0o777;
    if !matches!(kind, Kind::File) && mode & 0o077 != 0 {
        let right = if folder { "700" } else { "600" };
        return Some(format!(
            "others may use {shown} (mode {mode:o}); run: chmod {right} {shown}"
        ));
    }
    // A folder may be closed to this process and open to the signer.
    match kind {
        Kind::Closed => None,
        Kind::File | Kind::Secret => fs::File::open(path)
            .err()
            .map(|error| format!("{shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn put(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn keys(config: &Config) -> Vec<&'static str> {
        config.file_problems().iter().map(|one| one.key).collect()
    }

    #[test]
    fn missing_files_and_open_keys_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::loopback(dir.path());
        assert_eq!(
            keys(&config),
            [
                "front.tls.ca",
                "front.tls.cert",
                "front.tls.key",
                "signer.socket"
            ]
        );
        put(&dir.path().join("pki/ca.pem"), 0o644);
        put(&dir.path().join("pki/server.pem"), 0o644);
        put(&dir.path().join("pki/server.key"), 0o644);
        put(&dir.path().join("keys/kid-1.key"), 0o640);
        let folder = dir.path().join("run/signer");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(
            keys(&config),
            ["front.tls.key", "signer.keys_dir", "signer.keys_dir"]
        );
        put(&dir.path().join("pki/server.key"), 0o600);
        put(&dir.path().join("keys/kid-1.key"), 0o600);
        put(&dir.path().join("keys/keys.json"), 0o644);
        assert_eq!(keys(&config), [""; 0]);
    }

    #[test]
    fn only_a_database_in_a_file_has_a_file() {
        let mut config = Config::default();
        config.store.url = "sqlite:///x/a.db?mode=rwc".to_owned();
        assert_eq!(config.database_file(), Some("/x/a.db".into()));
        config.store.url = "postgres://db/x".to_owned();
        assert_eq!(config.database_file(), None);
    }
}
