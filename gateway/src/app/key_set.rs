//! Key sets: every seal shall hold the newest one, and nothing is signed for it with a key it does not know.
//!
//! What a seal holds is known from its answers alone. A seal nobody heard about is taken to hold the set it was issued
//! with, at least the first. The order carries the whole set: the seal believes the root's signature on it, whoever
//! brings it.

use sealgate_domain::{
    DeviceId, Millis,
    command::{Op, State},
    device::Life,
};

use super::{
    App, AppError,
    command::{Issue, enqueue},
    order::Order,
};
use crate::store::{self, Lane, Reader, StoreError, Tx, command::Row, device, report};

/// Every seal is issued with this one, or a newer one.
pub const FIRST: u32 = 1;
/// The device's answer to a key it does not know.
pub(super) const UNKNOWN_KEY: i32 = 0x0202;
/// A set that was refused is not offered again before.
const AFTER_REFUSAL: i64 = Millis::HOUR;
/// A signature is not expected to outlive its key sooner.
const LONG: i64 = 24 * Millis::HOUR;
/// Devices of one look.
const PAGE: u64 = 256;

impl App {
    /// Orders key set `version` for devices with a session on `node` that are not known to hold it; says for how many.
    ///
    /// # Errors
    /// The database.
    pub async fn order_key_set(
        &self,
        node: &str,
        version: u32,
        signed: &[u8],
    ) -> Result<usize, AppError> {
        let order = &Order::KeySet {
            version,
            key_set: data_encoding::BASE64.encode(signed),
        };
        let reader = self.store.read();
        let (mut after, mut ordered) = (None, 0);
        loop {
            let behind = report::behind_key_set(&reader, node, version, after, PAGE).await?;
            for id in &behind {
                let now = self.clock.now();
                if !wanted(&reader, *id, order, now).await? {
                    continue;
                }
                let done: Result<bool, StoreError> = self
                    .store
                    .write(Lane::Normal, |tx| async move {
                        issue(&tx, *id, order, now).await
                    })
                    .await;
                ordered += usize::from(done?);
            }
            after = behind.last().copied();
            if (behind.len() as u64) < PAGE {
                break;
            }
        }
        if ordered > 0 {
            self.wake.poke();
        }
        Ok(ordered)
    }
}

/// May it be ordered: the device takes orders, this one is not on its way and was not refused a moment ago.
async fn wanted(r: &Reader, id: DeviceId, order: &Order, now: Millis) -> Result<bool, StoreError> {
    let Some(device) = device::find(r, id).await? else {
        return Ok(false);
    };
    let life = device.state()?.life;
    if !matches!(life, Life::Unbound | Life::Bound | Life::Suspended) {
        return Ok(false);
    }
    let newest = store::command::newest(r, id, Op::KeySet).await?;
    let Some(newest) = newest.filter(|row| row.args == order.to_json()) else {
        return Ok(true);
    };
    let refused = newest.state()? == State::Rejected;
    Ok(match newest.ended_at {
        None => false,
        Some(at) => !refused || at + AFTER_REFUSAL <= now.0,
    })
}

async fn issue(tx: &Tx, id: DeviceId, order: &Order, now: Millis) -> Result<bool, StoreError> {
    let Some(mut device) = device::lock(tx, id).await? else {
        return Ok(false);
    };
    if !wanted(tx, id, order, now).await? {
        return Ok(false);
    }
    enqueue(tx, &mut device, order, &Issue::system(now)).await?;
    Ok(true)
}

/// The device holds another set: what waits for it is signed anew, for the set may have ended the key of a signature.
pub(super) async fn sign_anew(tx: &Tx, device: &device::Row) -> Result<(), StoreError> {
    for mut row in store::command::live_of(tx, device.key()).await? {
        if row.state()? == State::Pending && row.ticket.is_some() {
            row.ticket = None;
            store::command::save(tx, &row).await?;
        }
    }
    Ok(())
}

/// The device does not know the key of a command, or takes it for ended.
///
/// A signature that had waited for long is made anew, once: its key may have ended since. Otherwise what we believe of
/// the device's set is wrong. Refusing newer keys it holds an older set than we thought, and is sent the newest;
/// refusing the oldest ones it holds the set it was offered last. Whichever guess is wrong is refused in its turn.
pub(super) async fn refused(
    tx: &Tx,
    device: &mut device::Row,
    row: &Row,
    now: Millis,
) -> Result<(), StoreError> {
    if row.created_at + LONG <= now.0 {
        return order_again(tx, device, row, now).await;
    }
    let Some(mut report) = report::lock(tx, device.key()).await? else {
        return Ok(());
    };
    report.key_set_version = match report.key_set() {
        0..=FIRST => match store::command::newest(tx, device.key(), Op::KeySet).await? {
            Some(offered) => version(offered),
            None => return Ok(()),
        },
        _ => i64::from(FIRST),
    };
    report::save(tx, &report).await
}

fn version(offered: Row) -> i64 {
    match Order::from_json(offered.args) {
        Ok(Order::KeySet { version, .. }) => version.into(),
        _ => FIRST.into(),
    }
}

/// The same order once more, unless it makes no sense any more.
async fn order_again(
    tx: &Tx,
    device: &mut device::Row,
    row: &Row,
    now: Millis,
) -> Result<(), StoreError> {
    let Ok(order) = Order::from_json(row.args.clone()) else {
        return Ok(());
    };
    let over = order.expires_at(now).is_some_and(|at| at <= now);
    let live = store::command::live_of(tx, device.key()).await?;
    let replaced = live
        .iter()
        .any(|other| other.supersede_key.is_some() && other.supersede_key == row.supersede_key);
    if !order.op().one_shot() && !over && !replaced {
        enqueue(tx, device, &order, &Issue::system(now)).await?;
    }
    Ok(())
}
