//! The grammar of the command line. What the doc comments say is the help text.

mod business;
mod local;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use business::*;
pub(super) use local::*;

/// The gateway and platform for smart company seals.
#[derive(Debug, Parser)]
#[command(name = "sealgate", version, after_help = super::exit::TABLE, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// How answers look
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
    /// Address of the running gateway, as http://127.0.0.1:8080 [default: found in the data folder]
    #[arg(
        long,
        global = true,
        env = "SEALGATE_API",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(super) api: Option<String>,
    /// API token [default: found in the data folder]
    #[arg(
        long,
        global = true,
        env = "SEALGATE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(super) token: Option<String>,
    /// Data folder of the gateway
    #[arg(
        long,
        global = true,
        env = "SEALGATE_DATA",
        hide_env_values = true,
        value_name = "DIR"
    )]
    pub(super) data: Option<PathBuf>,
    /// Do not ask before something is destroyed
    #[arg(long, short = 'y', global = true)]
    pub(super) yes: bool,
}

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// For programs: one JSON document (lists of records: one a line)
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway
    Serve(ServeArgs),
    /// Run the process that holds the signing keys
    Signer(SignerArgs),
    /// Make and rotate signing keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make a development fleet CA
    #[command(subcommand)]
    Ca(CaCommand),
    /// Seals: certificates, stock, life
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Organizations and their members
    #[command(subcommand)]
    Org(OrgCommand),
    /// API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Grants: who may stamp, how often, until when
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Lock a lost seal
    Lock(OrderArgs),
    /// Release a locked seal
    Unlock(OrderArgs),
    /// List or export stamp records
    Records(RecordsArgs),
    /// List who changed what, newest first
    Audit(AuditArgs),
    /// Follow what happens
    Events(EventsArgs),
    /// Check, print and write settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Create or update the database
    Migrate(SettingsArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}
