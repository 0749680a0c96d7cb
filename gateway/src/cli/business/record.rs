//! Stamp records and events.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use serde_json::{Value, json};

use crate::cli::{
    Exit, Failure,
    api::{Api, Query},
    args::{AuditArgs, EventsArgs, Global, PageArgs, RecordsArgs},
    out::Out,
    table::Column,
};

const COLUMNS: [Column; 10] = [
    ("DEVICE", "device"),
    ("SEQ", "seq"),
    ("TIME", "corrected_at"),
    ("N", "n"),
    ("MEMBER", "member_name"),
    ("ABNORMAL", "abnormal"),
    ("WHAT", "abnormal_name"),
    ("LAT", "position.lat"),
    ("LON", "position.lon"),
    ("MEMBER ID", "member"),
];

const AUDIT: [Column; 6] = [
    ("AT", "at"),
    ("WHO", "actor"),
    ("DID", "action"),
    ("TO", "subject"),
    ("DEVICE", "device"),
    ("MORE", "detail"),
];

/// Longest wait of one long poll, seconds.
const POLL: u64 = 30;

pub(in crate::cli) async fn records(
    args: &RecordsArgs,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    let api = Api::find(global)?;
    let query = [
        ("device", args.device.clone()),
        ("organization", args.organization.clone()),
        ("member", args.member.clone()),
        ("grant", args.grant.clone()),
        ("abnormal", args.abnormal.then(|| "true".to_owned())),
        ("class", args.class.map(|class| class.to_string())),
        ("from", args.from.clone()),
        ("to", args.to.clone()),
    ];
    match &args.export {
        Some(file) => export(&api, &query, file, out).await,
        None if out.is_json() => {
            let each = &mut |items: Vec<Value>| out.text(&lines(&items));
            api.pages("stamps", &query, &args.page, each)
                .await
                .map(|_| ())
        }
        None => {
            let items = api.list("stamps", &query, &args.page).await?;
            out.list(&COLUMNS, &items)
        }
    }
}

pub(in crate::cli) async fn audit(
    args: &AuditArgs,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    let query = [("organization", args.organization.clone())];
    let items = Api::find(global)?.list("audit", &query, &args.page).await?;
    out.list(&AUDIT, &items)
}

/// All records into a file that appears whole or not at all.
async fn export(api: &Api, query: &Query<'_>, file: &Path, out: &Out) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("{}: {error}", file.display()));
    let partial = file.with_extension("partial");
    let mut writer = BufWriter::new(File::create(&partial).map_err(failed)?);
    let all = PageArgs {
        limit: 0,
        all: true,
    };
    let count = api
        .pages("stamps", query, &all, &mut |items| {
            writer.write_all(lines(&items).as_bytes()).map_err(failed)
        })
        .await?;
    writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?
        .sync_all()
        .map_err(failed)?;
    std::fs::rename(&partial, file).map_err(failed)?;
    let facts = json!({"records": count, "file": file});
    out.done(&format!("{count} records in {}", file.display()), &facts)
}

fn lines(items: &[Value]) -> String {
    items.iter().map(|item| format!("{item}\n")).collect()
}

pub(in crate::cli) async fn events(
    args: &EventsArgs,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    let api = Api::find(global)?;
    let mut after = args.after;
    let mut shown = 0;
    loop {
        let query = [
            ("topics", args.topics.clone()),
            ("after", after.map(|after| after.to_string())),
            ("wait", Some(POLL.to_string())),
        ];
        let page = api.get("events", &query).await?;
        after = page.get("after").and_then(Value::as_i64).or(after);
        for event in page
            .get("events")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            out.text(&show(event, out.is_json()))?;
            shown += 1;
            if args.count == Some(shown) {
                return Ok(());
            }
        }
    }
}

fn show(event: &Value, json: bool) -> String {
    if json {
        return format!("{event}\n");
    }
    let text = |key: &str| match event.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    format!(
        "{:>8}  {}  {:<9} {:<13}  {}\n",
        text("position"),
        text("at"),
        text("topic"),
        text("device"),
        text("payload"),
    )
}
