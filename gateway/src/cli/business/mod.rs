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
pub(super) use record::{audit, events, records};

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
    out.done(&sentence(&command), &command)?;
    let state = text(&command, "state");
    match state {
        "rejected" | "expired" | "superseded" => Err(Failure::new(
            Exit::Conflict,
            format!("the command is {state}{}", error(&command)),
        )),
        _ if wait.is_some() && !is_over(&command) => Err(late(&command)),
        _ => Ok(()),
    }
}

/// How far a command has come, for people.
fn sentence(command: &Value) -> String {
    let (op, id) = (text(command, "op"), text(command, "id"));
    match (text(command, "state"), text(command, "waiting_for")) {
        ("applied", _) => format!("{op}: done"),
        ("pending", "signer") => format!("{op}: waits to be signed (command {id})"),
        ("pending", _) => format!("{op}: waits for the seal to connect (command {id})"),
        (state, _) => format!("{op}: {state} (command {id})"),
    }
}

/// The seal's reason, by number and name.
fn error(command: &Value) -> String {
    let code = command.get("error_code").and_then(Value::as_u64);
    code.map_or_else(String::new, |code| {
        format!(", error 0x{code:04x} ({})", text(command, "error_name"))
    })
}

/// It is not over and the waiting is.
fn late(command: &Value) -> Failure {
    if text(command, "waiting_for") == "signer" {
        return Failure::new(Exit::Unreachable, "the command is not signed yet")
            .hint("the order stands; does the signer run? `/readyz` and the gateway's log say so");
    }
    Failure::new(Exit::Unreachable, "the seal has not answered yet").hint(format!(
        "the order stands; `sealgate device commands {}` shows it",
        text(command, "device")
    ))
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
    fn a_pending_command_says_whom_it_waits_for_and_a_refused_one_why() {
        let pending = |whom: &str| json!({"id": "1", "op": "unlock", "state": "pending", "waiting_for": whom});
        assert!(sentence(&pending("signer")).contains("to be signed"));
        assert!(sentence(&pending("seal")).contains("the seal to connect"));
        let refused = json!({"error_code": 0x0302, "error_name": "unbound"});
        assert_eq!(error(&refused), ", error 0x0302 (unbound)");
        assert_eq!(error(&json!({"error_code": null})), "");
    }

    #[test]
    fn ids_can_not_leave_their_place_in_the_path() {
        assert_eq!(segment("abc-1"), "abc-1");
        assert_eq!(segment("../tokens?x"), "..%2Ftokens%3Fx");
    }
}
