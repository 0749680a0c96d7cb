//! Standard output, in the form asked for. A reader that went away is not an error.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::{
    Exit, Failure,
    args::Output,
    table::{Column, record, table},
};

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    form: Output,
}

impl Out {
    pub(super) const fn new(form: Output) -> Self {
        Self { form }
    }

    pub(super) fn is_json(self) -> bool {
        self.form == Output::Json
    }

    /// Lines as they are.
    pub(super) fn text(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other
                .map_err(|error| Failure::new(Exit::Failed, format!("standard output: {error}"))),
        }
    }

    /// One thing.
    pub(super) fn one(self, value: &Value) -> Result<(), Failure> {
        match self.form {
            Output::Json => self.text(&format!("{value:#}\n")),
            Output::Table => self.text(&record(value)),
        }
    }

    /// A list.
    pub(super) fn list(self, columns: &[Column], items: &[Value]) -> Result<(), Failure> {
        match self.form {
            Output::Json => {
                let all = Value::Array(items.to_vec());
                self.text(&format!("{all:#}\n"))
            }
            Output::Table => self.text(&table(columns, items)),
        }
    }

    /// Something done: a sentence for people, the facts for programs.
    pub(super) fn done(self, sentence: &str, facts: &Value) -> Result<(), Failure> {
        match self.form {
            Output::Json => self.text(&format!("{facts:#}\n")),
            Output::Table => self.text(&format!("{sentence}\n")),
        }
    }
}

/// A bar on standard error, hidden when that is no terminal. Without a length it counts up.
pub(super) fn progress(length: Option<u64>, what: &'static str) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(length, target);
    let template = if length.is_some() {
        "{msg} {wide_bar} {pos}/{len} ({per_sec}, {eta} left)"
    } else {
        "{spinner} {msg} {pos} ({per_sec})"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// Asks before something is destroyed; without a terminal the answer is no.
pub(super) fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let refused = |why: &str| {
        Failure::new(Exit::Usage, format!("{question} {why}")).hint("repeat the command with --yes")
    };
    if !io::stdin().is_terminal() {
        return Err(refused("Not confirmed: there is no terminal to ask at."));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(refused("Not confirmed."))
    }
}
