//! Stamp records and events.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
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
/// Pause before a failed poll is tried again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
    follow(&Api::find(global)?, args, out, FIRST_PAUSE).await
}

/// Polls until so many were shown or the gateway refuses. Once it has answered, a poll that fails for another reason is
/// tried again behind what was shown, with growing pauses.
async fn follow(
    api: &Api,
    args: &EventsArgs,
    out: &Out,
    first_pause: Duration,
) -> Result<(), Failure> {
    let mut after = args.after;
    let mut shown = 0;
    let mut answered = false;
    let mut pause = first_pause;
    loop {
        let query = [
            ("topics", args.topics.clone()),
            ("after", after.map(|after| after.to_string())),
            ("wait", Some(POLL.to_string())),
        ];
        let page = match api.get("events", &query).await {
            Ok(page) => page,
            Err(failure) if answered && passes(&failure) => {
                eprintln!("{failure}\nasking again in {} s", pause.as_secs());
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        (answered, pause) = (true, first_pause);
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

/// Whether waiting may help: a refusal stays one, and so does a position that is gone.
fn passes(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Unreachable | Exit::Failed)
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::cli::args::Output;

    /// Answers one request a connection, in this order; nothing at all where the status is 0. Gives the request lines.
    async fn gateway(
        listener: TcpListener,
        answers: &[(u16, &'static str)],
    ) -> Result<Vec<String>, std::io::Error> {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut socket, _) = listener.accept().await?;
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut piece = [0; 1_024];
                let read = socket.read(&mut piece).await?;
                assert!(read > 0, "a whole request");
                request.extend_from_slice(&piece[..read]);
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            asked.push(text.lines().next().unwrap_or_default().to_owned());
            if *status > 0 {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                socket.write_all(head.as_bytes()).await?;
            }
        }
        Ok(asked)
    }

    /// Follows a gateway that answers so.
    async fn follows(answers: &[(u16, &'static str)]) -> (Exit, Vec<String>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let global = Global {
            output: Output::Json,
            api: Some(format!("http://{}", listener.local_addr().unwrap())),
            token: Some("sk_test".to_owned()),
            data: None,
            yes: false,
        };
        let api = Api::find(&global).unwrap();
        let args = EventsArgs {
            topics: None,
            after: None,
            count: None,
        };
        let out = Out::new(Output::Json);
        let following = follow(&api, &args, &out, Duration::ZERO);
        let (ended, asked) = tokio::join!(following, gateway(listener, answers));
        (ended.unwrap_err().exit, asked.unwrap())
    }

    #[tokio::test]
    async fn following_goes_on_behind_the_last_position_until_it_is_refused() {
        let (exit, asked) = follows(&[
            (200, r#"{"after":7,"events":[]}"#),
            (503, "{}"),
            (0, ""),
            (200, r#"{"after":9,"events":[]}"#),
            (401, "{}"),
        ])
        .await;
        assert_eq!(exit, Exit::Refused);
        assert!(!asked[0].contains("after="), "{asked:?}");
        for again in &asked[1..4] {
            assert!(again.contains("after=7"), "{asked:?}");
        }
        assert!(asked[4].contains("after=9"), "{asked:?}");
    }

    #[tokio::test]
    async fn a_gateway_that_never_answered_is_told_at_once_and_a_position_that_is_gone_too() {
        assert_eq!(follows(&[(0, "")]).await.0, Exit::Unreachable);
        let gone = [(200, r#"{"after":7,"events":[]}"#), (410, "{}")];
        assert_eq!(follows(&gone).await.0, Exit::NotFound);
    }
}
