//! Seals in the fleet.

use std::{collections::HashSet, path::Path};

use reqwest::Method;
use sealgate_broker_config::device as material;
use serde_json::{Map, Value, json};

use super::{follow, order, segment};
use crate::cli::{
    Exit, Failure,
    api::Api,
    args::{DeviceCommand, Global, PageArgs, ReasonArgs, SettingArgs, Switch},
    out::{Out, confirm, progress},
    table::Column,
};

const COLUMNS: [Column; 9] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("MODEL", "model"),
    ("SERIAL", "serial"),
    ("LIFE", "life"),
    ("REVOKED", "revoked_at"),
    ("CONNECTED", "connected"),
    ("LOCKED", "lock.reported"),
    ("LAST CONTACT", "last_contact_at"),
];

const COMMANDS: [Column; 8] = [
    ("ID", "id"),
    ("OP", "op"),
    ("STATE", "state"),
    ("WAITS FOR", "waiting_for"),
    ("ERROR", "error_name"),
    ("CREATED", "created_at"),
    ("APPLIED", "applied_at"),
    ("BY", "created_by"),
];

/// Devices imported by one request.
const IMPORT: usize = 500;

pub(in crate::cli) async fn device(
    command: DeviceCommand,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    match command {
        DeviceCommand::Issue(_) | DeviceCommand::Renew(_) => {
            unreachable!("local commands are dispatched before")
        }
        DeviceCommand::Import { manifest, deliver } => {
            import(&manifest, deliver.as_deref(), &Api::find(global)?, out).await
        }
        DeviceCommand::List {
            organization,
            life,
            connected,
            page,
        } => {
            let query = [
                ("organization", organization),
                ("life", life),
                ("connected", connected.then(|| "true".to_owned())),
            ];
            let items = Api::find(global)?.list("devices", &query, &page).await?;
            out.list(&COLUMNS, &items)
        }
        DeviceCommand::Show { id } => {
            let path = format!("devices/{}", segment(&id));
            out.one(&Api::find(global)?.get(&path, &[]).await?)
        }
        DeviceCommand::Log { id } => {
            let path = format!("devices/{}/log", segment(&id));
            out.one(&Api::find(global)?.get(&path, &[]).await?)
        }
        DeviceCommand::Commands { id, page } => {
            let path = format!("devices/{}/commands", segment(&id));
            let items = Api::find(global)?.list(&path, &[], &page).await?;
            out.list(&COMMANDS, &items)
        }
        other => ordered(other, global, out).await,
    }
}

/// What is ordered of a device, and what is written about it.
async fn ordered(command: DeviceCommand, global: &Global, out: &Out) -> Result<(), Failure> {
    match command {
        DeviceCommand::Deliver { id, organization } => {
            let body = json!({"organization": organization});
            act(&id, "deliver", &body, "delivered", global, out).await
        }
        DeviceCommand::Bind { id, name, wait } => {
            let api = Api::find(global)?;
            let body = name.map_or_else(|| json!({}), |name| json!({"name": name}));
            let command = api
                .post(&format!("devices/{}/bind", segment(&id)), &body)
                .await?;
            follow(&api, command, wait, out).await
        }
        DeviceCommand::Offline {
            id,
            mode,
            code,
            wait,
        } => {
            let api = Api::find(global)?;
            let body = json!({"enabled": mode == Switch::On, "code": code});
            let path = format!("devices/{}/offline-mode", segment(&id));
            let command = api.post(&path, &body).await?;
            follow(&api, command, wait, out).await
        }
        DeviceCommand::Set { id, name, note } => {
            rename(&id, name, note, &Api::find(global)?, out).await
        }
        DeviceCommand::Unbind(args) => {
            confirm(global.yes, &format!("Unbind {}?", args.reason.id))?;
            order(&args, "unbind", global, out).await
        }
        DeviceCommand::Locate(args) => order(&args, "refresh-position", global, out).await,
        DeviceCommand::Settings { id, values } => {
            settings(&id, wanted(&values)?, &Api::find(global)?, out).await
        }
        other => life(other, global, out).await,
    }
}

/// Moves in a device's life, and in its log's.
async fn life(command: DeviceCommand, global: &Global, out: &Out) -> Result<(), Failure> {
    let (args, verb, done, question) = match &command {
        DeviceCommand::LogReopen {
            id,
            reason,
            from_seq,
            head,
        } => {
            confirm(
                global.yes,
                &format!("Go on with the log of {id}, whatever is missing?"),
            )?;
            let body = json!({"reason": reason, "from_seq": from_seq, "head": head});
            return act(id, "log/reopen", &body, "takes records again", global, out).await;
        }
        DeviceCommand::Suspend(args) => (args, "suspend", "suspended", None),
        DeviceCommand::Resume(args) => (args, "resume", "in use again", None),
        DeviceCommand::Retire(args) => (args, "retire", "retired", Some("Retire for ever")),
        DeviceCommand::Revoke { reason, .. } => (
            reason,
            "revoke",
            "revoked",
            Some("Revoke the certificate, for ever, of"),
        ),
        _ => unreachable!("every other command is dispatched before"),
    };
    let ReasonArgs { id, reason } = args;
    if let Some(question) = question {
        confirm(global.yes, &format!("{question} {id}?"))?;
    }
    act(id, verb, &json!({"reason": reason}), done, global, out).await?;
    if let DeviceCommand::Revoke {
        out: Some(folder), ..
    } = &command
    {
        let now = crate::cli::local::now();
        material::revoke(folder, id, now)?;
    }
    Ok(())
}

async fn act(
    id: &str,
    verb: &str,
    body: &Value,
    done: &str,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    let path = format!("devices/{}/{verb}", segment(id));
    let device = Api::find(global)?.post(&path, body).await?;
    out.done(&format!("{id}: {done}"), &device)
}

async fn rename(
    id: &str,
    name: Option<String>,
    note: Option<String>,
    api: &Api,
    out: &Out,
) -> Result<(), Failure> {
    let given = [("name", name), ("note", note)].into_iter();
    let given = given.filter_map(|(field, value)| Some((field.to_owned(), value?.into())));
    let body = Value::Object(given.collect());
    let path = format!("devices/{}", segment(id));
    out.one(&api.change(Method::PATCH, &path, None, &body).await?)
}

/// The settings that are to change; nothing shows them.
fn wanted(args: &SettingArgs) -> Result<Map<String, Value>, Failure> {
    let usage = |what: String| {
        Failure::new(Exit::Usage, what)
            .hint("--set '{\"backlight_s\": 30}', or --backlight SECONDS and --auto-off MINUTES")
    };
    if let Some(text) = &args.set {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| usage(format!("--set is not JSON: {error}")))?;
        return match value {
            Value::Object(fields) if !fields.is_empty() => Ok(fields),
            _ => Err(usage("--set names no setting".to_owned())),
        };
    }
    let given = [
        ("backlight_s", args.backlight),
        ("auto_off_min", args.auto_off),
    ];
    let given = given.into_iter();
    Ok(given
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect())
}

/// What is not given stays as it is wanted now; the entity tag keeps others' changes.
async fn settings(
    id: &str,
    changes: Map<String, Value>,
    api: &Api,
    out: &Out,
) -> Result<(), Failure> {
    let path = format!("devices/{}/settings", segment(id));
    let (mut shown, tag) = api.get_tagged(&path).await?;
    if changes.is_empty() {
        return out.one(&shown);
    }
    let mut body = shown["desired"].take();
    for (name, value) in changes {
        body[name] = value;
    }
    let answer = api
        .change(Method::PUT, &path, tag.as_deref(), &body)
        .await?;
    out.done(&format!("{id}: settings ordered"), &answer)
}

/// The devices an organization has; refuses one that does not exist.
async fn held(api: &Api, organization: &str) -> Result<HashSet<String>, Failure> {
    let path = format!("organizations/{}", segment(organization));
    api.get(&path, &[])
        .await
        .map_err(|failure| failure.about(&format!("--deliver {organization}")))?;
    let all = PageArgs {
        limit: 0,
        all: true,
    };
    let query = [("organization", Some(organization.to_owned()))];
    let items = api.list("devices", &query, &all).await?;
    Ok(items
        .iter()
        .filter_map(|item| item.get("id")?.as_str().map(str::to_owned))
        .collect())
}

/// The devices of a manifest, named itself or by its folder.
fn listed(manifest: &Path) -> Result<Vec<material::Description>, Failure> {
    let folder = if manifest.is_dir() {
        manifest
    } else {
        manifest.parent().unwrap_or(Path::new("."))
    };
    let named = manifest.is_dir()
        || manifest
            .file_name()
            .is_some_and(|name| name == "manifest.json");
    if !named {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "{} is not a manifest.json or its folder",
                manifest.display()
            ),
        ));
    }
    let devices = material::read_manifest(folder)?;
    if devices.is_empty() {
        return Err(Failure::new(
            Exit::NotFound,
            format!("{} lists no device", manifest.display()),
        )
        .hint("issue some with `sealgate device issue --count N --out DIR`"));
    }
    Ok(devices)
}

async fn import(
    manifest: &Path,
    deliver: Option<&str>,
    api: &Api,
    out: &Out,
) -> Result<(), Failure> {
    let devices = listed(manifest)?;
    let held = match deliver {
        Some(organization) => held(api, organization).await?,
        None => HashSet::new(),
    };
    let bar = progress(Some(devices.len() as u64), "importing");
    let (mut added, mut unchanged) = (0, 0);
    for part in devices.chunks(IMPORT) {
        let body = serde_json::to_value(part).map_err(|error| Failure::of(Exit::Failed, &error))?;
        let answer = api.post("devices/import", &body).await?;
        added += answer.get("added").and_then(Value::as_u64).unwrap_or(0);
        unchanged += answer.get("unchanged").and_then(Value::as_u64).unwrap_or(0);
        if let Some(organization) = deliver {
            for device in part {
                if !held.contains(&device.id) {
                    let path = format!("devices/{}/deliver", segment(&device.id));
                    api.post(&path, &json!({"organization": organization}))
                        .await
                        .map_err(|failure| failure.about(&device.id))?;
                }
                bar.inc(1);
            }
        } else {
            bar.inc(part.len() as u64);
        }
    }
    bar.finish_and_clear();
    let facts = json!({"added": added, "unchanged": unchanged, "delivered_to": deliver});
    let to = deliver.map_or_else(String::new, |to| format!(", delivered to {to}"));
    out.done(
        &format!("{added} added, {unchanged} known already{to}"),
        &facts,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(backlight: Option<u16>, auto_off: Option<u16>, set: Option<&str>) -> SettingArgs {
        SettingArgs {
            backlight,
            auto_off,
            set: set.map(str::to_owned),
        }
    }

    #[test]
    fn any_one_setting_may_be_changed_alone() {
        let one = wanted(&args(Some(30), None, None)).unwrap();
        assert_eq!(Value::Object(one), json!({"backlight_s": 30}));
        let one = wanted(&args(None, None, Some(r#"{"auto_off_min": 5}"#))).unwrap();
        assert_eq!(Value::Object(one), json!({"auto_off_min": 5}));
        assert!(wanted(&args(None, None, None)).unwrap().is_empty());
        for nothing in ["{}", "30", "{"] {
            let failure = wanted(&args(None, None, Some(nothing))).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{nothing}");
        }
    }
}
