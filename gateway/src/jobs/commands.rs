//! Commands: unsigned ones are signed, signed ones sent to live sessions, overdue ones expired.

use bytes::Bytes;
use sealgate_domain::command::Domain;

use super::{Parts, ticket};
use crate::{
    app::{
        AppError,
        command::{Delivery, Ready, Signature, Unsigned},
    },
    devices::Outgoing,
    signer::{Purpose, SignRequest},
};

/// Commands of one request to the signer.
const BATCH: u64 = 256;
/// Devices of one look for waiting commands.
const CLAIMS: u64 = 512;

/// Signs what waits for it and sends what can be sent: a lock takes this road, so nothing slow is on it.
pub(super) async fn round(parts: Parts) -> Result<(), AppError> {
    loop {
        let unsigned = parts.app.unsigned_commands(BATCH).await?;
        if unsigned.is_empty() {
            return Ok(());
        }
        let full = unsigned.len() as u64 == BATCH;
        let signed = sign(&parts, &unsigned).await?;
        let ready = parts.app.commands_signed(&signed).await?;
        dispatch(&parts, ready).await?;
        if !full {
            return Ok(());
        }
    }
}

/// Sends what waits although its device is here (its turn came, or its signature was made elsewhere), and expires what
/// is overdue.
pub(super) async fn claim(parts: Parts) -> Result<(), AppError> {
    parts.app.expire_commands(BATCH).await?;
    let ready = parts
        .app
        .claim_commands(&parts.node, CLAIMS, |device| {
            parts.devices.takes(device, None)
        })
        .await?;
    dispatch(&parts, ready).await
}

/// Hands commands to their sessions. What finds a full mailbox, or no session, waits again.
async fn dispatch(parts: &Parts, ready: Vec<Ready>) -> Result<(), AppError> {
    let mut refused = Vec::new();
    for command in ready {
        let delivery = Delivery {
            id: command.id,
            counter: command.counter,
        };
        let device = command.device;
        let outgoing = Outgoing {
            id: command.id.0,
            domain: command.domain.number(),
            counter: command.counter,
            priority: command.priority,
            cose: Bytes::from(command.ticket),
        };
        if !parts.devices.dispatch(device, outgoing) {
            refused.push(delivery);
            tracing::debug!(%device, "no session has room for a command");
        }
    }
    parts.app.commands_returned(&refused).await
}

/// One request to the signer for all. What it refuses for good, and what cannot be read, is refused for good.
async fn sign(parts: &Parts, unsigned: &[Unsigned]) -> Result<Vec<Signature>, AppError> {
    let now = parts.app.clock.now();
    let payloads: Vec<Option<Vec<u8>>> = unsigned
        .iter()
        .map(|command| ticket::payload(command, now))
        .collect();
    let request = |(command, payload): (&Unsigned, &Option<Vec<u8>>)| {
        Some(SignRequest {
            purpose: Purpose::Ticket,
            key_set: command.key_set,
            payload: payload.clone()?,
        })
    };
    let requests: Vec<SignRequest> = unsigned.iter().zip(&payloads).filter_map(request).collect();
    let asked = requests.len();
    let answers = parts.signer.sign(requests).await.map_err(|error| {
        tracing::debug!(%error, commands = asked, "the signer did not sign");
        AppError::conflict("签名服务没有应答", "the signer did not answer")
    })?;
    if answers.len() != asked {
        return Err(AppError::conflict(
            "签名服务的应答不符",
            "the signer answered something else",
        ));
    }
    let mut answers = answers.into_iter();
    let signatures = unsigned.iter().zip(payloads).map(|(command, payload)| {
        let answer = payload.and_then(|_| answers.next());
        if let Some(Err(refused)) = &answer {
            tracing::error!(command = %command.id.0, %refused, "the signer refused a command");
        }
        Signature {
            id: command.id,
            counter: command.counter,
            ticket: answer.and_then(Result::ok).map(|signed| signed.cose),
            live: parts.devices.takes(command.device, domain(command)),
        }
    });
    Ok(signatures.collect())
}

fn domain(command: &Unsigned) -> Option<Domain> {
    command.order.as_ref().map(|order| order.op().domain())
}
