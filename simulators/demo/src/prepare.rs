//! From an empty folder to an organization with bound seals, all through the public interface: the gateway makes its
//! keys, devices are issued by its command line, everything else is HTTP. What exists already is used again.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::{api::Api, child::run_sealgate, gateway::Gateway};

/// The organization's name.
const ORGANIZATION: &str = "Demo Trading Ltd";

/// The owner's phone: codes go there.
const OWNER_PHONE: &str = "13800138000";

/// People who stamp.
const MEMBERS: [(&str, &str); 5] = [
    ("Li Na", "13900139001"),
    ("Zhang Wei", "13900139002"),
    ("Chen Jie", "13900139003"),
    ("Liu Yang", "13900139004"),
    ("Zhao Min", "13900139005"),
];

/// The organization and its people.
#[derive(Debug, Clone)]
pub(crate) struct Company {
    /// Its id.
    pub(crate) id: String,
    /// Ids of those who stamp.
    pub(crate) members: Vec<String>,
}

/// The API with the administrator's token.
pub(crate) async fn administrator(gateway: &Gateway, data: &Path) -> anyhow::Result<(Api, String)> {
    let file = data.join("admin.token");
    for _ in 0..200 {
        if let Ok(text) = std::fs::read_to_string(&file)
            && !text.trim().is_empty()
        {
            let token = text.trim().to_owned();
            return Ok((Api::new(&gateway.base(), &token)?, token));
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!("the gateway wrote no token to {}", file.display());
}

/// The folder with the material of `count` devices, issued when it does not exist.
pub(crate) fn devices(data: &Path, count: usize) -> anyhow::Result<PathBuf> {
    let out = data.join("devices");
    let held = std::fs::read_dir(&out).map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| entry.path().join("device.json").is_file())
            .count()
    });
    if held < count {
        let args: Vec<OsString> = vec![
            "device".into(),
            "issue".into(),
            "--count".into(),
            (count - held).to_string().into(),
            "--out".into(),
            out.clone().into(),
            "--ca".into(),
            data.join("pki").into(),
            "--keys".into(),
            data.join("keys").into(),
        ];
        run_sealgate(&args)?;
    }
    Ok(out)
}

/// Takes the issued devices into stock.
pub(crate) async fn import(api: &Api, folder: &Path) -> anyhow::Result<()> {
    let manifest = std::fs::read(folder.join("manifest.json"))?;
    let mut entries: Vec<Value> = serde_json::from_slice(&manifest)?;
    for entry in &mut entries {
        let map = entry.as_object_mut().context("a manifest of objects")?;
        let known = ["id", "model", "serial", "log_public", "cert_sha256"];
        map.retain(|key, _| known.contains(&key.as_str()));
    }
    api.post("/devices/import", Value::Array(entries)).await?;
    Ok(())
}

/// The organization, opened when it does not exist.
pub(crate) async fn company(api: &Api) -> anyhow::Result<Company> {
    let known = api.all("/organizations").await?;
    let id = match known.iter().find(|one| one["name"] == ORGANIZATION) {
        Some(found) => Api::id(found)?,
        None => {
            let body = json!({
                "name": ORGANIZATION,
                "owner": {"name": "Wang Fang", "phone": OWNER_PHONE},
                "grants_required": true,
            });
            Api::id(&api.post("/organizations", body).await?)?
        }
    };
    let path = format!("/organizations/{id}/members");
    let listed = api.get(&path).await?;
    let listed = listed["items"].as_array().cloned().unwrap_or_default();
    let mut members = Vec::new();
    for (name, phone) in MEMBERS {
        let found = listed.iter().find(|member| member["name"] == name);
        members.push(match found {
            Some(member) => Api::id(member)?,
            None => Api::id(
                &api.post(&path, json!({"name": name, "phone": phone}))
                    .await?,
            )?,
        });
    }
    Ok(Company { id, members })
}

/// Hands every device that is still in stock to the organization.
pub(crate) async fn deliver(api: &Api, company: &Company, names: &[String]) -> anyhow::Result<()> {
    let stages = stages(api).await?;
    let mut work = JoinSet::new();
    for name in names {
        let stage = stages.iter().find(|(id, _)| id == name);
        if stage.is_some_and(|(_, life)| life == "manufactured" || life == "not_delivered") {
            let (api, path) = (api.clone(), format!("/devices/{name}/deliver"));
            let body = json!({"organization": company.id});
            work.spawn(async move { api.post(&path, body).await.map(drop) });
        }
    }
    all_of(work).await
}

/// Binds every connected device that is not bound yet, and waits until each says so.
pub(crate) async fn bind(api: &Api, names: &[String]) -> anyhow::Result<()> {
    let stages = stages(api).await?;
    let bound: HashSet<_> = stages
        .iter()
        .filter(|(_, life)| life == "bound")
        .map(|(id, _)| id.clone())
        .collect();
    let mut work = JoinSet::new();
    for (place, name) in names.iter().enumerate() {
        if bound.contains(name) {
            continue;
        }
        let (api, name) = (api.clone(), name.clone());
        work.spawn(async move {
            let body = json!({"name": format!("Seal {:02}", place + 1)});
            api.insist(&format!("/devices/{name}/bind"), body).await?;
            reach(&api, &name, "bound").await
        });
    }
    all_of(work).await
}

/// Waits until a device is in a stage of its life.
pub(crate) async fn reach(api: &Api, name: &str, life: &str) -> anyhow::Result<()> {
    for _ in 0..600 {
        let device = api.get(&format!("/devices/{name}")).await?;
        if device["life"] == life {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("device {name} never became {life}");
}

async fn stages(api: &Api) -> anyhow::Result<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let devices = api.all("/devices").await?;
    Ok(devices
        .iter()
        .map(|device| (text(&device["id"]), text(&device["life"])))
        .collect())
}

/// Waits for all; the first failure ends the rest.
pub(crate) async fn all_of(mut work: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(done) = work.join_next().await {
        done.context("a part of the demo ended badly")??;
    }
    Ok(())
}
