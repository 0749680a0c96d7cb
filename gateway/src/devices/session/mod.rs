//! One task a session: it owns what is known of the device while the link lives.
//!
//! - A pending lock leaves before anything the device says is read.
//! - Every reliable payload is answered by exactly one [`Downlink::Accepted`], in arrival order, after its effects are
//!   durable or it is finally rejected. Only a failing store withholds it, and then the session ends.
//! - Stamps are checked here and committed elsewhere, several batches under way at once; a device's own order holds.
//! - Orders of others (mailbox) go before commits, commits before reading on. While too much is under way, nothing is
//!   read, so the link slows the device down.
//! - A panic ends this session only: its seat is given back by `Drop`.
//! - An idle session is small: what seldom happens is awaited in a box, made when it happens.

mod check;
mod hello;
mod log;
mod orders;
mod talk;
mod telemetry;

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use sealgate_codec::{ErrorCode, Frame, Message};
use sealgate_domain::{
    DeviceId,
    device::Life,
    stamp::{Cursor, TimeSync},
};
use tokio::sync::mpsc;

use super::{
    Host,
    flight::{Due, Flight},
    ingest::Fault,
    link::{CloseReason, Downlink, LinkEnd, LinkKind, Uplink, UplinkLane},
    mailbox::{Note, Outgoing},
    rate::Bucket,
    registry::Handle,
};
use crate::app::{
    AppError,
    command::{DeviceAnswer, Ready},
    session::{Credentials, Standing},
    stamp::IngestOutcome,
};

pub(super) use log::StampCommit;

/// Reliable payloads under way at once; beyond it the session does not read.
const WINDOW: usize = 8;
/// Longest orderly end: what is under way is settled within it or left to the next session.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The link ended it.
    Link(LinkEnd),
    /// We end it.
    Close(CloseReason),
}

impl End {
    /// The label of the metric.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Link(LinkEnd::Disconnected) => "disconnected",
            Self::Link(LinkEnd::Lost) => "lost",
            Self::Link(LinkEnd::Violation) | Self::Close(CloseReason::Violation) => "violation",
            Self::Link(LinkEnd::Draining) | Self::Close(CloseReason::Draining) => "draining",
            Self::Close(CloseReason::TakenOver) => "taken_over",
            Self::Close(CloseReason::NotAuthorized) => "not_authorized",
            Self::Close(CloseReason::Unresponsive) => "unresponsive",
            Self::Close(CloseReason::StoreFailed) => "store_failed",
            Self::Close(CloseReason::LogReopened) => "log_reopened",
        }
    }
}

/// What HELLO told about this boot of the device.
#[derive(Debug, Clone, Copy)]
struct Greeting {
    /// The device's uptime and our time at that moment.
    sync: TimeSync,
    /// Percent, as last heard.
    battery: u8,
    /// A nonce that no lease has answered yet.
    nonce: Option<[u8; 8]>,
}

/// A reliable payload that is owed its [`Downlink::Accepted`].
#[derive(Debug)]
enum Owed {
    /// All its effects are there; only its turn is missing.
    Turn,
    /// A batch of records on its way to the disk.
    Batch(log::Batch),
}

/// What happens next.
enum Step {
    Cancelled,
    Notes,
    Settled(Option<Result<IngestOutcome, Fault>>),
    Timer,
    Room,
    Uplink(Option<Uplink>),
}

/// The session.
pub(super) struct Session {
    host: Arc<Host>,
    device: DeviceId,
    kind: LinkKind,
    handle: Handle,
    down: mpsc::Sender<Downlink>,
    credentials: Arc<Credentials>,
    /// The log key of `credentials`, once it was needed.
    log_key: Option<VerifyingKey>,
    standing: Standing,
    greeting: Option<Greeting>,
    /// Where the log stands once everything under way is stored.
    cursor: Option<Cursor>,
    owed: VecDeque<Owed>,
    /// A checked batch that found the group commit full.
    held: Option<log::Checked>,
    flight: Flight,
    /// Answers that came before HELLO: HELLO tells whether they fit.
    early: Vec<DeviceAnswer>,
    bucket: Bucket,
    paused_until: Option<Duration>,
    next_mid: u16,
    last_event: Option<(u32, u32)>,
    contact_noted: Duration,
    /// The end has come; what is under way is still settled.
    draining: bool,
}

impl Session {
    /// A session that has said nothing yet.
    pub(super) fn new(
        host: Arc<Host>,
        (device, kind): (DeviceId, LinkKind),
        handle: Handle,
        down: mpsc::Sender<Downlink>,
        credentials: Arc<Credentials>,
    ) -> Self {
        let now = host.clock.monotonic();
        Self {
            device,
            kind,
            handle,
            down,
            standing: credentials.standing(),
            credentials,
            log_key: None,
            greeting: None,
            cursor: None,
            owed: VecDeque::new(),
            held: None,
            flight: Flight::default(),
            early: Vec::new(),
            bucket: Bucket::full(host.settings.rate, now),
            paused_until: None,
            next_mid: 1,
            last_event: None,
            contact_noted: now,
            draining: false,
            host,
        }
    }

    /// Runs to the end, and tells the link.
    pub(super) async fn run(mut self: Box<Self>, mut up: mpsc::Receiver<Uplink>) -> End {
        let end = match Box::pin(self.begin()).await {
            Ok(()) => self.drive(&mut up).await,
            Err(end) => end,
        };
        if end == End::Close(CloseReason::Draining) {
            // What is not settled in time is neither acknowledged nor lost: the device sends it again.
            let _ = tokio::time::timeout(DRAIN, Box::pin(self.settle_all())).await;
        }
        if let End::Close(reason) = end {
            // A link that takes nothing any more sees the token and the closed channel.
            let _ = self.down.try_send(Downlink::Close(reason));
            self.handle.close(reason);
        }
        end
    }

    async fn begin(&mut self) -> Result<(), End> {
        let lock = self
            .host
            .app
            .pending_lock(self.device)
            .await
            .map_err(|error| self.store_failed(&error))?;
        if let Some(command) = lock {
            self.launch(outgoing(command)).await?;
        }
        Ok(())
    }

    async fn drive(&mut self, up: &mut mpsc::Receiver<Uplink>) -> End {
        let cancel = self.handle.cancel.clone();
        // Made once: it would be enlisted anew at every turn.
        let mut cancelled = pin!(cancel.cancelled());
        loop {
            let result = match self.next(up, cancelled.as_mut()).await {
                Step::Cancelled => Err(End::Close(self.handle.close_reason())),
                Step::Notes => Box::pin(self.read_notes()).await,
                Step::Settled(outcome) => self.settle(outcome).await,
                Step::Timer => Box::pin(self.on_timer()).await,
                Step::Room => self.submit_held(),
                Step::Uplink(None) => Err(End::Link(LinkEnd::Lost)),
                Step::Uplink(Some(Uplink::End(end))) => Err(End::Link(end)),
                Step::Uplink(Some(Uplink::Payload { lane, payload })) => {
                    Box::pin(self.receive(lane, &payload)).await
                }
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    async fn next(
        &mut self,
        up: &mut mpsc::Receiver<Uplink>,
        cancelled: Pin<&mut impl Future<Output = ()>>,
    ) -> Step {
        let now = self.host.clock.monotonic();
        let reading =
            self.held.is_none() && self.owed.len() < WINDOW && self.paused_until.is_none();
        let timer = [
            self.flight.deadline(self.host.settings.patience),
            self.paused_until,
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at| at.saturating_sub(now));
        tokio::select! {
            biased;
            () = cancelled => Step::Cancelled,
            () = self.handle.mailbox.arrived() => Step::Notes,
            outcome = settled(&mut self.owed) => Step::Settled(outcome),
            () = tokio::time::sleep(timer.unwrap_or_default()), if timer.is_some() => Step::Timer,
            () = self.host.ingest.room(), if self.held.is_some() => Step::Room,
            payload = up.recv(), if reading => Step::Uplink(payload),
        }
    }

    /// One payload of the link: rate, decoding, its handler.
    async fn receive(&mut self, lane: UplinkLane, payload: &[u8]) -> Result<(), End> {
        let now = self.host.clock.monotonic();
        let pause = self.bucket.take(self.host.settings.rate, now);
        self.paused_until = pause.map(|pause| now + pause);
        self.note_contact(now);
        match Frame::decode(payload) {
            Ok(frame) if lane_fits(lane, &frame.message) => {
                let kind = frame.message.kind().label();
                self.host
                    .metrics
                    .messages_received
                    .with_label_values(&[kind])
                    .inc();
                self.dispatch(lane, frame).await
            }
            Ok(frame) => {
                self.reject(lane, Some(frame.mid), ErrorCode::Malformed)
                    .await
            }
            Err(error) => {
                tracing::debug!(device = %self.device, %error, "a message was refused");
                self.reject(lane, None, error.code()).await
            }
        }
    }

    async fn dispatch(&mut self, lane: UplinkLane, frame: Frame) -> Result<(), End> {
        let mid = frame.mid;
        if !self.may_say(&frame.message) {
            let code = self.refusal_by_life();
            return self.reject(lane, Some(mid), code).await;
        }
        match frame.message {
            Message::Hello(hello) => self.on_hello(mid, &hello).await?,
            Message::LeaseReq(request) => self.on_lease_request(mid, request).await?,
            // A batch owes its own turn, when it is stored.
            Message::Stamps(stamps) => return self.on_stamps(mid, stamps).await,
            Message::Event(event) => self.on_event(mid, event).await?,
            Message::CmdAck(answer) => self.on_command_answer(answer).await?,
            Message::Status(status) => self.on_status(&status),
            Message::Bye(bye) => self.on_bye(&bye),
            Message::FpProg(progress) => self.on_fingerprint(&progress),
            Message::OtaReq(_) => self.send_error(Some(mid), ErrorCode::RetryLater).await?,
            Message::OtaStat(status) => self.on_update_state(&status),
            Message::Err(error) => self.on_error(error),
            _ => return self.reject(lane, Some(mid), ErrorCode::UnknownType).await,
        }
        self.owe_turn(lane);
        Ok(())
    }

    /// A seal that is not bound may greet, get signed time and be bound; one taken out of use still hands in its log.
    fn may_say(&self, message: &Message) -> bool {
        match (self.standing.life, message) {
            (Life::Bound, _) => true,
            (Life::Suspended, message) => !matches!(message, Message::LeaseReq(_)),
            (Life::Unbound, Message::LeaseReq(_)) => true,
            (_, message) => !matches!(
                message,
                Message::LeaseReq(_) | Message::Stamps(_) | Message::Event(_) | Message::FpProg(_)
            ),
        }
    }

    fn refusal_by_life(&self) -> ErrorCode {
        match self.standing.life {
            Life::Suspended => ErrorCode::Suspended,
            _ => ErrorCode::Unbound,
        }
    }

    async fn on_timer(&mut self) -> Result<(), End> {
        let now = self.host.clock.monotonic();
        if self.paused_until.is_some_and(|until| now >= until) {
            self.paused_until = None;
        }
        let patience = self.host.settings.patience;
        while let Some(due) = self.flight.due(patience, now) {
            match due {
                Due::Resend(command) => self.send_command(&command).await?,
                Due::Unresponsive => return Err(End::Close(CloseReason::Unresponsive)),
            }
        }
        Ok(())
    }

    async fn read_notes(&mut self) -> Result<(), End> {
        while let Some(note) = self.handle.mailbox.pop() {
            match note {
                Note::Command(command) => self.launch(command).await?,
                Note::Refresh => self.refresh().await?,
            }
        }
        Ok(())
    }

    /// The device's row changed: what it may do is read anew.
    async fn refresh(&mut self) -> Result<(), End> {
        let credentials = self
            .host
            .credentials(self.device)
            .await
            .map_err(|error| self.store_failed(&error))?;
        // A certificate that was exchanged ends the session of the old one.
        let same = |now: &Arc<Credentials>| {
            now.certificate == self.credentials.certificate && super::check(now).is_ok()
        };
        let Some(credentials) = credentials.filter(same) else {
            return Err(End::Close(CloseReason::NotAuthorized));
        };
        self.credentials = credentials;
        self.log_key = None;
        self.standing = self
            .host
            .app
            .device_standing(self.device)
            .await
            .map_err(|error| self.store_failed(&error))?
            .ok_or(End::Close(CloseReason::NotAuthorized))?;
        self.check_cursor().await
    }

    fn store_failed(&self, error: &AppError) -> End {
        tracing::error!(device = %self.device, %error, "the session ends: the database failed");
        End::Close(CloseReason::StoreFailed)
    }
}

/// Waits until the oldest owed payload is settled; for ever when nothing is owed.
async fn settled(owed: &mut VecDeque<Owed>) -> Option<Result<IngestOutcome, Fault>> {
    match owed.front_mut() {
        None => std::future::pending().await,
        Some(Owed::Turn) => None,
        Some(Owed::Batch(batch)) => Some(batch.answer().await),
    }
}

/// A claimed command, on its way.
fn outgoing(ready: Ready) -> Outgoing {
    Outgoing {
        id: ready.id.0,
        domain: ready.domain.number(),
        counter: ready.counter,
        priority: ready.priority,
        cose: Bytes::from(ready.ticket),
    }
}

/// Which messages a device sends on which of its topics.
const fn lane_fits(lane: UplinkLane, message: &Message) -> bool {
    match lane {
        UplinkLane::Telemetry => matches!(message, Message::Status(_)),
        UplinkLane::Farewell => matches!(message, Message::Bye(_)),
        UplinkLane::Reliable => !matches!(message, Message::Bye(_)),
    }
}
