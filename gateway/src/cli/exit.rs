//! Exit codes, and failures that say what to do next.

use std::{fmt, process::ExitCode};

use serde_json::{Map, Value};

/// How a command ended. The numbers are documented and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Something failed that has no number of its own.
    Failed = 1,
    /// The command line or a value in it makes no sense.
    Usage = 2,
    /// The settings, or a file they name, are wrong.
    Config = 3,
    /// There is no such thing.
    NotFound = 4,
    /// Not permitted, or a rule forbids it.
    Refused = 5,
    /// The gateway (or database, or signer) can not be reached.
    Unreachable = 6,
    /// It exists already, or was changed in the meantime, or its state does not allow it.
    Conflict = 7,
}

impl Exit {
    /// Stable name and English title, as in a problem document.
    const fn problem(self) -> (&'static str, &'static str) {
        match self {
            Self::Failed => ("failed", "It failed"),
            Self::Usage => ("usage", "The command line makes no sense"),
            Self::Config => ("config", "The settings or a file they name are wrong"),
            Self::NotFound => ("not_found", "No such thing"),
            Self::Refused => ("refused", "Not permitted, or a rule forbids it"),
            Self::Unreachable => (
                "unreachable",
                "Gateway, database or signer can not be reached",
            ),
            Self::Conflict => ("conflict", "In conflict with the current state"),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The table shown by `sealgate --help`.
pub(super) const TABLE: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line makes no sense
  3  the settings or a file they name are wrong
  4  no such thing
  5  not permitted, or a rule forbids it
  6  the gateway, database or signer can not be reached
  7  conflict: it exists, was changed meanwhile, or its state does not allow it";

/// Why a command failed, and what may help.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    message: String,
    hint: Option<String>,
    /// The gateway's own document, when it was the gateway that refused.
    problem: Option<Map<String, Value>>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            problem: None,
        }
    }

    /// Keeps the document the gateway refused with.
    pub(super) fn document(mut self, problem: &Value) -> Self {
        self.problem = problem.as_object().cloned();
        self
    }

    /// For programs: a problem document (RFC 9457) with the exit code, the whole message and what may help.
    pub(super) fn to_json(&self) -> Value {
        let (code, title) = self.exit.problem();
        let own = || {
            let mut own = Map::new();
            own.insert("type".to_owned(), format!("urn:sealgate:cli:{code}").into());
            own.insert("title".to_owned(), title.into());
            own.insert("detail".to_owned(), self.message.as_str().into());
            own.insert("code".to_owned(), code.into());
            own
        };
        let mut told = self.problem.clone().unwrap_or_else(own);
        told.insert("message".to_owned(), self.message.as_str().into());
        told.insert("hint".to_owned(), self.hint.as_deref().into());
        told.insert("exit".to_owned(), (self.exit as u8).into());
        Value::Object(told)
    }

    /// Adds what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names what it is about.
    pub(super) fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// An error with all its causes in one line.
    pub(super) fn of(exit: Exit, error: &dyn std::error::Error) -> Self {
        Self::new(exit, chain(error))
    }
}

/// An error and its causes; a cause that only repeats what was said is left out.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<sealgate_broker_config::Error> for Failure {
    fn from(error: sealgate_broker_config::Error) -> Self {
        use sealgate_broker_config::Error;
        let exit = match &error {
            Error::Exists(_) => Exit::Conflict,
            Error::UnknownDevice(_) => Exit::NotFound,
            Error::Invalid(_) => Exit::Usage,
            Error::Malformed { .. } | Error::Exposed { .. } => Exit::Config,
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Exit::Config
            }
            _ => Exit::Failed,
        };
        let failure = Self::of(exit, &error);
        match error {
            Error::Exists(_) => {
                failure.hint("choose another folder, or move the old files away first")
            }
            _ => failure,
        }
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::of(Exit::Config, &error)
            .hint("`sealgate config print --example` shows every key with its default")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_causes_and_what_to_do() {
        let error = sealgate_broker_config::Error::Io {
            path: "/x/ca.key".into(),
            source: std::io::Error::from(std::io::ErrorKind::PermissionDenied),
        };
        let failure = Failure::from(error).hint("run it as the owner");
        assert_eq!(failure.exit, Exit::Failed);
        assert_eq!(
            failure.to_string(),
            "error: /x/ca.key: permission denied\n  hint: run it as the owner"
        );
    }

    #[test]
    fn a_failure_for_programs_is_a_problem_with_its_exit_code() {
        let told = Failure::new(Exit::Config, "no such file")
            .hint("make it")
            .to_json();
        assert_eq!(told["type"], "urn:sealgate:cli:config");
        assert_eq!(
            (told["exit"].as_u64(), &told["code"]),
            (Some(3), &"config".into())
        );
        assert_eq!(
            (&told["detail"], &told["hint"]),
            (&"no such file".into(), &"make it".into())
        );
        let problem = serde_json::json!({"type": "urn:sealgate:problem:code_wrong", "status": 422, "code": "code_wrong"});
        let told = Failure::new(Exit::Refused, "wrong")
            .document(&problem)
            .to_json();
        assert_eq!(
            (&told["code"], told["exit"].as_u64()),
            (&"code_wrong".into(), Some(5))
        );
        assert_eq!(told["status"], 422);
        assert_eq!(told["hint"], Value::Null);
    }
}
