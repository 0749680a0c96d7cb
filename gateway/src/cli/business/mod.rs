//! Commands that ask a running gateway.

mod device;
mod grant;
mod org;
mod record;

use std::time::Duration;

use serde_json::{Value, json};

pub(super) use device::device;
pub(super) use grant::grant;
pub(super) use org::org;
pub(super) use record::{events, records};

use super::{
    Exit, Failure,
    api::Api,
    args::{Global, OrderArgs},
    out::Out,
};

/// How often a command is looked at while waiting for it.
const LOOK: Duration = Duration::from_millis(250);

/// Text of a field, for sentences.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("?")
}

/// Escapes a path segment: ids come from the command line.
pub(super) fn segment(id: &str) -> String {
    id.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// `lock`, `unlock`, `unbind` and the like: an order the seal has to carry out.
pub(super) async fn order(
    args: &OrderArgs,
    verb: &str,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    let api = Api::find(global)?;
    let path = format!("devices/{}/{verb}", segment(&args.reason.id));
    let command = api
        .post(&path, &json!({"reason": args.reason.reason}))
        .await?;
    follow(&api, command, args.wait, out).await
}

/// Shows an ordered command; with `wait` not before the seal carried it out or refused.
async fn follow(
    api: &Api,
    mut command: Value,
    wait: Option<u64>,
    out: &Out,
) -> Result<(), Failure> {
    let id = text(&command, "id").to_owned();
    let looks = wait.map_or(0, |seconds| seconds.saturating_mul(1_000) / 250);
    for _ in 0..looks {
        if is_over(&command) {
            break;
        }
        tokio::time::sleep(LOOK).await;
        command = api.get(&format!("commands/{}", segment(&id)), &[]).await?;
    }
    let state = text(&command, "state").to_owned();
    let sentence = match state.as_str() {
        "applied" => format!("{}: done", text(&command, "op")),
        "pending" => format!(
            "{}: waits for the seal to connect (command {id})",
            text(&command, "op")
        ),
        _ => format!("{}: {state} (command {id})", text(&command, "op")),
    };
    out.done(&sentence, &command)?;
    match state.as_str() {
        "rejected" | "expired" | "superseded" => {
            let code = command.get("error_code").and_then(Value::as_u64);
            let code = code.map_or_else(String::new, |code| format!(", error 0x{code:04x}"));
            Err(Failure::new(
                Exit::Conflict,
                format!("the command is {state}{code}"),
            ))
        }
        _ if wait.is_some() && !is_over(&command) => {
            Err(
                Failure::new(Exit::Unreachable, "the seal has not answered yet").hint(format!(
                    "the order stands; `sealgate device commands {}` shows it",
                    text(&command, "device")
                )),
            )
        }
        _ => Ok(()),
    }
}

fn is_over(command: &Value) -> bool {
    matches!(
        text(command, "state"),
        "applied" | "rejected" | "expired" | "superseded"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_can_not_leave_their_place_in_the_path() {
        assert_eq!(segment("abc-1"), "abc-1");
        assert_eq!(segment("../tokens?x"), "..%2Ftokens%3Fx");
    }
}
