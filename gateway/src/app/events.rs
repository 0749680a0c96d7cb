//! Committed events, for whoever follows them.

use crate::store::{OutboxFilter, Topic};

use super::{
    Actor, App, AppError,
    access::{Permission, scope_of_topic},
};

pub use crate::store::EventRow as Event;

/// Events of one page at most.
const PAGE: u64 = 256;

/// Which events an actor follows.
#[derive(Debug, Clone)]
pub struct Filter(OutboxFilter);

/// Some events, and up to where everything was looked at.
#[derive(Debug, Clone)]
pub struct Page {
    /// In order.
    pub events: Vec<Event>,
    /// Go on behind this position.
    pub after: i64,
}

/// Why events cannot be continued from a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Events behind it were deleted by age.
    Expired,
    /// It was never given out: the database is older, restored from a backup.
    Ahead,
}

impl Lost {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Ahead => "ahead",
        }
    }
}

/// A break in what a reader follows: its state must be read anew, then events go on behind `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// Why.
    pub lost: Lost,
    /// The newest position.
    pub after: i64,
}

impl App {
    /// Whether everything behind `after` is still there; if not, where to go on.
    ///
    /// # Errors
    /// The database.
    pub async fn broken_at(&self, after: i64) -> Result<Option<Reset>, AppError> {
        let reader = self.store.read();
        let head = reader.outbox_head().await?;
        let reset = |lost| Some(Reset { lost, after: head });
        if after > head {
            return Ok(reset(Lost::Ahead));
        }
        let deleted = reader.outbox_oldest().await?.map_or(head, |kept| kept - 1);
        Ok(if after.max(0) < deleted {
            reset(Lost::Expired)
        } else {
            None
        })
    }

    /// What an actor may follow of what is asked for: topics separated by commas, or all.
    ///
    /// # Errors
    /// No access, or no such topic.
    pub fn event_filter(&self, actor: &Actor, topics: Option<&str>) -> Result<Filter, AppError> {
        actor.may(Permission::ReadEvents)?;
        let allowed = |topic: &Topic| actor.scopes.has(scope_of_topic(*topic));
        let topics = match topics {
            None => Topic::ALL.iter().copied().filter(allowed).collect(),
            Some(names) => named(actor, names)?,
        };
        Ok(Filter(OutboxFilter {
            organization: actor.organization,
            device: None,
            topics,
        }))
    }

    /// The newest position.
    ///
    /// # Errors
    /// The database.
    pub async fn newest_position(&self) -> Result<i64, AppError> {
        Ok(self.store.read().outbox_head().await?)
    }

    /// A page of events behind `after`; without any when none were found yet, but `after` moved on.
    ///
    /// # Errors
    /// The database.
    pub async fn events_after(&self, filter: &Filter, after: i64) -> Result<Page, AppError> {
        let reader = self.store.read();
        if filter.0.topics.is_empty() {
            let head = reader.outbox_head().await?;
            return Ok(Page {
                events: Vec::new(),
                after: head.max(after),
            });
        }
        let page = reader.outbox_page(after, PAGE, &filter.0).await?;
        Ok(Page {
            events: page.events,
            after: page.after,
        })
    }
}

fn unknown_topic(name: &str) -> AppError {
    let known: Vec<_> = Topic::ALL.iter().map(|topic| topic.as_str()).collect();
    let known = known.join(", ");
    let words = (
        format!("没有主题 {name}；可用的有 {known}"),
        format!("no such topic: {name}; there are {known}"),
    );
    AppError::invalid("topics", words)
}

fn named(actor: &Actor, names: &str) -> Result<Vec<Topic>, AppError> {
    names
        .split(',')
        .map(|name| {
            let topic = Topic::from_name(name.trim()).ok_or_else(|| unknown_topic(name))?;
            let scope = scope_of_topic(topic);
            if actor.scopes.has(scope) {
                Ok(topic)
            } else {
                let (_, reach) = Permission::ReadEvents.needs();
                Err(AppError::Denied { scope, reach })
            }
        })
        .collect()
}
