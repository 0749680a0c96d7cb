//! Commands that work on files of this machine.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct SettingsArgs {
    /// Settings file; without it the defaults and the environment count
    #[arg(
        long,
        short = 'c',
        value_name = "FILE",
        env = "SEALGATE_CONFIG",
        hide_env_values = true
    )]
    pub(in crate::cli) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
    /// Make everything that is missing (CA, keys, an admin token), sign in this process, and listen on this machine
    /// only, unless the settings name other addresses
    #[arg(long)]
    pub(in crate::cli) dev: bool,
    /// Address of the HTTP interface
    #[arg(long, value_name = "ADDR")]
    pub(in crate::cli) http: Option<String>,
    /// Address for seals
    #[arg(long, value_name = "ADDR")]
    pub(in crate::cli) front: Option<String>,
    /// Address for business subscribers
    #[arg(long, value_name = "ADDR")]
    pub(in crate::cli) business: Option<String>,
    /// Log level or filter
    #[arg(long, value_name = "LEVEL")]
    pub(in crate::cli) log: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SignerArgs {
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
    /// Folder of the keys
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) keys: Option<PathBuf>,
    /// Socket to listen at; its folder must be the signer's alone
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) socket: Option<PathBuf>,
    /// File in which signatures are booked [default: signer-audit.log beside the keys]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) audit: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyCommand {
    /// Make a root, one signing key a scope, and the first key set
    Init {
        /// Folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Life of the signing keys
        #[arg(long, default_value_t = 730, value_name = "DAYS")]
        days: u64,
    },
    /// Make new signing keys and a new key set
    Rotate(RotateArgs),
    /// Show the keys, never their secrets
    Show {
        /// Folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RotateArgs {
    /// Folder
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) dir: PathBuf,
    /// Which keys; may be given several times
    #[arg(long, value_name = "SCOPE", required_unless_present = "all")]
    pub(in crate::cli) scope: Vec<String>,
    /// All keys
    #[arg(long, conflicts_with = "scope")]
    pub(in crate::cli) all: bool,
    /// The root's key, if it is kept elsewhere
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) root: Option<PathBuf>,
    /// The new keys are used after this, when seals have the new key set
    #[arg(long, default_value_t = 7, value_name = "DAYS")]
    pub(in crate::cli) activate_after: u64,
    /// The old keys stay valid this much longer
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    pub(in crate::cli) overlap: u64,
    /// Life of the new keys
    #[arg(long, default_value_t = 730, value_name = "DAYS")]
    pub(in crate::cli) days: u64,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CaCommand {
    /// Make a CA and a server certificate
    Init {
        /// Folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// DNS name or address of the server; may be given several times. Names given replace the default ones
        #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
        names: Vec<String>,
    },
    /// Replace the server certificate and its key
    RenewServer {
        /// Folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// DNS name or address of the server; may be given several times and replaces all [default: the names of the
        /// present certificate]
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<String>,
    },
    /// Make a client certificate for gateway nodes on an outside cluster
    Gateway {
        /// Folder of the CA
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Common name
        #[arg(long, default_value = "sealgate-gateway")]
        name: String,
        /// Folder for the certificate and its key
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct IssueArgs {
    /// How many
    #[arg(long, default_value_t = 1)]
    pub(in crate::cli) count: usize,
    /// Folder for the devices' material and the manifest
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: PathBuf,
    /// Folder of the CA [default: pki in the data folder]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Folder of the keys whose key set the devices get [default: keys in the data folder]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) keys: Option<PathBuf>,
    /// Model
    #[arg(long, default_value = "GL-1")]
    pub(in crate::cli) model: String,
    /// Life of the certificates
    #[arg(long, default_value_t = 730, value_name = "DAYS")]
    pub(in crate::cli) days: u64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RenewArgs {
    /// Device
    pub(in crate::cli) id: String,
    /// Folder it was issued to
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: PathBuf,
    /// Folder of the CA [default: pki in the data folder]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Life of the certificate
    #[arg(long, default_value_t = 730, value_name = "DAYS")]
    pub(in crate::cli) days: u64,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Tell everything that is wrong with the settings, and with the files they name
    Check(SettingsArgs),
    /// Print the settings in force, secrets hidden
    Print(PrintArgs),
    /// Write configuration for an outside broker with the rights of the embedded one
    Broker(BrokerArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PrintArgs {
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
    /// Print a file with every key and its default instead
    #[arg(long)]
    pub(in crate::cli) example: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum BrokerKind {
    /// EMQX 5
    Emqx,
    /// mosquitto 2
    Mosquitto,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BrokerArgs {
    /// Which broker
    #[arg(value_enum)]
    pub(in crate::cli) kind: BrokerKind,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: PathBuf,
    /// Folder in which the files will lie on the broker's machine [default: the one written to]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) installed: Option<PathBuf>,
    /// Folder with ca.pem, server.pem and server.key on the broker's machine
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) pki: PathBuf,
    /// Port for seals
    #[arg(long, default_value_t = 8883)]
    pub(in crate::cli) seal_port: u16,
    /// Port for gateway nodes
    #[arg(long, default_value_t = 8885)]
    pub(in crate::cli) gateway_port: u16,
    /// Common name of the gateway nodes' certificates
    #[arg(long, default_value = "sealgate-gateway")]
    pub(in crate::cli) gateway_user: String,
}
