//! Text messages.
//!
//! A message is sent only after the transaction that decided it has committed: a row first, the message second.
//! Phone numbers are personal data: no provider writes a whole number to a log.

use std::{
    collections::VecDeque,
    fmt::Debug,
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use sealgate_domain::Millis;

/// Messages the inbox in memory keeps; the oldest are forgotten.
pub const INBOX_CAPACITY: usize = 1_000;

/// One text message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// To whom.
    pub phone: String,
    /// What it is about: chooses the carrier's template.
    pub template: Template,
    /// The text as a person reads it.
    pub text: String,
    /// When it was handed to the provider.
    pub at: Millis,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// A verification code.
    Code,
    /// A lock or unlock took effect.
    Lock,
    /// Anything else a manager should know.
    Notice,
}

impl Template {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Lock => "lock",
            Self::Notice => "notice",
        }
    }
}

/// The provider did not take the message.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SmsError {
    /// Nothing is known about the outcome, or the provider is down: try again.
    #[error("the message service is not available: {0}")]
    Unavailable(String),
    /// The provider refused for good.
    #[error("the message was refused: {0}")]
    Refused(String),
}

/// What [`Sms::send`] returns.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SmsError>> + Send + 'a>>;

/// Sends text messages.
pub trait Sms: Debug + Send + Sync + 'static {
    /// Hands one message to the provider.
    fn send(&self, message: Message) -> Sending<'_>;

    /// Messages kept for reading back, newest first; `None` when this provider keeps none.
    fn inbox(&self) -> Option<Vec<Message>> {
        None
    }
}

/// Keeps messages in memory, for tests and the demo.
#[derive(Debug, Default)]
pub struct MemorySms {
    messages: Mutex<VecDeque<Message>>,
}

impl Sms for MemorySms {
    fn send(&self, message: Message) -> Sending<'_> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() == INBOX_CAPACITY {
            messages.pop_back();
        }
        messages.push_front(message);
        Box::pin(std::future::ready(Ok(())))
    }

    fn inbox(&self) -> Option<Vec<Message>> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        Some(messages.iter().cloned().collect())
    }
}

/// Writes messages to the log, for installations without a carrier: codes are hidden.
#[derive(Debug, Default, Clone, Copy)]
pub struct LogSms;

impl Sms for LogSms {
    fn send(&self, message: Message) -> Sending<'_> {
        let text = match message.template {
            Template::Code => "(a code)",
            Template::Lock | Template::Notice => message.text.as_str(),
        };
        tracing::info!(
            phone = masked(&message.phone),
            template = message.template.name(),
            text,
            "text message"
        );
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The number with its middle hidden.
#[must_use]
pub fn masked(phone: &str) -> String {
    let digits: Vec<char> = phone.chars().collect();
    let shown = if digits.len() >= 8 { 3 } else { 0 };
    digits
        .iter()
        .enumerate()
        .map(|(at, digit)| {
            let outside = at < shown || at + shown + 1 > digits.len();
            if outside { *digit } else { '*' }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message {
            phone: "13800138000".into(),
            template: Template::Notice,
            text: text.into(),
            at: Millis(0),
        }
    }

    #[tokio::test]
    async fn the_inbox_shows_the_newest_first_and_is_bounded() {
        let sms = MemorySms::default();
        for n in 0..INBOX_CAPACITY + 1 {
            sms.send(message(&n.to_string())).await.unwrap();
        }
        let inbox = sms.inbox().unwrap();
        assert_eq!(inbox.len(), INBOX_CAPACITY);
        assert_eq!(inbox[0].text, INBOX_CAPACITY.to_string());
        assert_eq!(inbox.last().unwrap().text, "1");
    }

    #[tokio::test]
    async fn the_log_provider_keeps_no_inbox() {
        LogSms.send(message("hello")).await.unwrap();
        assert!(LogSms.inbox().is_none());
    }

    #[test]
    fn a_phone_number_is_masked_in_its_middle() {
        assert_eq!(masked("13800138000"), "138*****000");
        assert_eq!(masked("12345"), "*****");
    }
}
