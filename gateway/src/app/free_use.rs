//! Free use (USE-15): bound devices of organizations that require no grants always hold an implicit one that is good
//! for hours.
//!
//! Looking who needs one costs a few statements for hundreds of devices; only those that do are looked at one by one.

use std::collections::HashMap;

use sealgate_domain::{
    DeviceId, GrantId, Millis,
    command::Op,
    grant::{self, Grant, Method, Terms},
    organization::UseMode,
};
use uuid::Uuid;

use super::{
    App, AppError,
    command::{self, Issue},
    order::{GrantOrder, Order},
};
use crate::store::{
    self, Lane, Reader, StoreError, Tx, device, grant::Row as GrantRow, organization,
};

/// Devices of one look.
const LOOK: usize = 500;

impl App {
    /// Renews the implicit grants of devices that are connected; says how many.
    ///
    /// # Errors
    /// The database.
    pub async fn renew_free_use(&self, devices: &[DeviceId]) -> Result<usize, AppError> {
        let mut renewed = 0;
        for some in devices.chunks(LOOK) {
            let now = self.clock.now();
            for id in due(&self.store.read(), some, now).await? {
                let issued = self
                    .store
                    .write(Lane::Normal, |tx| async move {
                        match device::lock(&tx, id).await? {
                            Some(mut device) => issue(&tx, &mut device, now).await,
                            None => Ok(false),
                        }
                    })
                    .await
                    .map_err(|error: StoreError| AppError::from(error))?;
                renewed += usize::from(issued);
            }
        }
        if renewed > 0 {
            self.wake.poke();
        }
        Ok(renewed)
    }
}

/// Those of some devices that may need a (new) implicit grant.
async fn due(r: &Reader, some: &[DeviceId], now: Millis) -> Result<Vec<DeviceId>, StoreError> {
    let mut newest: HashMap<i64, Grant> = HashMap::new();
    for row in store::grant::open_of_all(r, some).await? {
        // In order of their numbers: the last one stays.
        newest.insert(row.device_id, row.state());
    }
    let mut free: HashMap<Uuid, bool> = HashMap::new();
    let mut due = Vec::new();
    for device in device::of(r, some).await? {
        let Some(organization) = device.organization() else {
            continue;
        };
        let is_free = match free.get(&organization.0) {
            Some(known) => *known,
            None => {
                let row = organization::find(r, organization).await?;
                let is_free = row.is_some_and(|row| row.use_mode() == UseMode::Free);
                free.insert(organization.0, is_free);
                is_free
            }
        };
        if is_free
            && device.state()?.check_bound().is_ok()
            && grant::free_use_due(newest.get(&device.id), now)
        {
            due.push(device.key());
        }
    }
    Ok(due)
}

/// Does the device need a (new) implicit grant?
async fn wanted(r: &Reader, device: &device::Row, now: Millis) -> Result<bool, StoreError> {
    let Some(organization) = device.organization() else {
        return Ok(false);
    };
    if device.state()?.check_bound().is_err() {
        return Ok(false);
    }
    let Some(organization) = organization::find(r, organization).await? else {
        return Ok(false);
    };
    if organization.use_mode() != UseMode::Free {
        return Ok(false);
    }
    // A device that is being unbound would refuse it for holding a grant.
    let live = store::command::live_of(r, device.key()).await?;
    if live.iter().any(|row| row.op == Op::Unbind.as_str()) {
        return Ok(false);
    }
    let newest = store::grant::open_of(r, device.key()).await?.pop();
    let newest = newest.map(|row| row.state());
    Ok(grant::free_use_due(newest.as_ref(), now))
}

/// Issues an implicit grant if the device needs one; true when it did. `device` is kept from others by the caller.
pub(super) async fn issue(
    tx: &Tx,
    device: &mut device::Row,
    now: Millis,
) -> Result<bool, StoreError> {
    let Some(organization) = device.organization() else {
        return Ok(false);
    };
    if !wanted(tx, device, now).await? {
        return Ok(false);
    }
    let terms = Terms::free_use(now);
    let row = GrantRow {
        id: store::fresh::<GrantId>(now).0,
        device_id: device.id,
        no: i64::from(device.take_grant_no()),
        organization_id: organization.0,
        member_id: None,
        max_count: i32::from(terms.max),
        used: 0,
        not_before: terms.not_before.0,
        not_after: terms.not_after.0,
        method: Method::Implicit.as_str().to_owned(),
        flags: i32::from(terms.flags.0),
        region: None,
        document: None,
        remark: String::new(),
        created_by: "system".to_owned(),
        created_at: now.0,
        delivered_at: None,
        exhausted_at: None,
        end_requested_at: None,
        ended_at: None,
        end_reason: None,
    };
    store::grant::insert(tx, &row).await?;
    let order = Order::Grant(GrantOrder::of(&row, &terms, 0));
    command::enqueue(tx, device, &order, &Issue::system(now)).await?;
    Ok(true)
}
