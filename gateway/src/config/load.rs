//! Reading the sources into one [`Config`].

use std::{collections::HashMap, path::PathBuf};

use serde_json::Value;

use super::{Config, Problem, check::range_of};

/// Where settings come from; later ones win.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file, if any.
    pub file: Option<PathBuf>,
    /// The process's environment, or what a test puts in its place. Only `SEALGATE__…` names are looked at.
    pub env: HashMap<String, String>,
    /// Command-line flags as (`section.key`, value).
    pub flags: Vec<(&'static str, String)>,
    /// What counts instead of the usual default, as (`section.key`, value): anything else wins over it.
    pub fallbacks: Vec<(&'static str, &'static str)>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or is not TOML.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(String),
    /// Keys that do not exist.
    #[error("{}", list(.0))]
    Unknown(Vec<UnknownKey>),
    /// A value of the wrong type.
    #[error("{key}: {message}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// Values that do not make sense.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
}

/// A key that does not exist, and the nearest that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// What was written.
    pub key: String,
    /// What may have been meant.
    pub nearest: Option<String>,
}

impl std::fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown key {:?}", self.key)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest:?}?"),
            None => Ok(()),
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    let lines: Vec<String> = items.iter().map(T::to_string).collect();
    lines.join("\n")
}

impl Sources {
    /// The process's own environment and this file.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            env: std::env::vars().collect(),
            flags: Vec::new(),
            fallbacks: Vec::new(),
        }
    }

    /// Has `value` instead of the usual default of `key`.
    #[must_use]
    pub fn fallback(mut self, key: &'static str, value: &'static str) -> Self {
        self.fallbacks.push((key, value));
        self
    }

    /// Adds a flag when it was given.
    #[must_use]
    pub fn flag(mut self, key: &'static str, value: Option<impl Into<String>>) -> Self {
        if let Some(value) = value {
            self.flags.push((key, value.into()));
        }
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// See [`ConfigError`]; every unknown key and every problem is told at once.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let merged = self
            .merge()
            .map_err(|error| ConfigError::Unreadable(error.to_string()))?;
        let tree: Value = merged
            .clone()
            .try_deserialize()
            .map_err(|error| ConfigError::Unreadable(error.to_string()))?;
        let unknown = unknown_keys(&tree);
        if !unknown.is_empty() {
            return Err(ConfigError::Unknown(unknown));
        }
        let config: Config = serde_path_to_error::deserialize(merged).map_err(|error| {
            let key = error.path().to_string();
            let message = match range_of(&key) {
                Some((low, high)) => {
                    format!("{}; it must be {low} to {high}", error.inner())
                }
                None => error.inner().to_string(),
            };
            ConfigError::Invalid { key, message }
        })?;
        let problems = config.problems();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Problems(problems))
        }
    }

    fn merge(&self) -> Result<config::Config, config::ConfigError> {
        let mut builder = config::Config::builder();
        for (key, value) in &self.fallbacks {
            builder = builder.set_default(*key, *value)?;
        }
        if let Some(file) = &self.file {
            builder = builder.add_source(
                config::File::from(file.as_path())
                    .format(config::FileFormat::Toml)
                    .required(true),
            );
        }
        let env: HashMap<String, String> = self
            .env
            .iter()
            .filter(|(name, _)| name.starts_with("SEALGATE__"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        builder = builder.add_source(
            config::Environment::with_prefix("SEALGATE")
                .prefix_separator("__")
                .separator("__")
                .try_parsing(true)
                .source(Some(env)),
        );
        for (key, value) in &self.flags {
            builder = builder.set_override(*key, value.as_str())?;
        }
        builder.build()
    }
}

/// Keys in `tree` that the default settings do not have.
fn unknown_keys(tree: &Value) -> Vec<UnknownKey> {
    let known = serde_json::to_value(Config::default()).expect("settings are plain data");
    let mut names = Vec::new();
    all_keys(&known, "", &mut names);
    let mut unknown = Vec::new();
    compare(tree, &known, "", &names, &mut unknown);
    unknown.sort_by(|a, b| a.key.cmp(&b.key));
    unknown
}

fn all_keys(value: &Value, path: &str, names: &mut Vec<String>) {
    for (key, child) in value.as_object().into_iter().flatten() {
        let path = join(path, key);
        names.push(path.clone());
        all_keys(child, &path, names);
    }
}

fn compare(
    given: &Value,
    known: &Value,
    path: &str,
    names: &[String],
    unknown: &mut Vec<UnknownKey>,
) {
    for (key, child) in given.as_object().into_iter().flatten() {
        let path = join(path, key);
        match known.get(key) {
            Some(known) if known.is_object() => compare(child, known, &path, names, unknown),
            Some(_) => {}
            None => unknown.push(UnknownKey {
                nearest: nearest(&path, names),
                key: path,
            }),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The known key with the fewest edits, if it is near enough to have been meant.
fn nearest(key: &str, names: &[String]) -> Option<String> {
    let limit = (key.len() / 3).max(2);
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    names
        .iter()
        .map(|name| {
            let whole = edits(key, name);
            // The right key in the wrong section is a common mistake too.
            let moved = if last(key) == last(name) {
                1
            } else {
                usize::MAX
            };
            (whole.min(moved), name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name.clone())
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = file(text);
        Sources {
            file: Some(file.path().to_owned()),
            env: env
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Sources::default()
        }
        .load()
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(load("", &[]).unwrap(), Config::default());
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file =
            file("[node]\nid = \"file\"\n[lease]\nttl_s = 100\n[http]\nlisten = \"127.0.0.1:1\"\n");
        let sources = Sources {
            file: Some(file.path().to_owned()),
            env: [
                ("SEALGATE__LEASE__TTL_S", "200"),
                ("SEALGATE__HTTP__LISTEN", "127.0.0.1:2"),
                ("SEALGATE__FRONT__TLS__CA", "/x/ca.pem"),
                ("SEALGATE_TOKEN", "not a setting"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
            flags: vec![("http.listen", "127.0.0.1:3".to_owned())],
            fallbacks: vec![("node.id", "fallback"), ("log.level", "warn")],
        };
        let config = sources.load().unwrap();
        assert_eq!(config.node.id, "file");
        assert_eq!(config.log.level, "warn");
        assert_eq!(config.lease.ttl_s, 200);
        assert_eq!(config.http.listen, "127.0.0.1:3");
        assert_eq!(config.front.tls.ca, PathBuf::from("/x/ca.pem"));
    }

    #[test]
    fn a_number_in_the_environment_may_be_a_name() {
        let config = load("", &[("SEALGATE__NODE__ID", "7")]).unwrap();
        assert_eq!(config.node.id, "7");
    }

    #[test]
    fn unknown_keys_are_named_with_the_nearest_valid_one() {
        let error = load(
            "[http]\nlisen = \"x\"\nmax_sessions = 4\n[frnt]\nlisten = \"y\"\n",
            &[],
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown key \"frnt\"; did you mean \"front\"?\n\
             unknown key \"http.lisen\"; did you mean \"http.listen\"?\n\
             unknown key \"http.max_sessions\"; did you mean \"front.max_sessions\"?"
        );
        let error = load("", &[("SEALGATE__LEASE__TTL", "5")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown key \"lease.ttl\"; did you mean \"lease.ttl_s\"?"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_names_its_key() {
        let error = load("[front]\nmax_sessions = \"many\"\n", &[]).unwrap_err();
        assert!(
            error.to_string().starts_with("front.max_sessions: "),
            "{error}"
        );
        let error = load("[front]\nreceive_maximum = 70000\n", &[]).unwrap_err();
        assert!(
            error.to_string().ends_with("it must be 1 to 1024"),
            "{error}"
        );
        let error = load("[log]\nformat = \"xml\"\n", &[]).unwrap_err();
        assert!(error.to_string().contains("log.format"), "{error}");
    }

    #[test]
    fn broken_toml_and_a_missing_file_are_told() {
        assert!(matches!(
            load("[front", &[]),
            Err(ConfigError::Unreadable(_))
        ));
        let sources = Sources {
            file: Some("/nowhere/sealgate.toml".into()),
            ..Sources::default()
        };
        let error = sources.load().unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/sealgate.toml"),
            "{error}"
        );
    }
}
