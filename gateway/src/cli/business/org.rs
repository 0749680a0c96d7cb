//! Organizations and members.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{segment, text};
use crate::cli::{
    Failure,
    api::Api,
    args::{Global, OrgCommand},
    out::{Out, confirm},
    table::Column,
};

const COLUMNS: [Column; 4] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("GRANTS REQUIRED", "grants_required"),
    ("CREATED", "created_at"),
];

const MEMBERS: [Column; 5] = [
    ("ID", "id"),
    ("NO", "no"),
    ("NAME", "name"),
    ("PHONE", "phone"),
    ("ROLE", "role"),
];

pub(in crate::cli) async fn org(
    command: OrgCommand,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    let api = Api::find(global)?;
    match command {
        OrgCommand::Create {
            name,
            owner,
            phone,
            grants_required,
        } => {
            let body = json!({
                "name": name,
                "owner": {"name": owner, "phone": phone},
                "grants_required": grants_required,
            });
            let made = api.post("organizations", &body).await?;
            out.done(
                &format!("{}  {}", text(&made, "id"), text(&made, "name")),
                &made,
            )
        }
        OrgCommand::List { page } => {
            let items = api.list("organizations", &[], &page).await?;
            out.list(&COLUMNS, &items)
        }
        OrgCommand::Show { id } => out.one(
            &api.get(&format!("organizations/{}", segment(&id)), &[])
                .await?,
        ),
        OrgCommand::Set {
            id,
            name,
            grants_required,
        } => {
            let path = format!("organizations/{}", segment(&id));
            let (_, tag) = api.get_tagged(&path).await?;
            let mut body = Map::new();
            if let Some(name) = name {
                body.insert("name".to_owned(), name.into());
            }
            if let Some(required) = grants_required {
                body.insert("grants_required".to_owned(), required.into());
            }
            let changed = api
                .change(Method::PATCH, &path, tag.as_deref(), &Value::Object(body))
                .await?;
            out.one(&changed)
        }
        OrgCommand::Code { id, purpose } => {
            let path = format!("organizations/{}/codes", segment(&id));
            let sent = api.post(&path, &json!({"purpose": purpose})).await?;
            out.done(
                &format!("a code is on its way to {}", text(&sent, "phone")),
                &sent,
            )
        }
        members => member(members, &api, global, out).await,
    }
}

async fn member(command: OrgCommand, api: &Api, global: &Global, out: &Out) -> Result<(), Failure> {
    match command {
        OrgCommand::AddMember {
            id,
            name,
            phone,
            role,
        } => {
            let mut body = json!({"name": name, "phone": phone});
            if let Some(role) = role {
                body["role"] = role.into();
            }
            let path = format!("organizations/{}/members", segment(&id));
            let added = api.post(&path, &body).await?;
            out.done(
                &format!("{}  {}", text(&added, "id"), text(&added, "name")),
                &added,
            )
        }
        OrgCommand::RemoveMember { id, member } => {
            confirm(global.yes, &format!("Remove member {member}?"))?;
            let path = format!(
                "organizations/{}/members/{}",
                segment(&id),
                segment(&member)
            );
            api.delete(&path).await?;
            out.done(&format!("{member}: removed"), &json!({"removed": member}))
        }
        OrgCommand::Members { id } => {
            let path = format!("organizations/{}/members", segment(&id));
            let mut answer = api.get(&path, &[]).await?;
            match answer.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => out.list(&MEMBERS, &items),
                _ => out.list(&MEMBERS, &[]),
            }
        }
        _ => unreachable!("every other command is dispatched before"),
    }
}
