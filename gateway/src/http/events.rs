//! Committed events, live and from any position: as a stream (SSE) or by asking again and again (long poll).
//!
//! A reader pulls pages from the outbox at its own speed, so a slow one holds one page and nothing more. Positions
//! never go back and never skip: what a reader has seen up to N, it has seen whole. Where that cannot hold (events
//! deleted by age, a database restored from a backup) the reader is told. A token is looked at again by the clock,
//! however busy its stream is.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event as Frame, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::app::{
    Actor,
    events::{Event, Filter, Lost, Reset},
};

use super::{
    Api,
    auth::Caller,
    extract::Params,
    problem::{Problem, ProblemDocument},
    streams::{Full, Seat},
    values::{DeviceRef, Time},
};

/// A comment is sent after this much silence; the token is looked at again this often.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// A long poll waits this long at most.
const MAX_WAIT: u64 = 60;

/// One committed change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Its place in the order of all events; also the SSE `id`.
    position: i64,
    /// What it is about; also the SSE `event`.
    #[schema(example = "stamp")]
    topic: String,
    /// Whose it is.
    #[schema(value_type = Option<uuid::Uuid>)]
    organization: Option<uuid::Uuid>,
    /// Which device it is about.
    device: Option<DeviceRef>,
    /// When it was committed.
    at: Time,
    /// What happened.
    #[schema(value_type = Object)]
    payload: serde_json::Value,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            position: event.position,
            topic: event.topic.as_str().to_owned(),
            organization: event.organization.map(|id| id.0),
            device: event.device.map(DeviceRef),
            at: Time(event.at),
            payload: event.payload,
        }
    }
}

/// The answer of a long poll.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// Events behind `after`, in order.
    events: Vec<EventView>,
    /// Send it as `after` next time.
    after: i64,
}

/// Data of the `reset` event: read the state anew, events go on behind `after`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResetView {
    /// `expired`: events were deleted by age. `ahead`: the database was restored from a backup.
    #[schema(example = "expired")]
    reason: &'static str,
    /// The newest position; also the SSE `id`.
    after: i64,
}

/// Which events.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Topics separated by commas; without it all that the token may see.
    #[param(example = "stamp,alarm")]
    topics: Option<String>,
    /// Begin behind this position; without it with what happens from now on.
    after: Option<i64>,
    /// Answer as JSON, waiting this many seconds (60 at most) for the first event.
    wait: Option<u64>,
}

/// Follow committed events.
///
/// With `wait` the answer is one JSON page (long poll), otherwise a stream (SSE) that `Last-Event-ID` continues.
///
/// Events are kept for 30 days. If the position can no longer be continued, the stream sends an event named `reset`
/// with `reason` (`expired`: events were deleted by age; `ahead`: the database was restored from a backup) and
/// `after`, and goes on behind that; a long poll is refused with 410 `position_gone`, and the position to go on with
/// is that of a call without `after`. Either way take the position first, then read the state anew.
#[utoipa::path(get, path = "/events", tag = "events", operation_id = "follow_events",
    params(EventQuery), security(("token" = ["events:read"])),
    responses(
        (status = 200, description = "Events", content(
            (EventPage = "application/json"), (String = "text/event-stream"))),
        (status = 410, description = "Events cannot be continued from there: read the state anew",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn follow(
    State(api): State<Api>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(query): Params<EventQuery>,
) -> Result<Response, Problem> {
    let filter = api.app.event_filter(&actor, query.topics.as_deref())?;
    let after = match last_event_id(&headers)?.or(query.after) {
        Some(after) => after,
        None => api.app.newest_position().await?,
    };
    let seat = api.streams.take(&actor.id).map_err(full)?;
    let reset = api.app.broken_at(after).await?;
    let mut reader = Reader::new(api, actor, filter, after, seat);
    match query.wait {
        Some(seconds) => {
            if let Some(reset) = reset {
                return Err(gone(reset));
            }
            reader
                .poll(Duration::from_secs(seconds.min(MAX_WAIT)))
                .await
        }
        None => {
            reader.restart(reset);
            Ok(reader.stream())
        }
    }
}

/// No place: the token's own share is its own to mend, the share of all comes back with time.
fn full(full: Full) -> Problem {
    match full {
        Full::Token => Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams").detail((
            "先关闭该令牌的一个事件流或长轮询（http.max_event_streams_per_token）",
            "end a stream or long poll of this token first (http.max_event_streams_per_token)",
        )),
        Full::All => Problem {
            retry_after: Some(5),
            ..Problem::of_status(StatusCode::SERVICE_UNAVAILABLE).detail((
                "事件流过多（http.max_event_streams）",
                "too many event streams (http.max_event_streams)",
            ))
        },
    }
}

fn gone(reset: Reset) -> Problem {
    let (chinese, english) = match reset.lost {
        Lost::Expired => (
            "该位置之后的事件已按期限删除",
            "events behind this position were deleted by age",
        ),
        Lost::Ahead => (
            "最新位置低于该位置",
            "the newest position is below this one",
        ),
    };
    let after = reset.after;
    Problem::new(StatusCode::GONE, "position_gone").detail((
        format!("{chinese}：请重新读取状态，再从 {after} 之后继续"),
        format!("{english}: read the state anew and go on behind {after}"),
    ))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| {
            Problem::bad_request(
                "invalid_header",
                (
                    "Last-Event-ID：须为事件位置（整数）",
                    "Last-Event-ID: a position, a whole number",
                ),
            )
        })
}

/// One client and how far it has read.
struct Reader {
    api: Api,
    actor: Actor,
    filter: Filter,
    after: i64,
    page: VecDeque<Event>,
    /// To be told before anything else.
    reset: Option<Reset>,
    /// Monotonic time at which token and position were looked at.
    checked: Duration,
    positions: watch::Receiver<i64>,
    _seat: Seat,
}

/// Why waiting ended.
enum Woken {
    Events,
    Silence,
    Draining,
}

impl Reader {
    fn new(api: Api, actor: Actor, filter: Filter, after: i64, seat: Seat) -> Self {
        Self {
            positions: api.app.wake.positions(),
            checked: api.app.clock.monotonic(),
            reset: None,
            api,
            actor,
            filter,
            after,
            page: VecDeque::new(),
            _seat: seat,
        }
    }

    /// Goes on elsewhere, if it must.
    fn restart(&mut self, reset: Option<Reset>) {
        if let Some(reset) = reset {
            self.page.clear();
            self.after = reset.after;
            self.reset = Some(reset);
        }
    }

    /// How long until token and position are due to be looked at again.
    fn due(&self) -> Duration {
        let since = self.api.app.clock.monotonic().saturating_sub(self.checked);
        HEARTBEAT.saturating_sub(since)
    }

    /// Ends a reader whose token is over, and notices that a slow one was overtaken.
    async fn check(&mut self) -> Result<(), Problem> {
        self.api.app.still_valid(&self.actor).await?;
        self.checked = self.api.app.clock.monotonic();
        let reset = self.api.app.broken_at(self.after).await?;
        self.restart(reset);
        Ok(())
    }

    /// Reads the next page; the wake-up is noted first, so that none is missed between reading and waiting.
    async fn read(&mut self) -> Result<(), Problem> {
        self.positions.borrow_and_update();
        let page = self.api.app.events_after(&self.filter, self.after).await?;
        self.page = page.events.into();
        self.after = page.after;
        Ok(())
    }

    async fn wait(&mut self, at_most: Duration) -> Woken {
        let draining = self.api.app.readiness.draining();
        tokio::select! {
            biased;
            () = draining.cancelled() => Woken::Draining,
            moved = self.positions.changed() => if moved.is_ok() { Woken::Events } else { Woken::Draining },
            () = tokio::time::sleep(at_most) => Woken::Silence,
        }
    }

    async fn poll(mut self, wait: Duration) -> Result<Response, Problem> {
        let clock = self.api.app.clock.clone();
        let until = clock.monotonic() + wait;
        loop {
            let before = self.after;
            self.read().await?;
            let left = until.saturating_sub(clock.monotonic());
            if !self.page.is_empty() || left.is_zero() {
                break;
            }
            // Nothing in what was looked at; there is more to look at.
            if self.after != before {
                continue;
            }
            if !matches!(self.wait(left).await, Woken::Events) {
                break;
            }
        }
        if self.due().is_zero() {
            self.api.app.still_valid(&self.actor).await?;
        }
        Ok(Json(EventPage {
            events: self.page.into_iter().map(EventView::from).collect(),
            after: self.after,
        })
        .into_response())
    }

    fn stream(self) -> Response {
        let gauge = self.api.metrics.event_streams.clone();
        gauge.inc();
        let open = Open(gauge);
        let frames = stream::unfold((self, open), |(mut reader, open)| async move {
            let frame = reader.next().await?;
            Some((Ok::<_, Infallible>(frame), (reader, open)))
        });
        let mut response = Sse::new(frames)
            .keep_alive(KeepAlive::new().interval(HEARTBEAT))
            .into_response();
        response.headers_mut().insert(
            header::CACHE_CONTROL,
            header::HeaderValue::from_static("no-store"),
        );
        response
    }

    /// The next event; `None` ends the stream: shutting down, the token is over, or the database is away.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if self.due().is_zero() {
                self.check().await.ok()?;
            }
            if let Some(reset) = self.reset.take() {
                return told(reset);
            }
            if let Some(event) = self.page.pop_front() {
                return frame(event);
            }
            let before = self.after;
            self.read().await.ok()?;
            if !self.page.is_empty() || self.after != before {
                continue;
            }
            match self.wait(self.due()).await {
                Woken::Events => {}
                Woken::Silence => self.check().await.ok()?,
                Woken::Draining => return None,
            }
        }
    }
}

fn told(reset: Reset) -> Option<Frame> {
    Frame::default()
        .id(reset.after.to_string())
        .event("reset")
        .json_data(ResetView {
            reason: reset.lost.as_str(),
            after: reset.after,
        })
        .ok()
}

fn frame(event: Event) -> Option<Frame> {
    let view = EventView::from(event);
    Frame::default()
        .id(view.position.to_string())
        .event(view.topic.clone())
        .json_data(view)
        .ok()
}

/// Counts an open stream down when it is gone.
struct Open(prometheus::IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
