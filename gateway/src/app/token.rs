//! API tokens: scoped, expiring, revocable. Only the SHA-256 of a secret is stored: the secret has 192 random bits, so
//! a slow hash would add nothing.

use data_encoding::BASE32_NOPAD;
use sealgate_domain::{Millis, OrganizationId, TokenId};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    store::{Lane, organization, token},
    tasks,
};

use super::{
    Actor, ActorKind, App, AppError, AuthFailure, Change,
    access::{Permission, Scopes},
};

pub use crate::store::token::Row as Token;

/// What every secret begins with, so that scanners find lost ones.
pub const PREFIX: &str = "sk_";
/// No secret of ours is longer.
const MAX_SECRET: usize = 128;
/// The time of the last use is noted this often at most.
const TOUCH_EVERY: i64 = Millis::MINUTE;

/// What a new token shall be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// 1 to 80 characters.
    pub name: String,
    /// At most those of the maker.
    pub scopes: Scopes,
    /// Bound to it.
    pub organization: Option<OrganizationId>,
    /// Refused from then on. Left out: as long as the maker's own token; never beyond it.
    pub expires_at: Option<Millis>,
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl App {
    /// Who has this secret?
    ///
    /// # Errors
    /// Nobody, or the token is over.
    pub async fn authenticate(&self, secret: &str) -> Result<Actor, AppError> {
        if !secret.starts_with(PREFIX) || secret.len() > MAX_SECRET {
            return Err(AppError::Unauthenticated(AuthFailure::Unknown));
        }
        let row = token::by_secret(&self.store.read(), &hash(secret)).await?;
        let row = row.ok_or(AppError::Unauthenticated(AuthFailure::Unknown))?;
        let now = self.clock.now();
        check(&row, now)?;
        if row.last_used_at.is_none_or(|at| now.0 - at >= TOUCH_EVERY) {
            self.touch(row.key(), now);
        }
        Ok(Actor {
            kind: ActorKind::Token,
            id: row.id.to_string(),
            organization: row.organization_id.map(OrganizationId),
            scopes: Scopes::parse(&row.scopes).unwrap_or_default(),
            request: None,
        })
    }

    /// Notes the use beside the request: nobody waits for it, and losing it loses nothing.
    fn touch(&self, id: TokenId, now: Millis) {
        let app = self.clone();
        tasks::spawn("token_touch", async move {
            let noted = app
                .store
                .write(Lane::Normal, |tx| async move {
                    token::touch(&tx, id, now).await
                })
                .await;
            if let Err(error) = noted {
                tracing::debug!(%error, "the use of a token was not noted");
            }
        });
    }

    /// Is the actor's token still good? For answers that last.
    ///
    /// # Errors
    /// It is over.
    pub async fn still_valid(&self, actor: &Actor) -> Result<(), AppError> {
        let gone = || AppError::Unauthenticated(AuthFailure::Unknown);
        let id = TokenId(actor.id.parse().map_err(|_| gone())?);
        let row = token::find(&self.store.read(), id)
            .await?
            .ok_or_else(gone)?;
        check(&row, self.clock.now())
    }

    /// Makes a token. The secret is returned this once.
    ///
    /// # Errors
    /// No access, more rights than the maker's, or a value that can't be.
    pub async fn create_token(
        &self,
        actor: &Actor,
        new: NewToken,
    ) -> Result<(Token, String), AppError> {
        actor.may(Permission::ManageTokens)?;
        let now = self.clock.now();
        let organization = actor.narrowed(new.organization)?;
        let limit = self.expiry_of(actor).await?;
        check_new(actor, &new, now, limit)?;
        let secret = fresh_secret();
        let row = Token {
            id: actor.new_id(now),
            name: new.name.trim().to_owned(),
            secret_hash: hash(&secret).to_vec(),
            scopes: new.scopes.to_string(),
            organization_id: organization.map(|id| id.0),
            expires_at: new.expires_at.or(limit).map(|at| at.0),
            last_used_at: None,
            revoked_at: None,
            created_at: now.0,
        };
        self.change(Lane::Normal, |tx| {
            let (row, actor) = (row.clone(), actor.clone());
            async move {
                if let Some(id) = organization {
                    let known = organization::find(&tx, id).await?;
                    known.ok_or(AppError::NotFound("organization"))?;
                }
                if token::find(&tx, row.key()).await?.is_some() {
                    return Err(AppError::conflict(
                        "该请求已创建过令牌；密钥只显示一次",
                        "this request has made its token already; a secret is shown once",
                    ));
                }
                token::insert(&tx, &row).await?;
                let change = Change {
                    at: now,
                    organization,
                    device: None,
                    action: "token.create",
                    subject: row.id.to_string(),
                    detail: json!({"name": row.name, "scopes": row.scopes}),
                };
                Ok(change.audit(&tx, &actor).await?)
            }
        })
        .await?;
        Ok((row, secret))
    }

    /// When the actor's own token is over: what it makes may not outlive it.
    async fn expiry_of(&self, actor: &Actor) -> Result<Option<Millis>, AppError> {
        if actor.kind != ActorKind::Token {
            return Ok(None);
        }
        let gone = || AppError::Unauthenticated(AuthFailure::Unknown);
        let id = TokenId(actor.id.parse().map_err(|_| gone())?);
        let own = token::find(&self.store.read(), id).await?;
        Ok(own.ok_or_else(gone)?.expires_at.map(Millis))
    }

    /// Tokens behind `after`.
    ///
    /// # Errors
    /// No access, or the database.
    pub async fn tokens(
        &self,
        actor: &Actor,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<Token>, AppError> {
        actor.may(Permission::ManageTokens)?;
        let only = actor.organization;
        Ok(token::list(&self.store.read(), only, after, limit.into()).await?)
    }

    /// Revokes a token; doing so again changes nothing.
    ///
    /// # Errors
    /// No access, no such token, a scope of it that the actor lacks, or the database.
    pub async fn revoke_token(&self, actor: &Actor, id: TokenId) -> Result<(), AppError> {
        actor.may_revoke(id, Scopes::NONE)?;
        let now = self.clock.now();
        self.change(Lane::Priority, |tx| {
            let actor = actor.clone();
            async move {
                let found = token::find(&tx, id).await?;
                let mut row = found.ok_or(AppError::NotFound("token"))?;
                let organization = row.organization_id.map(OrganizationId);
                actor.must_see(organization, "token")?;
                // What can't be read may be anything.
                let scopes = Scopes::parse(&row.scopes).unwrap_or_else(|_| Scopes::all());
                actor.may_revoke(id, scopes)?;
                if row.revoked_at.is_some() {
                    return Ok(());
                }
                row.revoked_at = Some(now.0);
                token::save(&tx, &row).await?;
                let change = Change {
                    at: now,
                    organization,
                    device: None,
                    action: "token.revoke",
                    subject: row.id.to_string(),
                    detail: json!({"name": row.name}),
                };
                Ok(change.audit(&tx, &actor).await?)
            }
        })
        .await
    }
}

fn check(row: &Token, now: Millis) -> Result<(), AppError> {
    if row.revoked_at.is_some() {
        return Err(AppError::Unauthenticated(AuthFailure::Revoked));
    }
    if row.is_good(now) {
        Ok(())
    } else {
        Err(AppError::Unauthenticated(AuthFailure::Expired))
    }
}

fn check_new(
    actor: &Actor,
    new: &NewToken,
    now: Millis,
    limit: Option<Millis>,
) -> Result<(), AppError> {
    if !(1..=80).contains(&new.name.trim().chars().count()) {
        return Err(AppError::invalid(
            "name",
            ("须为1至80个字符", "1 to 80 characters"),
        ));
    }
    if new.scopes == Scopes::NONE {
        return Err(AppError::invalid("scopes", ("至少一项", "at least one")));
    }
    if !actor.scopes.covers(new.scopes) {
        return Err(AppError::invalid(
            "scopes",
            (
                "不得超出所用令牌的权限",
                "at most those of the asking token",
            ),
        ));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(AppError::invalid(
            "expires_at",
            ("须为将来的时间", "must be in the future"),
        ));
    }
    if let (Some(at), Some(limit)) = (new.expires_at, limit)
        && at > limit
    {
        return Err(AppError::invalid(
            "expires_at",
            (
                "不得晚于所用令牌的有效期",
                "at most that of the asking token",
            ),
        ));
    }
    Ok(())
}

fn fresh_secret() -> String {
    let random: [u8; 24] = rand::random();
    format!("{PREFIX}{}", BASE32_NOPAD.encode(&random).to_lowercase())
}
