//! What the gateway says on the control stream, and what the box keeps of it.

use sealgate_codec::{
    DeviceId, ErrorCode,
    edge::{
        Assign, Assigned, Control, ControlFrame, DrainReason, EdgeStatus, MAX_CONTROL,
        RenewedTicket, StreamDecoder, stream_frame,
    },
    link::{CloseCode, Millis},
};
use tokio::sync::mpsc;

use crate::{
    queue::{Queue, QueueError},
    seal::Command,
    uplink::{Event, Say},
};

use super::Agent;

/// Under this name the assignment is kept in the queue's file.
const KEPT: &str = "assignment";

/// The set of seals as the gateway gave it, and a new one that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    pub(super) version: u32,
    seals: Vec<Assigned>,
    coming: Vec<Assign>,
}

impl Assignment {
    /// What was kept; what cannot be read is as good as nothing, for the gateway sends it again.
    pub(super) async fn load(queue: &Queue) -> Result<Self, QueueError> {
        let mut assignment = Self::default();
        if let Some(kept) = queue.get(KEPT).await?
            && !assignment.decode(&kept)
        {
            tracing::warn!("the kept assignment is not understood");
            assignment = Self::default();
        }
        Ok(assignment)
    }

    pub(super) fn seals(&self) -> Vec<Assigned> {
        self.seals.clone()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in Assign::parts(self.version, self.seals.clone()) {
            let frame = ControlFrame::new(0, Control::Assign(part));
            bytes.extend_from_slice(&stream_frame(&frame.encode()));
        }
        bytes
    }

    fn decode(&mut self, mut bytes: &[u8]) -> bool {
        let mut decoder = StreamDecoder::new(MAX_CONTROL);
        let mut complete = false;
        while !bytes.is_empty() {
            let Ok((taken, frame)) = decoder.take(bytes) else {
                return false;
            };
            bytes = &bytes[taken..];
            if let Some(frame) = frame {
                match ControlFrame::decode(&frame).map(|frame| frame.control) {
                    Ok(Control::Assign(part)) => complete = self.take(part) == Ok(true),
                    _ => return false,
                }
            }
        }
        complete
    }

    /// Takes a part; whether the new set is complete now, and counts.
    pub(super) fn take(&mut self, part: Assign) -> Result<bool, ErrorCode> {
        if part.part == 0 {
            self.coming.clear();
        }
        let follows = usize::from(part.part) == self.coming.len();
        let same = self.coming.first().is_none_or(|first| {
            let last = self.coming.last().and_then(|last| last.seals.last());
            let rises = match (last, part.seals.first()) {
                (Some(last), Some(next)) => last.dev < next.dev,
                _ => true,
            };
            (first.version, first.parts) == (part.version, part.parts) && rises
        });
        if !follows || !same {
            self.coming.clear();
            return Err(ErrorCode::Range);
        }
        let complete = part.part + 1 == part.parts;
        self.coming.push(part);
        if complete {
            self.version = self.coming[0].version;
            self.seals = self.coming.drain(..).flat_map(|part| part.seals).collect();
        }
        Ok(complete)
    }

    fn ticket(&mut self, renewed: &RenewedTicket) {
        let place = self.seals.iter_mut().find(|seal| seal.dev == renewed.dev);
        if let Some(seal) = place {
            seal.ticket = Some(renewed.ticket.clone());
        }
    }
}

/// The control stream, as the agent sees it.
pub(super) struct GatewayLink {
    says: Option<mpsc::Sender<Say>>,
    /// Seconds between two STATUS, while connected.
    report: Option<Millis>,
    reported: Millis,
    pub(super) since: Millis,
    pub(super) trouble: Option<String>,
}

impl GatewayLink {
    pub(super) const fn new(says: mpsc::Sender<Say>) -> Self {
        Self {
            says: Some(says),
            report: None,
            reported: 0,
            since: 0,
            trouble: None,
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        self.report.is_some()
    }

    /// Says something, if somebody hears it. The agent does not wait: a control stream that is full is one that will break,
    /// and everything is said again on the next one.
    pub(super) fn say(&self, say: Say) {
        if let Some(says) = self.says.as_ref().filter(|_| self.is_up())
            && says.try_send(say).is_err()
        {
            tracing::warn!("the control stream does not move");
        }
    }

    pub(super) fn status(&mut self, status: EdgeStatus, now: Millis) {
        if let Some(every) = self.report
            && now >= self.reported + every
        {
            self.reported = now;
            self.say(Say::New(Control::Status(status)));
        }
    }

    /// The uplink ends when it hears nothing any more.
    pub(super) fn close(&mut self) {
        self.says = None;
    }
}

impl Agent {
    pub(super) async fn on_uplink(&mut self, event: Event) {
        match event {
            Event::Up(ack) => {
                let now = self.clock.monotonic();
                self.clock.correct(ack.now);
                self.link.report = Some(Millis::from(ack.report) * 1000);
                (self.link.reported, self.link.since) = (now, now);
                self.link.trouble = None;
                self.director.connected();
                self.metrics.connected();
            }
            Event::Down(why) => {
                self.link.report = None;
                self.link.since = self.clock.monotonic();
                self.link.trouble = Some(why);
                self.scans.gateway_gone();
            }
            Event::Control(frame) => self.on_control(frame).await,
        }
    }

    async fn on_control(&mut self, frame: ControlFrame) {
        let done = match frame.control {
            Control::Assign(part) => self.on_assign(part).await,
            Control::Tickets(renewed) => self.on_tickets(renewed).await,
            Control::Want(wants) => {
                let known = self.director.want(&wants);
                if known {
                    None
                } else {
                    Some(ErrorCode::NotUser)
                }
            }
            Control::Scan(scan) => {
                let until = self.clock.monotonic() + Millis::from(scan.seconds) * 1000;
                self.scans.gateway(until);
                None
            }
            Control::Drain { reason, within } => {
                tracing::info!(%reason, within, "the gateway asks to leave");
                if reason == DrainReason::Removed {
                    self.removed().await;
                }
                return;
            }
            Control::Err(error) => {
                let text = error.text.unwrap_or_default();
                return tracing::warn!(code = %error.code, text, "the gateway refused a message");
            }
            _ => return,
        };
        self.link.say(Say::Reply(frame.mid, Control::Done(done)));
    }

    async fn on_assign(&mut self, part: Assign) -> Option<ErrorCode> {
        match self.assignment.take(part) {
            Err(code) => Some(code),
            Ok(false) => None,
            Ok(true) => {
                let gone = self.director.assign(self.assignment.seals());
                self.close_links(&gone);
                self.keep().await
            }
        }
    }

    async fn on_tickets(&mut self, renewed: Vec<RenewedTicket>) -> Option<ErrorCode> {
        let mut unknown = false;
        for ticket in renewed {
            self.assignment.ticket(&ticket);
            unknown |= !self.director.ticket(ticket.dev, ticket.ticket);
        }
        let failed = self.keep().await;
        failed.or(unknown.then_some(ErrorCode::NotUser))
    }

    /// Keeps the set durably, then says by which version it goes; gives actors to new seals and takes them from old ones.
    async fn keep(&mut self) -> Option<ErrorCode> {
        let kept = self.queue.put(KEPT, self.assignment.encode()).await;
        let tended = self.tend().await;
        if let Err(error) = kept.and(tended) {
            tracing::error!(%error, "the assignment is not kept");
            return Some(ErrorCode::Internal);
        }
        let version = self.assignment.version;
        self.introduction.send_if_modified(|introduction| {
            std::mem::replace(&mut introduction.assignment, version) != version
        });
        None
    }

    /// The box has no seals any more, until it is told otherwise.
    async fn removed(&mut self) {
        self.assignment = Assignment::default();
        let gone = self.director.assign(Vec::new());
        self.close_links(&gone);
        self.keep().await;
    }

    fn close_links(&self, gone: &[DeviceId]) {
        for actor in gone.iter().filter_map(|dev| self.actors.get(dev)) {
            // Full: the actor is about to be let go anyway.
            let _ = actor.commands.try_send(Command::Close(CloseCode::Stop));
        }
    }
}
