//! Settings as text: for `sealgate config print` and for the shipped example.

use super::Config;
use crate::telemetry::mask_url;

impl Config {
    /// The settings as TOML with secrets hidden.
    ///
    /// # Panics
    /// Never: the settings are plain data.
    #[must_use]
    pub fn to_toml_redacted(&self) -> String {
        toml::to_string(&self.redacted()).expect("settings are plain data")
    }

    /// The settings as JSON with secrets hidden.
    ///
    /// # Panics
    /// Never: the settings are plain data.
    #[must_use]
    pub fn to_json_redacted(&self) -> serde_json::Value {
        serde_json::to_value(self.redacted()).expect("settings are plain data")
    }

    fn redacted(&self) -> Self {
        let mut shown = self.clone();
        shown.store.url = mask_url(&shown.store.url);
        shown
    }

    /// The shipped example: every key with its default, commented out.
    #[must_use]
    pub fn example() -> String {
        let mut out = String::from(
            "# Settings of a Sealgate gateway. Every line shows a default; remove the '#' to change it.\n\
             # Relative paths are relative to node.data_dir, which itself is relative to where the process starts.\n\
             # The same keys can be given as environment variables: SEALGATE__FRONT__LISTEN=0.0.0.0:8883\n\
             # `sealgate config check` reads the result and tells everything that is wrong with it and the files it names.\n",
        );
        for line in Self::default().to_toml_redacted().lines() {
            if line.is_empty() || line.starts_with('[') {
                out.push_str(line);
            } else {
                out.push('#');
                out.push_str(line);
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn what_is_printed_can_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        std::fs::write(&file, Config::default().to_toml_redacted()).unwrap();
        let sources = Sources {
            file: Some(file),
            ..Sources::default()
        };
        assert_eq!(sources.load().unwrap(), Config::default());
    }

    #[test]
    fn a_database_password_is_not_printed() {
        let mut config = Config::default();
        config.store.url = "postgres://seal:hunter2@db/x".to_owned();
        assert!(!config.to_toml_redacted().contains("hunter2"));
    }

    #[test]
    fn the_shipped_example_shows_every_default() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/sealgate.toml");
        crate::config::snapshot(path, &Config::example());
    }
}
