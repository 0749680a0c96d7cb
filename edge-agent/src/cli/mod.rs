//! The command line; the only room that prints.

mod serve;
mod show;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::{config::Config, enroll::Files, local};

/// Where the settings are looked for without `--config`.
const SETTINGS: &str = "/etc/sealgate-edge/edge.toml";

/// The edge box: seals over BLE and serial lines, bridged to the gateway.
#[derive(Debug, Parser)]
#[command(name = "sealgate-edge", version, about)]
struct Args {
    /// The settings; without it /etc/sealgate-edge/edge.toml, if there is one.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "SEALGATE_EDGE_CONFIG"
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Works until it is stopped.
    Run,
    /// How the running agent is.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What the running agent hears around it.
    Scan {
        /// For so many seconds, 1 to 120.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=120))]
        seconds: u8,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Takes the bundle that `sealgate edge issue` wrote.
    Enroll {
        /// The bundle.
        bundle: PathBuf,
        /// Also when the box is enrolled already.
        #[arg(long)]
        force: bool,
    },
    /// The settings.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Whether they are right.
    Check,
    /// What they are, with defaults.
    Print,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    match execute(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealgate-edge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(args: Args) -> anyhow::Result<()> {
    let default = PathBuf::from(SETTINGS);
    let file = args.config.or_else(|| default.exists().then_some(default));
    let config = Config::load(file.as_deref(), std::env::vars().collect())?;
    match args.command {
        Command::Run => serve::run(config),
        Command::Status { json } => {
            let report = wait_for(local::report(&config.socket()))?;
            if json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                print!("{}", show::report(&report));
            }
            Ok(())
        }
        Command::Scan { seconds, json } => {
            let found = wait_for(local::scan(&config.socket(), seconds))?;
            if json {
                println!("{}", serde_json::to_string_pretty(&found)?);
            } else {
                print!("{}", show::nearby(&found));
            }
            Ok(())
        }
        Command::Enroll { bundle, force } => {
            let text = fs::read_to_string(&bundle)
                .with_context(|| bundle.display().to_string())
                .map(zeroize::Zeroizing::new)?;
            let gateway = Files::new(&config.node.data_dir).enroll(&text, force)?;
            println!("enrolled at {} as {}", gateway.address, gateway.name);
            println!("delete {}: it holds the key of this box", bundle.display());
            Ok(())
        }
        Command::Config { command } => {
            match command {
                ConfigCommand::Check => match file {
                    Some(file) => println!("{}: right", file.display()),
                    None => println!("no file; the defaults are right"),
                },
                ConfigCommand::Print => print!("{}", toml::to_string(&config)?),
            }
            Ok(())
        }
    }
}

fn wait_for<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}
