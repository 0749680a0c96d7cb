//! Use cases: check access, load, decide, save with audit and outbox rows in one transaction, wake.
//!
//! Access is checked before anything is loaded; what belongs to others does not exist. Nothing outward happens
//! inside a transaction: rows first, messages and commands after the commit, by background work if need be.

pub mod access;
mod actor;
pub mod audit;
pub mod code;
pub mod command;
pub mod device;
mod effect;
mod error;
pub mod events;
mod free_use;
pub mod grant;
mod handle;
pub mod idempotency;
pub mod key_set;
pub mod member;
mod notice;
pub mod order;
pub mod orders;
pub mod organization;
pub mod outbox;
mod readiness;
mod reconcile;
pub mod session;
pub mod stamp;
pub mod stamps;
pub mod token;
mod wake;
pub mod words;

use sealgate_domain::{DeviceId, Millis, OrganizationId};
use serde_json::Value;

use crate::{
    providers::sms,
    store::{Audit, Event, Lane, Topic, Tx},
};

pub use crate::store::StoreError;
pub use actor::{Actor, ActorKind, RequestKey};
pub use error::{AppError, AuthFailure};
pub use handle::{App, Parts, Settings};
pub use readiness::{Readiness, Report};
pub use wake::Wake;
pub use words::Words;

use access::Permission;

impl App {
    /// Asks the database and reports readiness.
    pub async fn probe(&self) -> Report {
        let now = self.clock.monotonic();
        if self.readiness.probe_due(now) {
            let writable = self.store.probe().await.is_ok();
            self.readiness.set_store(writable);
        }
        self.report()
    }

    /// Readiness as it is known. After a write that failed for the disk the database counts as away until one succeeds.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.readiness.report();
        report.store &= self.store.is_healthy();
        report
    }

    /// How many commands are not over, for the metrics.
    ///
    /// # Errors
    /// The database.
    pub async fn open_commands(&self) -> Result<u64, AppError> {
        Ok(crate::store::command::count_live(&self.store.read()).await?)
    }

    /// Text messages kept in memory, newest first.
    ///
    /// # Errors
    /// No access, or this node keeps none.
    pub fn sms_inbox(&self, actor: &Actor) -> Result<Vec<sms::Message>, AppError> {
        actor.may(Permission::ReadInbox)?;
        let kept = self.settings.sms_inbox.then(|| self.providers.sms.inbox());
        kept.flatten().ok_or(AppError::NotFound("inbox"))
    }

    /// Runs one transaction and, once it is committed, wakes whoever waits for its rows.
    pub(crate) async fn change<F, Fut, T>(&self, lane: Lane, work: F) -> Result<T, AppError>
    where
        F: Fn(Tx) -> Fut + Send,
        Fut: Future<Output = Result<T, AppError>> + Send,
        T: Send,
    {
        let done = self.store.write(lane, work).await?;
        self.wake.poke();
        Ok(done)
    }
}

/// One change, as audit and outbox tell it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) at: Millis,
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) device: Option<DeviceId>,
    pub(crate) action: &'static str,
    pub(crate) subject: String,
    pub(crate) detail: Value,
}

impl Change {
    /// Writes the audit row, and an event of `topic` with action, subject and detail.
    pub(crate) async fn record(
        self,
        tx: &Tx,
        actor: &Actor,
        topic: Topic,
    ) -> Result<(), StoreError> {
        let payload = serde_json::json!({
            "action": self.action,
            "subject": self.subject,
            "detail": self.detail,
        });
        tx.emit(Event {
            topic,
            organization: self.organization,
            device: self.device,
            payload,
            at: self.at,
        })
        .await?;
        self.audit(tx, actor).await
    }

    /// Writes the audit row only.
    pub(crate) async fn audit(self, tx: &Tx, actor: &Actor) -> Result<(), StoreError> {
        tx.audit(Audit {
            at: self.at,
            organization: self.organization,
            device: self.device,
            actor: actor.label(),
            action: self.action,
            subject: self.subject,
            detail: Some(self.detail).filter(|detail| !detail.is_null()),
        })
        .await
    }
}
