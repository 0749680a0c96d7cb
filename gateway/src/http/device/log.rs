//! A device's log that stands still.

use axum::{Json, extract::State};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sealgate_domain::stamp::UNKNOWN_HEAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::device::{DeviceLog, LogHead, LogPlace};

use super::super::{
    Api,
    answer::Refusals,
    auth::Caller,
    extract::{Body, Path},
    problem::Problem,
    values::{DeviceRef, EXAMPLE_DEVICE},
};

/// Why, and where the log goes on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReopenBody {
    /// For the audit.
    #[schema(
        example = "database restored from last night",
        min_length = 1,
        max_length = 200
    )]
    reason: String,
    /// The next record to take; what lies before it is given up. Left out: the first that the device still has.
    #[schema(example = 120)]
    from_seq: Option<u32>,
    /// The chain head before that record: 64 hexadecimal digits, or `device` for what its next signed checkpoint says.
    /// Left out: ours where nothing is given up, else the device's.
    #[schema(example = "device")]
    head: Option<String>,
}

/// How far a log is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogView {
    device: DeviceRef,
    #[schema(example = 1)]
    epoch: i64,
    /// The first record that is not stored.
    #[schema(example = 120)]
    next_seq: i64,
    /// The chain head before it; none until the device says it.
    head: Option<String>,
    /// `ok`, or `audit`: a contradiction waits for a decision.
    #[schema(example = "ok")]
    state: String,
}

/// Let a log that stands still (a fork, or records that the device freed and nobody has) go on from a chosen place.
#[utoipa::path(post, path = "/devices/{device}/log/reopen", tag = "devices", operation_id = "reopen_log",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))),
    request_body = ReopenBody, security(("token" = ["fleet:write"])),
    responses((status = 200, description = "It takes records again", body = LogView), Refusals))]
pub(crate) async fn reopen(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
    Body(body): Body<ReopenBody>,
) -> Result<Json<LogView>, Problem> {
    let place = LogPlace {
        from_seq: body.from_seq,
        head: head(body.head.as_deref())?,
    };
    let row = api.app.reopen_log(&actor, id, &body.reason, place).await?;
    Ok(Json(view(DeviceRef(id), row)))
}

fn head(text: Option<&str>) -> Result<LogHead, Problem> {
    match text {
        None => Ok(LogHead::Any),
        Some("device") => Ok(LogHead::Device),
        Some(text) => HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(LogHead::Given)
            .ok_or_else(|| Problem::invalid("head".to_owned(), "64 hexadecimal digits, or device")),
    }
}

fn view(device: DeviceRef, row: DeviceLog) -> LogView {
    LogView {
        device,
        epoch: row.epoch,
        next_seq: row.next_seq,
        head: (row.head != UNKNOWN_HEAD).then(|| HEXLOWER.encode(&row.head)),
        state: row.state,
    }
}
