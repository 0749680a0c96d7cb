//! A device's log: how far it is stored, what is the matter with it, what to do.

use axum::{Extension, Json, extract::State};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sealgate_domain::stamp::UNKNOWN_HEAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::device::{LogHead, LogPlace, LogShown, LogState, LogStep};

use super::super::{
    Api,
    answer::Refusals,
    auth::Caller,
    context::Context,
    extract::{Body, Path},
    language::Language,
    problem::Problem,
    values::{DeviceRef, EXAMPLE_DEVICE, Time},
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

/// A device's log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogView {
    device: DeviceRef,
    /// `open`: it takes records. `forked`: it contradicts what is stored and takes nothing. `missing`: the device freed
    /// records that are not stored, and nothing behind them is taken. `suspended`: the device is suspended. `not_begun`:
    /// the device has not told of a log yet.
    #[schema(example = "open")]
    state: &'static str,
    /// `nothing`, `reopen`, `reopen_then_resume` or `resume`.
    #[schema(example = "nothing")]
    next_step: &'static str,
    /// The same as a sentence, in the language of the request.
    #[schema(example = "没有要处理的事：日志正常接收记录")]
    advice: &'static str,
    /// Null until the device has told of a log.
    epoch: Option<i64>,
    /// The first record that is not stored.
    #[schema(example = 120)]
    next_seq: Option<i64>,
    /// The chain head before it; null until the device says it.
    head: Option<String>,
    /// When the last stored record was made.
    last_record_at: Option<Time>,
    /// The oldest record the device still has.
    device_first: Option<i64>,
    /// The record the device will make next.
    device_next: Option<i64>,
    last_alarm: Option<AlarmView>,
    /// Records that contradict stored ones: the first ten.
    contradictions: Vec<ContradictionView>,
}

/// An alarm about a device.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmView {
    /// `log_fork`, `log_freed`, `log_behind`, `log_head`, `counter_rollback`, `counter_ahead`, `two_seals` and the like.
    #[schema(example = "log_fork")]
    kind: Option<String>,
    at: Time,
}

/// A record that contradicts a stored one. It is kept aside and stored nowhere else.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContradictionView {
    epoch: i64,
    seq: i64,
    /// SHA-256 of its bytes.
    hash: String,
    received_at: Time,
}

/// See how far a device's log is stored, whether it stands still, and what to do about it.
#[utoipa::path(get, path = "/devices/{device}/log", tag = "devices", operation_id = "get_log",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE))), security(("token" = ["fleet:read"])),
    responses((status = 200, description = "It", body = LogView), Refusals))]
pub(crate) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(DeviceRef(id)): Path<DeviceRef>,
    Extension(context): Extension<Context>,
) -> Result<Json<LogView>, Problem> {
    let shown = api.app.device_log(&actor, id).await?;
    Ok(Json(view(DeviceRef(id), shown, context.language)))
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
    Extension(context): Extension<Context>,
    Body(body): Body<ReopenBody>,
) -> Result<Json<LogView>, Problem> {
    let place = LogPlace {
        from_seq: body.from_seq,
        head: head(body.head.as_deref())?,
    };
    let shown = api.app.reopen_log(&actor, id, &body.reason, place).await?;
    Ok(Json(view(DeviceRef(id), shown, context.language)))
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
            .ok_or_else(|| {
                Problem::invalid(
                    "head",
                    (
                        "须为64位十六进制数字，或 device",
                        "64 hexadecimal digits, or device",
                    ),
                )
            }),
    }
}

/// Code of the next step, and what it means for whoever reads it at night.
fn step(shown: &LogShown, language: Language) -> (&'static str, &'static str) {
    let (code, chinese, english) = match (shown.step, shown.state) {
        (LogStep::Nothing, LogState::NotBegun) => (
            "nothing",
            "没有要处理的事：印章尚未上报过日志",
            "nothing: the seal has not told of a log yet",
        ),
        (LogStep::Nothing, _) => (
            "nothing",
            "没有要处理的事：日志正常接收记录",
            "nothing: the log takes records",
        ),
        (LogStep::Reopen, _) => (
            "reopen",
            "日志已停止接收记录。先查明原因，再决定从哪条记录继续：sealgate device log-reopen",
            "the log takes no records. Find out why, then decide where it goes on: sealgate device log-reopen",
        ),
        (LogStep::ReopenAndResume, _) => (
            "reopen_then_resume",
            "日志已停止接收记录，印章已停用。先确认没有被复制的印章，再依次执行：sealgate device log-reopen、sealgate device resume",
            "the log takes no records and the seal is suspended. Make sure that there is no copy of it, then: sealgate device log-reopen, sealgate device resume",
        ),
        (LogStep::Resume, _) => (
            "resume",
            "印章已停用，日志仍接收记录。原因（sealgate device show）解决后执行：sealgate device resume",
            "the seal is suspended, its log takes records. Once the reason (sealgate device show) is settled: sealgate device resume",
        ),
    };
    match language {
        Language::Chinese => (code, chinese),
        Language::English => (code, english),
    }
}

fn view(device: DeviceRef, shown: LogShown, language: Language) -> LogView {
    let (next_step, advice) = step(&shown, language);
    let log = shown.log.as_ref();
    let head = log.filter(|log| log.head != UNKNOWN_HEAD);
    LogView {
        device,
        state: shown.state.as_str(),
        next_step,
        advice,
        epoch: log.map(|log| log.epoch),
        next_seq: log.map(|log| log.next_seq),
        head: head.map(|log| HEXLOWER.encode(&log.head)),
        last_record_at: Time::opt(log.and_then(|log| log.last_at)),
        device_first: shown.held.map(|(first, _)| first),
        device_next: shown.held.map(|(_, next)| next),
        last_alarm: shown.alarm.map(|alarm| AlarmView {
            kind: alarm.kind,
            at: Time(alarm.at),
        }),
        contradictions: shown
            .contradictions
            .into_iter()
            .map(|kept| ContradictionView {
                epoch: kept.epoch,
                seq: kept.seq,
                hash: HEXLOWER.encode(&kept.hash),
                received_at: Time::at(kept.received_at),
            })
            .collect(),
    }
}
