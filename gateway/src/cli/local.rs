//! Commands about settings and the program itself.

use std::path::Path;

use clap_complete::{Shell, generate};
use sealgate_broker_config::{
    acl::{emqx, mosquitto},
    files,
    settings::{Cluster, Limits, ListenerTls},
};
use serde_json::json;

use super::{
    Failure,
    args::{BrokerArgs, BrokerKind, Global, PrintArgs, SettingsArgs},
    out::Out,
};
use crate::{
    clock::{Clock, SystemClock},
    config::{Config, ConfigError, Sources},
};

/// Unix seconds.
pub(super) fn now() -> u64 {
    SystemClock::new().now().seconds().into()
}

/// The settings of this process; the data folder may come from `--data`.
pub(super) fn settings(args: &SettingsArgs, data: Option<&Path>) -> Result<Config, Failure> {
    let data = data.map(|path| path.display().to_string());
    let sources = Sources::of_process(args.config.clone()).flag("node.data_dir", data);
    Ok(sources.load()?)
}

pub(super) fn config_check(args: &SettingsArgs, global: &Global, out: &Out) -> Result<(), Failure> {
    let config = settings(args, global.data.as_deref())?;
    let problems = config.file_problems();
    if !problems.is_empty() {
        let data = std::path::absolute(&config.node.data_dir);
        let data = data.unwrap_or_else(|_| config.node.data_dir.clone());
        return Err(Failure::from(ConfigError::Problems(problems)).hint(format!(
            "relative paths are relative to node.data_dir, which is {}",
            data.display()
        )));
    }
    let facts = json!({"ok": true, "node": config.node.id});
    out.done("the settings and the files they name are good", &facts)
}

pub(super) fn config_print(args: &PrintArgs, global: &Global, out: &Out) -> Result<(), Failure> {
    if args.example {
        return out.text(&Config::example());
    }
    let config = settings(&args.settings, global.data.as_deref())?;
    if out.is_json() {
        out.one(&config.to_json_redacted())
    } else {
        out.text(&config.to_toml_redacted())
    }
}

pub(super) fn config_broker(args: &BrokerArgs, out: &Out) -> Result<(), Failure> {
    let cluster = Cluster {
        seal_port: args.seal_port,
        gateway_port: args.gateway_port,
        tls: ListenerTls {
            ca: args.pki.join("ca.pem"),
            cert: args.pki.join("server.pem"),
            key: args.pki.join("server.key"),
        },
        gateway_user: args.gateway_user.clone(),
        share_group: "sealgate".to_owned(),
        limits: Limits::default(),
    };
    let installed = args.installed.as_deref().unwrap_or(&args.out);
    let installed = installed.display().to_string();
    let made = match args.kind {
        BrokerKind::Emqx => emqx::files(&cluster, &installed)?,
        BrokerKind::Mosquitto => mosquitto::files(&cluster, &installed)?,
    };
    files::private_dir(&args.out)?;
    let mut names = Vec::new();
    for file in made {
        let path = args.out.join(file.name);
        files::replace(&path, file.content.as_bytes(), files::PUBLIC)?;
        names.push(path.display().to_string());
    }
    out.done(
        &format!("written: {}", names.join(", ")),
        &json!({"files": names}),
    )
}

pub(super) fn completions(
    shell: Shell,
    command: &mut clap::Command,
    out: &Out,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(shell, command, "sealgate", &mut script);
    out.text(&String::from_utf8_lossy(&script))
}

pub(super) fn version(out: &Out) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let facts = json!({"version": version, "protocol": "SL/1", "api": "v1"});
    out.done(&format!("sealgate {version} (SL/1, API v1)"), &facts)
}
