//! Verification codes to the owner's phone. Only a keyed hash is stored; the message goes out after the commit.

use hmac::{Hmac, Mac};
use sealgate_domain::{
    CodeId, DeviceId, Millis, OrganizationId, RuleError,
    code::{self as rules, Code, Purpose},
    member::Phone,
};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use crate::{
    providers::sms::{Message, Template},
    store::{Lane, Topic, Tx, code, device, member, organization},
};

use super::{Actor, App, AppError, Change, access::Permission};

/// A code on its way.
#[derive(Debug, Clone)]
pub struct CodeSent {
    /// Its id.
    pub id: CodeId,
    /// To whom.
    pub phone: Phone,
    /// Good until.
    pub expires_at: Millis,
}

fn keyed(secret: &[u8; 32], id: Uuid, digits: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any key length will do");
    mac.update(id.as_bytes());
    mac.update(digits.as_bytes());
    mac
}

/// What became of digits that were entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// They are right, and used up now.
    Right,
    /// They are those of a code that was used already: good for being told again what it did, and for nothing else.
    Again,
    /// There is no code they could be.
    NoCode,
    /// They are wrong or too late. It is counted, so it must be committed.
    Refused(RuleError),
}

/// The digits were entered for a device: right or wrong, the try counts.
pub(super) async fn enter(
    tx: &Tx,
    secret: &[u8; 32],
    device: &device::Row,
    digits: &str,
    now: Millis,
) -> Result<Entry, AppError> {
    let Some(organization) = device.organization() else {
        return Ok(Entry::NoCode);
    };
    let owner = member::owner(tx, organization).await?;
    let owner = owner.ok_or(AppError::conflict(
        "该单位没有主管理员",
        "the organization has no owner",
    ))?;
    let purpose = Purpose::OfflineMode;
    let Some(mut row) = code::newest(tx, organization, &owner.phone, purpose).await? else {
        return Ok(Entry::NoCode);
    };
    let meant = row.device_id.is_none_or(|id| id == device.id);
    let right = keyed(secret, row.id, digits)
        .verify_slice(&row.code_hash)
        .is_ok();
    let (state, answer) = row.state().enter(meant && right, now);
    row.set_state(state);
    code::save(tx, &row).await?;
    Ok(match answer {
        Ok(()) => Entry::Right,
        Err(RuleError::CodeUsed) if meant && right => Entry::Again,
        Err(rule) => Entry::Refused(rule),
    })
}

/// A foreign device does not exist for the organization, whoever asks.
async fn must_be_of(
    tx: &Tx,
    device: DeviceId,
    organization: OrganizationId,
) -> Result<(), AppError> {
    device::find(tx, device)
        .await?
        .filter(|row| row.organization() == Some(organization))
        .map(|_| ())
        .ok_or(AppError::NotFound("device"))
}

/// Audit and event of a code on its way.
async fn note(tx: &Tx, actor: &Actor, row: &code::Row, phone: &Phone) -> Result<(), AppError> {
    let change = Change {
        at: Millis(row.created_at),
        organization: Some(row.organization_id.into()),
        device: row.device_id.map(DeviceId::from_key),
        action: "code.send",
        subject: row.id.to_string(),
        detail: json!({"purpose": row.purpose, "phone": phone.masked()}),
    };
    Ok(change.record(tx, actor, Topic::Organization).await?)
}

impl App {
    /// Sends a code to the owner's phone, for a device or for any.
    ///
    /// # Errors
    /// No access, no such organization, not its device, too soon after the last, the provider, or the database.
    pub async fn send_code(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        purpose: Purpose,
        device: Option<DeviceId>,
    ) -> Result<CodeSent, AppError> {
        actor.may(Permission::SendCode)?;
        actor.must_see(Some(organization), "organization")?;
        let now = self.clock.now();
        let id = Actor::system().new_id(now);
        let digits = rules::digits(rand::random());
        let hash = keyed(&self.settings.secret, id, &digits)
            .finalize()
            .into_bytes()
            .to_vec();
        let (sent, row) = self
            .change(Lane::Normal, |tx| {
                let (actor, hash) = (actor.clone(), hash.clone());
                async move {
                    let known = organization::lock(&tx, organization).await?;
                    known.ok_or(AppError::NotFound("organization"))?;
                    if let Some(device) = device {
                        must_be_of(&tx, device, organization).await?;
                    }
                    let owner = member::owner(&tx, organization).await?;
                    let owner = owner.ok_or(AppError::conflict(
                        "该单位没有主管理员",
                        "the organization has no owner",
                    ))?;
                    let last = code::newest(&tx, organization, &owner.phone, purpose).await?;
                    let last = last.map(|row| Millis(row.created_at));
                    let fresh = Code::issue(last, now)?;
                    let row = code::Row {
                        id,
                        organization_id: organization.0,
                        device_id: device.map(DeviceId::to_key),
                        phone: owner.phone,
                        purpose: purpose.as_str().to_owned(),
                        code_hash: hash,
                        expires_at: fresh.expires_at.0,
                        tries_left: i32::from(fresh.tries_left),
                        used_at: None,
                        created_at: now.0,
                    };
                    code::insert(&tx, &row).await?;
                    let phone = Phone::parse(&row.phone)?;
                    note(&tx, &actor, &row, &phone).await?;
                    let sent = CodeSent {
                        id: CodeId(id),
                        phone,
                        expires_at: fresh.expires_at,
                    };
                    Ok((sent, row))
                }
            })
            .await?;
        let message = Message {
            phone: row.phone,
            template: Template::Code,
            text: format!("【Sealgate】验证码 {digits}，5分钟内有效，请勿告知他人。"),
            at: now,
        };
        self.providers.sms.send(message).await?;
        Ok(sent)
    }
}
