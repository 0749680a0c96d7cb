//! The log of presses and its upload: the codec's sender decides what is sent and freed, this decides when.

use data_encoding::HEXLOWER;
use sealgate_codec::{
    DeviceId, Message,
    chain::{Appended, Head, LogSender, LogState, Proof, Reconciled},
    message::{LogAck, LogPosition, LogPull},
    record::{Record, RecordBytes},
    statement::{Receipt, ReceiptView},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Seal, Topic};
use ed25519_dalek::Signer as _;

/// Patience with an unanswered STAMPS.
const RESEND_MS: u64 = 20_000;

/// The log as flash keeps it. What was sent in a session does not survive `Seal::start`.
#[derive(Debug, Clone)]
pub struct LogFlash(pub(super) LogSender);

#[derive(Serialize, Deserialize)]
struct Stored {
    device: String,
    epoch: u32,
    capacity: u16,
    first: u32,
    head: String,
    records: Vec<String>,
    counted: [u16; 11],
}

impl LogFlash {
    pub(super) fn empty(device: DeviceId, capacity: u16) -> Self {
        Self(LogSender::new(device, 0, capacity))
    }

    /// Records held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Presses that found it full, by kind; place 0 is for those without one.
    #[must_use]
    pub fn counted(&self) -> &[u16; 11] {
        self.0.counted()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for LogFlash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = self.0.state();
        Stored {
            device: state.dev.to_string(),
            epoch: state.epoch,
            capacity: state.capacity,
            first: state.first,
            head: HEXLOWER.encode(&state.head.0),
            records: state
                .records
                .iter()
                .map(|record| HEXLOWER.encode(record))
                .collect(),
            counted: state.counted,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LogFlash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom);
        let records = stored
            .records
            .iter()
            .map(|text| {
                RecordBytes::new(&hex(text)?).ok_or_else(|| D::Error::custom("a record too long"))
            })
            .collect::<Result<_, _>>()?;
        let head = hex(&stored.head)?;
        let state = LogState {
            dev: stored.device.parse().map_err(D::Error::custom)?,
            epoch: stored.epoch,
            capacity: stored.capacity,
            first: stored.first,
            head: Head(
                head.try_into()
                    .map_err(|_| D::Error::custom("a head of 32 bytes"))?,
            ),
            records,
            counted: stored.counted,
        };
        LogSender::restore(&state)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl Seal {
    /// Records the platform has not acknowledged.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.flash.log.len()
    }

    pub(super) fn log(&self) -> &LogSender {
        &self.flash.log.0
    }

    pub(super) fn log_mut(&mut self) -> &mut LogSender {
        &mut self.flash.log.0
    }

    pub(super) fn append(&mut self, press: Record) -> Appended {
        self.log_mut().append(press)
    }

    pub(super) fn log_position(&self) -> LogPosition {
        self.log().position()
    }

    /// HELLO-ACK says where the platform stands. What lies below is stored: this link is direct.
    pub(super) fn log_wanted_from(&mut self, from: u32) {
        let before = self.unsent();
        match self.log_mut().reconcile(from, true) {
            Reconciled::Sending(_) | Reconciled::InStep => {
                let (epoch, now) = (self.log().epoch(), self.now);
                self.truth.acknowledged(epoch, from, now);
            }
            // The logs do not fit: everything is kept, nothing is sent, people decide.
            Reconciled::ServerBehind { .. } | Reconciled::SealBehind { .. } => self.audit(),
        }
        if self.unsent() != before {
            self.commit();
        }
    }

    pub(super) fn audit(&mut self) {
        self.log_mut().stop();
        if let Some(ram) = &mut self.ram {
            ram.audit = true;
        }
    }

    pub(super) fn log_ack(&mut self, ack: &LogAck) {
        let view = ReceiptView {
            dev: self.identity.device,
            epoch: self.log().epoch(),
            now: self
                .ram
                .as_ref()
                .and_then(|ram| ram.time.secure_s(self.now)),
        };
        let receipt = ack
            .receipt
            .as_ref()
            .and_then(|bytes| Receipt::accept(bytes, &self.keys, &view).ok());
        // mTLS from end to end: the acknowledgement alone is proof enough.
        let proof = receipt.as_ref().map_or(Proof::Direct, Proof::Receipt);
        let taken = self.log_mut().on_ack(ack, proof);
        match taken {
            Ok(freed) => {
                let now = self.now;
                if let (Some(receipt), Some(ram)) = (&receipt, &mut self.ram) {
                    ram.time.learn(receipt.time, now);
                }
                self.truth.acknowledged(ack.epoch, ack.upto, now);
                if freed > 0 {
                    self.commit();
                    self.progress();
                }
                self.resend_later();
            }
            Err(error) => {
                tracing::debug!(device = self.identity.name, %error, "an acknowledgement is refused");
            }
        }
    }

    pub(super) fn log_pull(&mut self, pull: &LogPull) {
        if pull.epoch == self.log().epoch() {
            self.log_mut().on_pull(pull.from);
        }
    }

    /// A new epoch begins only with an empty log: nothing may be lost by it.
    pub(super) fn begin_epoch(&mut self, epoch: u32) -> bool {
        if !self.log().is_empty() || epoch <= self.log().epoch() {
            return false;
        }
        let device = self.identity.device;
        self.flash.log = LogFlash(LogSender::new(device, epoch, self.params.log_capacity));
        true
    }

    fn resend_later(&mut self) {
        let at = self.log().awaits_answer().then_some(self.now + RESEND_MS);
        if let Some(session) = self.session_mut() {
            session.resend_at = at;
        }
    }

    fn may_upload(&self) -> bool {
        let quiet = self.ram.as_ref().is_none_or(|ram| ram.audit);
        let due = self
            .session()
            .and_then(|session| session.upload_at)
            .is_some_and(|at| self.now >= at);
        due && !quiet && self.is_online()
    }

    /// Sends what the window allows.
    pub(super) fn pump_log(&mut self) {
        if !self.may_upload() {
            return;
        }
        let overdue = self
            .session()
            .and_then(|session| session.resend_at)
            .is_some_and(|at| self.now >= at);
        if overdue {
            self.log_mut().rewind();
        }
        let boot = self.flash.boot;
        let (up, ..) = self.clocks();
        let mut sent = overdue;
        loop {
            let key = &self.log_key;
            let sign = |message: &[u8]| key.sign(message).to_bytes();
            let Some(stamps) = self.flash.log.0.next_batch(boot, up, &sign) else {
                break;
            };
            self.send(Topic::Up, None, Message::Stamps(stamps));
            sent = true;
        }
        if sent {
            self.resend_later();
        }
    }

    pub(super) fn log_timeout(&self) -> Option<u64> {
        let session = self.session()?;
        let from = session.upload_at?;
        if self.ram.as_ref().is_none_or(|ram| ram.audit) {
            return None;
        }
        let waiting = (from > self.now && !self.log().is_empty()).then_some(from);
        let resend = session.resend_at.map(|at| at.max(from));
        [waiting, resend].into_iter().flatten().min()
    }
}
