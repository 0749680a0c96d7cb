//! Stamp records as people read them, and abnormal use with what a token has not read yet (REC-1, REC-6).

use sealgate_codec::record::{Facts as Bits, GrantState, LinkKind, Phase, Screen};
use sealgate_domain::{DeviceId, OrganizationId, TokenId};

use crate::store::{Lane, Reader, member, reading_mark, stamp};

use super::{Actor, ActorKind, App, AppError, access::Permission};

pub use crate::store::stamp::{Row as Stamp, StampFilter};

/// A record, with the name of who pressed.
#[derive(Debug, Clone)]
pub struct StampShown {
    /// The row.
    pub stamp: Stamp,
    /// The name of the member under whose grant it was made, also when removed since.
    pub member_name: Option<String>,
}

/// Puts names to records.
async fn named(r: &Reader, rows: Vec<Stamp>) -> Result<Vec<StampShown>, AppError> {
    let names = member::names(r, rows.iter().filter_map(|row| row.member_id)).await?;
    let shown = rows.into_iter().map(|stamp| StampShown {
        member_name: stamp.member_id.and_then(|id| names.get(&id).cloned()),
        stamp,
    });
    Ok(shown.collect())
}

/// What a device said about a press, by names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// All bits.
    pub bits: u32,
    /// What it knew about its grant.
    pub grant_state: &'static str,
    /// It was locked.
    pub locked: bool,
    /// The bracket was out.
    pub stretched: bool,
    /// Where it was in its power cycle.
    pub phase: &'static str,
    /// What its screen showed.
    pub screen: &'static str,
    /// Less than a second after the press before.
    pub quick: bool,
    /// Offline mode was on.
    pub offline_mode: bool,
    /// Its link.
    pub link: &'static str,
    /// A photo was asked for.
    pub photo: bool,
    /// A finger of the user had matched.
    pub fingerprint: bool,
}

impl Facts {
    /// Names the bits of a stored record.
    #[must_use]
    pub fn read(stored: i64) -> Self {
        let bits = u32::try_from(stored).unwrap_or(0);
        let facts = Bits::from_bits(bits);
        Self {
            bits,
            grant_state: grant_state(facts.grant_state()),
            locked: facts.locked(),
            stretched: facts.stretched(),
            phase: match facts.phase() {
                Phase::Booting => "booting",
                Phase::ShuttingDown => "shutting_down",
                _ => "running",
            },
            screen: match facts.screen() {
                Screen::Qr => "qr",
                Screen::Off => "off",
                _ => "on",
            },
            quick: facts.quick(),
            offline_mode: facts.offline_mode(),
            link: match facts.link() {
                LinkKind::None => "none",
                LinkKind::Gprs => "gprs",
                LinkKind::Ble => "ble",
                LinkKind::Uart => "uart",
            },
            photo: facts.photo(),
            fingerprint: facts.fingerprint(),
        }
    }
}

fn grant_state(state: GrantState) -> &'static str {
    match state {
        GrantState::Never => "never",
        GrantState::Active => "active",
        GrantState::Exhausted => "exhausted",
        GrantState::TimeOver => "time_over",
        GrantState::Ended => "ended",
        GrantState::NoneNow => "none_now",
        GrantState::OutsideRegion => "outside_region",
        GrantState::FingerprintMissing => "fingerprint_missing",
        GrantState::Restricted => "restricted",
        GrantState::NotBegun => "not_begun",
        _ => "unknown",
    }
}

/// Abnormal use, and how much of it is new to the asker.
#[derive(Debug, Clone)]
pub struct Abnormal {
    /// A page, newest first.
    pub items: Vec<StampShown>,
    /// Records behind the asker's mark, counted up to a thousand.
    pub unread: u64,
    /// The newest record there is, of any kind.
    pub newest: i64,
}

/// The name of a class of abnormal use.
#[must_use]
pub fn abnormal_name(class: i32) -> Option<&'static str> {
    let kind = sealgate_codec::abnormal::AbnormalKind::from_number(u8::try_from(class).ok()?)?;
    Some(kind.label())
}

impl App {
    /// Stamp records by the time they were made, newest first, behind `before`.
    ///
    /// # Errors
    /// No access, a foreign organization, or the database.
    pub async fn stamps(
        &self,
        actor: &Actor,
        filter: StampFilter,
        before: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Vec<StampShown>, AppError> {
        actor.may(Permission::ReadStamps)?;
        let filter = StampFilter {
            organization: actor.narrowed(filter.organization)?,
            ..filter
        };
        let reader = self.store.read();
        let rows = stamp::list(&reader, &filter, before, limit.into()).await?;
        named(&reader, rows).await
    }

    /// A device's log as it is, newest record first, behind record `before` (epoch, seq). A bound token sees the
    /// records of its own organization only; a device may have had others before.
    ///
    /// # Errors
    /// No access, no such device, or the database.
    pub async fn device_stamps(
        &self,
        actor: &Actor,
        id: DeviceId,
        before: Option<(u32, u32)>,
        limit: u32,
    ) -> Result<Vec<StampShown>, AppError> {
        actor.may(Permission::ReadStamps)?;
        self.seen(actor, id).await?;
        let reader = self.store.read();
        let rows = stamp::log_of(&reader, id, actor.organization, before, limit.into()).await?;
        named(&reader, rows).await
    }

    /// Abnormal use, newest first, behind `before` (REC-6).
    ///
    /// # Errors
    /// No access, a foreign organization, or the database.
    pub async fn abnormal(
        &self,
        actor: &Actor,
        organization: Option<OrganizationId>,
        before: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Abnormal, AppError> {
        actor.may(Permission::ReadAbnormal)?;
        let organization = actor.narrowed(organization)?;
        let filter = StampFilter {
            organization,
            abnormal: true,
            ..StampFilter::default()
        };
        let reader = self.store.read();
        let newest = reading_mark::newest(&reader).await?;
        let mark = match reader_of(actor) {
            Some(token) => reading_mark::find(&reader, token, organization).await?,
            None => 0,
        };
        let rows = stamp::list(&reader, &filter, before, limit.into()).await?;
        Ok(Abnormal {
            items: named(&reader, rows).await?,
            unread: reading_mark::unread(&reader, organization, mark).await?,
            newest,
        })
    }

    /// The asker has read abnormal use up to `upto`. Says how much is left. A mark never goes back.
    ///
    /// # Errors
    /// No access, a foreign organization, or the database.
    pub async fn mark_abnormal_read(
        &self,
        actor: &Actor,
        organization: Option<OrganizationId>,
        upto: i64,
    ) -> Result<u64, AppError> {
        actor.may(Permission::ReadAbnormal)?;
        let organization = actor.narrowed(organization)?;
        let token = reader_of(actor).ok_or(AppError::conflict(
            "只有令牌才有已读标记",
            "only tokens keep a mark",
        ))?;
        let reader = self.store.read();
        let upto = upto.min(reading_mark::newest(&reader).await?);
        let mark = self
            .change(Lane::Normal, |tx| async move {
                let mark = reading_mark::find(&tx, token, organization).await?;
                if upto > mark {
                    reading_mark::set(&tx, token, organization, upto).await?;
                }
                Ok(mark.max(upto))
            })
            .await?;
        Ok(reading_mark::unread(&reader, organization, mark).await?)
    }
}

/// Marks are kept per token.
fn reader_of(actor: &Actor) -> Option<TokenId> {
    let token = actor.kind == ActorKind::Token;
    token.then(|| actor.id.parse().ok().map(TokenId)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_named_by_their_bits() {
        let bits = Bits::new()
            .with_grant_state(GrantState::Exhausted)
            .with_stretched(true)
            .with_phase(Phase::Booting)
            .with_link(LinkKind::Gprs);
        let facts = Facts::read(i64::from(bits.bits()));
        assert_eq!(facts.grant_state, "exhausted");
        assert_eq!(
            (facts.phase, facts.screen, facts.link),
            ("booting", "on", "gprs")
        );
        assert!(facts.stretched && !facts.locked);
    }
}
