//! What a box does for one seal, without I/O: bytes, frames and a time in; outputs and a deadline out.
//!
//! Constraints and invariants:
//! - [`Output::Append`] must be answered by [`SealCore::appended`] before anything else is given in: *received* follows the
//!   commit, and messages keep their order.
//! - After a message was refused (queue full, or failing) the link ends: a later *received* would cover what is not there.
//! - A message of the gateway goes to the link it was sent for and to none later; each is answered once.
//! - HELLO opens the seal's session at the gateway. On a new connection to the gateway an open link whose HELLO went away
//!   with the old one is ended, so that the seal says a fresh one: an old HELLO would report old counters.
//! - What the gateway has not confirmed is bounded by a window; the rest stays in the queue.

use std::collections::{HashMap, VecDeque};

use sealgate_codec::{
    DeviceId, ErrorCode, Frame, Message, MessageType,
    edge::{LinkState, PassResult, SealFrame, SealOpen},
    link::{
        BoxLink, BoxSetup, CloseCode, CloseReason, Framing, Link as _, LinkEvent, Millis, Received,
    },
    message::{ErrMsg, MAX_MESSAGE},
    record::LinkKind,
};

use crate::queue::Queued;

use super::live::{Live, is_evidence};

/// Messages and bytes sent to the gateway and not stored by it, at most.
const WINDOW: (usize, usize) = (256, 256 * 1024);
/// Messages of the gateway that wait for room in the link, before no more are taken from the stream.
const BACKLOG: usize = 16;
/// A seal whose records found no room is told to come again after so many seconds.
const FULL_RETRY: u16 = 60;

/// What the driver has to do, in this order.
#[derive(Debug)]
pub enum Output {
    /// Write to the connection.
    Write(Vec<u8>),
    /// Append to the queue, then call [`SealCore::appended`].
    Append {
        /// Number of the link.
        term: u32,
        /// The message.
        message: Vec<u8>,
        /// Whether it may use the queue's reserve.
        reserve: bool,
    },
    /// Drop everything up to this number from the queue.
    Stored(u64),
    /// Send on the stream.
    Up(SealFrame),
    /// The link is open.
    Opened {
        /// Only part of the messages pass.
        restricted: bool,
    },
    /// The link is over; let go of the connection.
    Closed(CloseReason),
    /// A message of the seal found no room, or could not be written.
    NoRoom,
    /// The gateway refuses the stream: end it, and open it again after so many seconds.
    Refused(ErrorCode, u16),
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Committed.
    Done,
    /// The queue is full, or failing.
    NoRoom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Closed,
    /// OPEN went, ACCEPT has not come.
    Opening,
    Open,
}

/// The box's side of one seal.
pub struct SealCore {
    dev: DeviceId,
    idle: Millis,
    live: Option<Live>,
    state: LinkState,
    stream: Stream,
    /// Read from the queue and sent on this stream up to here.
    sent: u64,
    /// Sent and not stored: number and length.
    in_flight: VecDeque<(u64, usize)>,
    in_flight_bytes: usize,
    /// Something may be in the queue behind `sent`.
    more: bool,
    /// Messages of the seal that were no messages.
    pub faults: u64,
    out: VecDeque<Output>,
}

impl SealCore {
    /// For this seal, whose last link had this number; BLE links without a word for `idle` are ended.
    #[must_use]
    pub fn new(dev: DeviceId, term: u32, idle: Millis) -> Self {
        Self {
            dev,
            idle,
            live: None,
            state: LinkState {
                linked: false,
                way: LinkKind::Ble,
                term,
                rssi: None,
            },
            stream: Stream::Closed,
            sent: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            more: true,
            faults: 0,
            out: VecDeque::new(),
        }
    }

    /// Next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Whether there is a link, opening or open.
    #[must_use]
    pub const fn has_link(&self) -> bool {
        self.live.is_some()
    }

    /// How the link is.
    #[must_use]
    pub const fn link_state(&self) -> LinkState {
        self.state
    }

    /// Begins a link over a fresh connection. `term` is a fresh number.
    ///
    /// # Errors
    /// The ticket is not for this box; nothing was begun.
    pub fn connect(
        &mut self,
        setup: BoxSetup,
        term: u32,
        rssi: Option<i8>,
        now: Millis,
    ) -> Result<(), ErrorCode> {
        let ble = matches!(setup.framing, Framing::Ble { .. });
        let machine = BoxLink::open(setup, now)?;
        self.state = LinkState {
            linked: false,
            way: if ble { LinkKind::Ble } else { LinkKind::Uart },
            term,
            rssi,
        };
        self.live = Some(Live {
            machine,
            ble,
            busy: now,
            hello: None,
            told: false,
            received: None,
            under_way: HashMap::new(),
            waiting: VecDeque::new(),
        });
        self.settle(now);
        Ok(())
    }

    /// A value or a piece of the line came.
    pub fn bytes(&mut self, bytes: &[u8], now: Millis) {
        if let Some(live) = &mut self.live {
            live.machine.receive(bytes, now);
        }
        self.settle(now);
    }

    /// The connection is gone.
    pub fn hung_up(&mut self, now: Millis) {
        self.settle(now);
        if self.live.is_some() {
            self.over(CloseReason::Lost);
        }
    }

    /// Ends the link.
    pub fn close(&mut self, code: CloseCode, now: Millis) {
        if let Some(live) = &mut self.live {
            live.machine.close(code);
        }
        self.settle(now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        if let Some(live) = &mut self.live {
            live.machine.tick(now);
        }
        self.settle(now);
        if self.idle_at().is_some_and(|at| at <= now) {
            self.close(CloseCode::Done, now);
        }
    }

    /// When [`SealCore::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let machine = self.live.as_ref().and_then(|live| live.machine.deadline());
        match (machine, self.idle_at()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Radio time is scarce: a BLE link with nothing to say ends.
    fn idle_at(&self) -> Option<Millis> {
        let live = self.live.as_ref()?;
        let quiet = live.under_way.is_empty() && live.waiting.is_empty();
        (live.ble && self.state.linked && quiet).then(|| live.busy.saturating_add(self.idle))
    }

    /// The answer to [`Output::Append`].
    pub fn appended(&mut self, message: &[u8], result: Appended, now: Millis) {
        match result {
            Appended::Done => {
                self.more = true;
                if let (Some(live), Ok(frame)) = (&mut self.live, Frame::decode(message))
                    && let Message::Stamps(stamps) = frame.message
                {
                    let count = u32::try_from(stamps.records.len()).unwrap_or(u32::MAX);
                    live.received = Some(Received {
                        epoch: stamps.epoch,
                        upto: stamps.first.saturating_add(count),
                    });
                }
            }
            Appended::NoRoom => {
                self.out.push_back(Output::NoRoom);
                self.answer(message, ErrorCode::RetryLater, Some(FULL_RETRY), now);
                self.close(CloseCode::Stop, now);
            }
        }
        self.settle(now);
    }

    /// Answers a message of the seal in the box's own name: it never reaches the gateway.
    fn answer(&mut self, message: &[u8], code: ErrorCode, retry: Option<u16>, now: Millis) {
        let (Some(live), Some((_, mid))) = (&mut self.live, Frame::peek(message)) else {
            return;
        };
        let err = Frame::reply(0, mid, Message::Err(ErrMsg { code, retry }));
        // A link without room for it has other troubles; the seal sends again in any case.
        let _ = live.machine.send(&err.encode(), now);
    }

    /// A stream to the gateway is there; `queued` is the first number in the queue.
    pub fn stream_opened(&mut self, queued: u64, now: Millis) {
        if self.live.as_ref().is_some_and(|live| live.told) {
            self.close(CloseCode::Done, now);
        }
        self.stream = Stream::Opening;
        self.sent = 0;
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.more = true;
        self.out.push_back(Output::Up(SealFrame::Open(SealOpen {
            dev: self.dev,
            link: self.state,
            queued,
        })));
    }

    /// The stream is gone.
    pub fn stream_closed(&mut self) {
        self.stream = Stream::Closed;
        if let Some(live) = &mut self.live {
            // Nobody waits for their fate any more; what has not left yet is for a session that is over.
            live.under_way.clear();
            live.waiting.clear();
        }
    }

    /// Whether frames of the gateway are taken now.
    #[must_use]
    pub fn takes_frames(&self) -> bool {
        self.live
            .as_ref()
            .is_none_or(|live| live.waiting.len() < BACKLOG)
    }

    /// A frame of the gateway came.
    ///
    /// # Errors
    /// The gateway broke the order of the stream; end it.
    pub fn frame(&mut self, frame: SealFrame, now: Millis) -> Result<(), ErrorCode> {
        match (frame, self.stream) {
            (SealFrame::Accept { stored }, Stream::Opening) => {
                self.stream = Stream::Open;
                self.stored(stored);
                if let Some(hello) = self.live.as_mut().and_then(|live| live.hello.take()) {
                    self.up_live(hello);
                }
            }
            (SealFrame::Send { n, term, message }, Stream::Open) => {
                self.send(n, term, message, now);
            }
            (SealFrame::Stored { upto }, Stream::Open) => self.stored(upto),
            (SealFrame::Refuse { code, retry }, _) => {
                self.stream_closed();
                self.out
                    .push_back(Output::Refused(code, retry.unwrap_or(60)));
            }
            _ => return Err(ErrorCode::Range),
        }
        self.settle(now);
        Ok(())
    }

    fn stored(&mut self, upto: u64) {
        while let Some((pos, length)) = self.in_flight.front().copied()
            && pos <= upto
        {
            self.in_flight.pop_front();
            self.in_flight_bytes -= length;
        }
        self.sent = self.sent.max(upto);
        if upto > 0 {
            self.out.push_back(Output::Stored(upto));
        }
    }

    fn send(&mut self, n: u32, term: u32, message: Vec<u8>, now: Millis) {
        let result = match &mut self.live {
            Some(live) if term == self.state.term && self.state.linked => {
                live.busy = now;
                live.waiting.push_back((n, message));
                None
            }
            _ => Some(PassResult::NoLink),
        };
        if let Some(result) = result {
            self.out
                .push_back(Output::Up(SealFrame::Pass { n, result }));
        }
    }

    /// Behind which number messages of the queue are wanted, if any are.
    #[must_use]
    pub fn wants(&self) -> Option<u64> {
        let room = self.in_flight.len() < WINDOW.0 && self.in_flight_bytes < WINDOW.1;
        (self.stream == Stream::Open && self.more && room).then_some(self.sent)
    }

    /// What [`SealCore::wants`] asked for; nothing: the queue has no more.
    pub fn queued(&mut self, messages: Vec<Queued>) {
        self.more = !messages.is_empty();
        for Queued { pos, term, body } in messages {
            self.sent = pos;
            self.in_flight.push_back((pos, body.len()));
            self.in_flight_bytes += body.len();
            self.out.push_back(Output::Up(SealFrame::Msg {
                pos,
                term,
                message: body,
            }));
        }
    }

    /// Whether a stream is worth having: a link is there, or something waits in the queue.
    #[must_use]
    pub fn wants_stream(&self, waiting: bool) -> bool {
        self.live.is_some() || waiting || !self.in_flight.is_empty()
    }

    /// Everything sent is stored, and nothing more is known to wait.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.live.is_none() && self.in_flight.is_empty() && !self.more
    }

    fn up_live(&mut self, message: Vec<u8>) {
        let term = self.state.term;
        if let (Some(live), Some((MessageType::Hello, _))) = (&mut self.live, Frame::peek(&message))
        {
            live.told = true;
        }
        self.out.push_back(Output::Up(SealFrame::Msg {
            pos: 0,
            term,
            message,
        }));
    }

    fn on_message(&mut self, message: Vec<u8>, now: Millis) {
        if let Some(live) = &mut self.live {
            live.busy = now;
        }
        if message.len() > MAX_MESSAGE {
            self.faults += 1;
            return;
        }
        match Frame::peek(&message).map(|(kind, _)| kind) {
            Some(kind) if is_evidence(kind) => self.out.push_back(Output::Append {
                term: self.state.term,
                reserve: kind != MessageType::Stamps,
                message,
            }),
            Some(kind) => {
                let hello = kind == MessageType::Hello;
                match (self.stream, &mut self.live) {
                    (Stream::Open, _) => self.up_live(message),
                    // Not worth anything later, but without HELLO there is no session.
                    (_, Some(live)) if hello => live.hello = Some(message),
                    _ => {}
                }
            }
            // Nothing this version knows; the gateway may.
            None if self.stream == Stream::Open => self.up_live(message),
            None => self.faults += 1,
        }
    }

    /// After every change: takes what the machine has, gives it what waits.
    fn settle(&mut self, now: Millis) {
        while let Some(live) = &mut self.live {
            live.feed(now, &mut self.out);
            while let Some(bytes) = live.machine.poll_output() {
                self.out.push_back(Output::Write(bytes));
            }
            match live.machine.poll_event() {
                Some(event) => self.on_event(event, now),
                None => break,
            }
        }
    }

    fn on_event(&mut self, event: LinkEvent, now: Millis) {
        match event {
            LinkEvent::Opened { restricted } => {
                if let Some(live) = &mut self.live {
                    live.busy = now;
                }
                self.state.linked = true;
                self.out.push_back(Output::Opened { restricted });
                self.say_link();
            }
            LinkEvent::Message(message) => self.on_message(message, now),
            LinkEvent::Delivered(id) => {
                let n = self.live.as_mut().and_then(|l| l.under_way.remove(&id));
                if let Some(n) = n {
                    let result = PassResult::Passed;
                    self.out
                        .push_back(Output::Up(SealFrame::Pass { n, result }));
                }
            }
            LinkEvent::Closed(reason) => self.over(reason),
            // RECEIVED is for seals, and a lifted restriction shows in what passes.
            LinkEvent::Received(_) | LinkEvent::Unrestricted => {}
        }
    }

    fn over(&mut self, reason: CloseReason) {
        let Some(mut live) = self.live.take() else {
            return;
        };
        while let Some(bytes) = live.machine.poll_output() {
            self.out.push_back(Output::Write(bytes));
        }
        let lost = live.under_way.into_values();
        for n in lost.chain(live.waiting.into_iter().map(|(n, _)| n)) {
            let result = PassResult::NoLink;
            self.out
                .push_back(Output::Up(SealFrame::Pass { n, result }));
        }
        if self.state.linked {
            self.state.linked = false;
            self.say_link();
        }
        self.out.push_back(Output::Closed(reason));
    }

    fn say_link(&mut self) {
        if self.stream != Stream::Closed {
            self.out.push_back(Output::Up(SealFrame::Link(self.state)));
        }
    }
}
