//! The command line, the only room that prints.
//!
//! Local commands (`serve`, `signer`, `key`, `ca`, `config`, `migrate`, issuing devices) work on files; everything
//! about organizations, seals, grants and records goes through the HTTP interface of a running gateway, with the same
//! checks as anybody else. Answers go to standard output, everything else to standard error, so that `--output json`
//! can be piped. Exit codes are listed in `cli/exit.rs`.

mod api;
mod args;
mod business;
mod exit;
mod local;
mod material;
mod out;
mod serve;
mod table;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use args::Cli;
use args::{Command, ConfigCommand, DeviceCommand, Output, TokenCommand};
pub use exit::{Exit, Failure};
use out::Out;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            // A closed pipe is the reader's choice.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) if wants_json(std::env::args()) => {
            return told(&unread(&error), true);
        }
        Err(error) => {
            let _ = error.print();
            return Exit::Usage.into();
        }
    };
    let json = cli.global.output == Output::Json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => told(&failure, json),
    }
}

/// Says why it failed: a sentence for people, one line of JSON for programs.
fn told(failure: &Failure, json: bool) -> ExitCode {
    if json {
        eprintln!("{}", failure.to_json());
    } else {
        eprintln!("{failure}");
    }
    failure.exit.into()
}

/// Whether a command line that can't be read asks for JSON.
fn wants_json(words: impl Iterator<Item = String>) -> bool {
    let mut before = String::new();
    for word in words {
        if word == "--output=json" || (word == "json" && before == "--output") {
            return true;
        }
        before = word;
    }
    false
}

/// A command line that can't be read, without colours and without the usage behind it.
fn unread(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let said: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let said = said.join(" ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    Failure::new(Exit::Usage, said).hint("`sealgate --help` shows every command and flag")
}

fn run(cli: Cli) -> Result<(), Failure> {
    // For the HTTP client only; the listeners name their provider. A second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(Exit::Failed, format!("the runtime did not start: {error}"))
        })?;
    let done = runtime.block_on(dispatch(cli));
    // What still blocks (a thread in a system call) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let out = Out::new(cli.global.output);
    let global = &cli.global;
    match cli.command {
        Command::Serve(args) => serve::serve(&args, cli.global.data).await,
        Command::Signer(args) => serve::signer(&args, cli.global.data).await,
        Command::Migrate(args) => serve::migrate(&args, cli.global.data, &out).await,
        Command::Config(ConfigCommand::Check(args)) => local::config_check(&args, global, &out),
        Command::Config(ConfigCommand::Print(args)) => local::config_print(&args, global, &out),
        Command::Config(ConfigCommand::Broker(args)) => local::config_broker(&args, &out),
        Command::Key(command) => material::key(command, &out),
        Command::Ca(command) => material::ca(command, &out),
        Command::Device(DeviceCommand::Issue(args)) => material::issue(&args, global, &out),
        Command::Device(DeviceCommand::Renew(args)) => material::renew(&args, global, &out).await,
        Command::Device(command) => business::device(command, global, &out).await,
        Command::Org(command) => business::org(command, global, &out).await,
        Command::Token(TokenCommand::Create(args)) => token::create(args, global, &out).await,
        Command::Token(command) => token::other(command, global, &out).await,
        Command::Grant(command) => business::grant(command, global, &out).await,
        Command::Lock(args) => business::order(&args, "lock", global, &out).await,
        Command::Unlock(args) => business::order(&args, "unlock", global, &out).await,
        Command::Records(args) => business::records(&args, global, &out).await,
        Command::Audit(args) => business::audit(&args, global, &out).await,
        Command::Events(args) => business::events(&args, global, &out).await,
        Command::Completions { shell } => local::completions(shell, &mut Cli::command(), &out),
        Command::Version => local::version(&out),
    }
}

#[cfg(test)]
mod tests;
