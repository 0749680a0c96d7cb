//! Commands that ask a running gateway.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeviceCommand {
    /// Make certificates and log keys for new devices
    Issue(super::IssueArgs),
    /// Make a new certificate for a device's own key, and register it at the gateway, if one runs
    Renew(super::RenewArgs),
    /// Take issued devices into stock
    Import {
        /// manifest.json, or the folder that holds it
        manifest: PathBuf,
        /// Deliver them to this organization at once
        #[arg(long, value_name = "ORG")]
        deliver: Option<String>,
    },
    /// List devices
    List {
        /// Of this organization
        #[arg(long, value_name = "ORG")]
        organization: Option<String>,
        /// In this state of life: manufactured, not_delivered, unbound, bound, suspended, retired
        #[arg(long)]
        life: Option<String>,
        /// Only connected ones
        #[arg(long)]
        connected: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a device
    Show {
        /// Device
        id: String,
    },
    /// List a device's commands
    Commands {
        /// Device
        id: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Hand a device to an organization
    Deliver {
        /// Device
        id: String,
        /// To whom
        #[arg(long, value_name = "ORG")]
        organization: String,
    },
    /// Bind a device; it must be connected
    Bind {
        /// Device
        id: String,
        /// Its name from now on
        #[arg(long)]
        name: Option<String>,
        /// Wait for the seal this long
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
    /// Unbind a device; it must be connected and its grants ended
    Unbind(OrderArgs),
    /// Ask a device where it is; it must be connected
    Locate(OrderArgs),
    /// Switch offline mode with the code sent to the owner's phone (`org code`); it must be connected
    Offline {
        /// Device
        id: String,
        /// on or off
        #[arg(value_enum)]
        mode: Switch,
        /// The six digits
        #[arg(long)]
        code: String,
        /// Wait for the seal this long
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
    /// Change a device's name or note
    Set {
        /// Device
        id: String,
        /// New name
        #[arg(long, required_unless_present = "note")]
        name: Option<String>,
        /// New note
        #[arg(long)]
        note: Option<String>,
    },
    /// Take a device out of use
    Suspend(ReasonArgs),
    /// Bring a suspended device back
    Resume(ReasonArgs),
    /// Retire a device for ever
    Retire(ReasonArgs),
    /// Revoke a device's certificate: its session ends and never opens again
    Revoke {
        #[command(flatten)]
        reason: ReasonArgs,
        /// Also take it out of this folder's manifest
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Show how far a device's log is stored, whether it stands still, and what to do then
    Log {
        /// Device
        id: String,
    },
    /// Let a log that stands still go on: after a fork, or when the seal freed records that nobody has
    LogReopen {
        /// Device
        id: String,
        /// Why; for the audit
        #[arg(long)]
        reason: String,
        /// The next record to take; what lies before it is given up [default: the first the seal still has]
        #[arg(long, value_name = "SEQ")]
        from_seq: Option<u32>,
        /// The chain head before it: 64 hexadecimal digits, or `device` for what the seal's checkpoint says
        #[arg(long)]
        head: Option<String>,
    },
    /// Show or change settings of a device: without a value they are shown, what is left out stays
    Settings {
        /// Device
        id: String,
        #[command(flatten)]
        values: SettingArgs,
    },
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Switch {
    /// On
    On,
    /// Off
    Off,
}

/// Values of settings.
#[derive(Debug, Args)]
pub(in crate::cli) struct SettingArgs {
    /// How long the screen stays lit, 0 to 180; 0 is always
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(0..=180))]
    pub(in crate::cli) backlight: Option<u16>,
    /// When it switches itself off, 0 to 30; 0 is never
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u16).range(0..=30))]
    pub(in crate::cli) auto_off: Option<u16>,
    /// New values as JSON: backlight_s, auto_off_min or both
    #[arg(long, value_name = "JSON", conflicts_with_all = ["backlight", "auto_off"])]
    pub(in crate::cli) set: Option<String>,
}

/// A device and why.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReasonArgs {
    /// Device
    pub(in crate::cli) id: String,
    /// Why; for the audit
    #[arg(long, default_value = "")]
    pub(in crate::cli) reason: String,
}

/// An order to a seal.
#[derive(Debug, Args)]
pub(in crate::cli) struct OrderArgs {
    #[command(flatten)]
    pub(in crate::cli) reason: ReasonArgs,
    /// Wait this long until the seal did it
    #[arg(long, value_name = "SECONDS")]
    pub(in crate::cli) wait: Option<u64>,
}

/// Which part of a list.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct PageArgs {
    /// At most this many
    #[arg(long, default_value_t = 50)]
    pub(in crate::cli) limit: usize,
    /// Everything, page by page
    #[arg(long, conflicts_with = "limit")]
    pub(in crate::cli) all: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum OrgCommand {
    /// Open an organization with its owner
    Create {
        /// Name
        name: String,
        /// Name of the owner
        #[arg(long)]
        owner: String,
        /// Phone of the owner; codes and alarms go there
        #[arg(long)]
        phone: String,
        /// Every stamp needs a grant
        #[arg(long)]
        grants_required: bool,
    },
    /// List organizations
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show an organization
    Show {
        /// Organization
        id: String,
    },
    /// Change an organization
    Set {
        /// Organization
        id: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// Whether every stamp needs a grant
        #[arg(long, value_name = "BOOL")]
        grants_required: Option<bool>,
    },
    /// List members
    Members {
        /// Organization
        id: String,
    },
    /// Add a member
    AddMember {
        /// Organization
        id: String,
        /// Name
        #[arg(long)]
        name: String,
        /// Phone
        #[arg(long)]
        phone: String,
        /// owner, admin, custodian or member
        #[arg(long)]
        role: Option<String>,
    },
    /// Remove a member
    RemoveMember {
        /// Organization
        id: String,
        /// Member
        member: String,
    },
    /// Send a code to the owner's phone
    Code {
        /// Organization
        id: String,
        /// What for
        #[arg(long, default_value = "offline_mode")]
        purpose: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenCommand {
    /// Make a token. Its secret is shown once. With --local it is written to the database directly
    Create(TokenArgs),
    /// List tokens, never their secrets
    List,
    /// Revoke a token
    Revoke {
        /// Token
        id: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TokenArgs {
    /// What it is for
    pub(in crate::cli) name: String,
    /// What it may do; may be given several times
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        required_unless_present = "admin"
    )]
    pub(in crate::cli) scopes: Vec<String>,
    /// Everything
    #[arg(long, conflicts_with = "scopes")]
    pub(in crate::cli) admin: bool,
    /// The only organization it sees
    #[arg(long, value_name = "ORG")]
    pub(in crate::cli) organization: Option<uuid::Uuid>,
    /// Life
    #[arg(long, value_name = "DAYS")]
    pub(in crate::cli) days: Option<u32>,
    /// Work on the database instead of asking a gateway: for the first token
    #[arg(long)]
    pub(in crate::cli) local: bool,
    #[command(flatten)]
    pub(in crate::cli) settings: super::SettingsArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GrantCommand {
    /// Give a grant
    Give(GiveArgs),
    /// List grants, newest first
    List {
        /// Of this device
        #[arg(long, value_name = "DEVICE")]
        device: Option<String>,
        /// Of this organization
        #[arg(long, value_name = "ORG")]
        organization: Option<String>,
        /// Only those that have not ended
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a grant
    Show {
        /// Grant
        id: String,
    },
    /// End a grant
    End {
        /// Grant
        id: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GiveArgs {
    /// Device
    pub(in crate::cli) device: String,
    /// Who may stamp
    #[arg(long, value_name = "MEMBER")]
    pub(in crate::cli) member: String,
    /// Stamps; 0 is unlimited
    #[arg(long)]
    pub(in crate::cli) count: u16,
    /// Ends then, as 2030-01-31T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) until: String,
    /// Begins then; now without it
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) from: Option<String>,
    /// A picture at each stamp
    #[arg(long)]
    pub(in crate::cli) photo: bool,
    /// A finger before stamping
    #[arg(long)]
    pub(in crate::cli) fingerprint: bool,
    /// Offline mode may be switched on under it
    #[arg(long)]
    pub(in crate::cli) offline_allowed: bool,
    /// Name of the document
    #[arg(long)]
    pub(in crate::cli) document: Option<String>,
    /// Remark
    #[arg(long, default_value = "")]
    pub(in crate::cli) remark: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RecordsArgs {
    /// Of this device
    #[arg(long)]
    pub(in crate::cli) device: Option<String>,
    /// Of this organization
    #[arg(long, value_name = "ORG")]
    pub(in crate::cli) organization: Option<String>,
    /// Of this member
    #[arg(long)]
    pub(in crate::cli) member: Option<String>,
    /// Under this grant
    #[arg(long)]
    pub(in crate::cli) grant: Option<String>,
    /// Only abnormal ones
    #[arg(long)]
    pub(in crate::cli) abnormal: bool,
    /// Only this class of abnormal use, 1 to 10
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub(in crate::cli) class: Option<u8>,
    /// Made at or after this time, as 2030-01-31T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) from: Option<String>,
    /// Made before this time
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) to: Option<String>,
    /// Write all of them to this file, one JSON document a line
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) export: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) page: PageArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditArgs {
    /// Of this organization
    #[arg(long, value_name = "ORG")]
    pub(in crate::cli) organization: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) page: PageArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct EventsArgs {
    /// Topics separated by commas: stamp, alarm, presence, command, grant, device, organization
    #[arg(long)]
    pub(in crate::cli) topics: Option<String>,
    /// Begin behind this position; without it with what happens from now on
    #[arg(long, value_name = "POSITION")]
    pub(in crate::cli) after: Option<i64>,
    /// Stop after so many
    #[arg(long)]
    pub(in crate::cli) count: Option<usize>,
}
