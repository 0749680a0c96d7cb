//! Grants.

use serde_json::{Value, json};

use super::{segment, text};
use crate::cli::{
    Failure,
    api::Api,
    args::{GiveArgs, Global, GrantCommand},
    out::{Out, confirm},
    table::Column,
};

const COLUMNS: [Column; 9] = [
    ("ID", "id"),
    ("DEVICE", "device"),
    ("MEMBER", "member_name"),
    ("STATE", "state"),
    ("USED", "used"),
    ("COUNT", "count"),
    ("FROM", "not_before"),
    ("UNTIL", "not_after"),
    ("MEMBER ID", "member"),
];

pub(in crate::cli) async fn grant(
    command: GrantCommand,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    let api = Api::find(global)?;
    match command {
        GrantCommand::Give(args) => {
            let given = api.post("grants", &body(args)).await?;
            let sentence = format!("{}  {}", text(&given, "id"), text(&given, "state"));
            out.done(&sentence, &given)
        }
        GrantCommand::List {
            device,
            organization,
            open,
            page,
        } => {
            let query = [
                ("device", device),
                ("organization", organization),
                ("open", open.then(|| "true".to_owned())),
            ];
            let items = api.list("grants", &query, &page).await?;
            out.list(&COLUMNS, &items)
        }
        GrantCommand::Show { id } => {
            out.one(&api.get(&format!("grants/{}", segment(&id)), &[]).await?)
        }
        GrantCommand::End { id } => {
            confirm(global.yes, &format!("End grant {id}?"))?;
            let path = format!("grants/{}/end", segment(&id));
            let ending = api.post(&path, &json!({})).await?;
            out.done(&format!("{id}: {}", text(&ending, "state")), &ending)
        }
    }
}

fn body(args: GiveArgs) -> Value {
    let mut body = json!({
        "device": args.device,
        "member": args.member,
        "count": args.count,
        "not_after": args.until,
        "photo": args.photo,
        "fingerprint": args.fingerprint,
        "offline_allowed": args.offline_allowed,
        "remark": args.remark,
    });
    if let Some(from) = args.from {
        body["not_before"] = from.into();
    }
    if let Some(name) = args.document {
        body["document"] = json!({"name": name});
    }
    body
}
