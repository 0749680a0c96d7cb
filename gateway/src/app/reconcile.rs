//! Wanted against reported: what a device was asked to be, is not, and is no longer asked to be is ordered again.
//!
//! - An order that is on its way is left alone; one that ended without effect is repeated under a fresh counter, at most
//!   once a minute for each device and kind.
//! - Nobody's decision is made here: a seal that is locked although we know of no lock stays locked.
//! - Offline mode ends with its grant (OFF-1), however the grant came to its end.

use sealgate_domain::{
    DeviceId, Millis,
    command::{Domain, Op, State},
    device::Life,
    grant::GrantState,
};

use super::{
    App, AppError,
    command::{self, Issue, NOT_LET_IN},
    effect,
    order::Order,
};
use crate::store::{
    self, Lane, Reader, StoreError, Tx, command::Row as Command, device, grant, report,
};

/// Shortest time between two orders of one kind for one device.
const AGAIN_AFTER: i64 = Millis::MINUTE;
/// Devices of one look.
const LOOK: u64 = 4_096;

impl App {
    /// Orders again what devices with a session on `node` are not; says for how many devices.
    ///
    /// # Errors
    /// The database.
    pub async fn reconcile(&self, node: &str) -> Result<usize, AppError> {
        let now = self.clock.now();
        let reader = self.store.read();
        let mut ordered = 0;
        for id in report::unmatched(&reader, node, now, LOOK).await? {
            if planned(&reader, id, now).await?.is_empty() {
                continue;
            }
            let done = self.store.write(Lane::Normal, |tx| async move {
                let Some(mut device) = device::lock(&tx, id).await? else {
                    return Ok(false);
                };
                let Some(report) = report::find(&tx, id).await? else {
                    return Ok(false);
                };
                again(&tx, &mut device, &report, now).await
            });
            ordered += usize::from(
                done.await
                    .map_err(|error: StoreError| AppError::from(error))?,
            );
        }
        if ordered > 0 {
            self.wake.poke();
        }
        Ok(ordered)
    }

    /// Switches offline mode off where its grant is over (OFF-1), connected or not; says for how many devices.
    ///
    /// # Errors
    /// The database.
    pub async fn end_offline_modes(&self) -> Result<usize, AppError> {
        let now = self.clock.now();
        let reader = self.store.read();
        let mut ended = 0;
        for id in device::in_offline_mode(&reader, LOOK).await? {
            if !grant_over(&reader, id, now).await? {
                continue;
            }
            let done = self.store.write(Lane::Normal, |tx| async move {
                let Some(mut device) = device::lock(&tx, id).await? else {
                    return Ok(false);
                };
                if !device.desired_offline || !grant_over(&tx, id, now).await? {
                    return Ok(false);
                }
                effect::offline_mode_over(&tx, &mut device, now).await?;
                if let Some(report) = report::find(&tx, id).await?
                    && report.connected
                {
                    again(&tx, &mut device, &report, now).await?;
                }
                Ok(true)
            });
            ended += usize::from(
                done.await
                    .map_err(|error: StoreError| AppError::from(error))?,
            );
        }
        if ended > 0 {
            self.wake.poke();
        }
        Ok(ended)
    }
}

/// Has the newest grant of the device come to its end by itself, or is there none?
async fn grant_over(r: &Reader, id: DeviceId, now: Millis) -> Result<bool, StoreError> {
    let newest = grant::open_of(r, id).await?.pop();
    Ok(newest.is_none_or(|grant| grant.state().state(now) == GrantState::Expired))
}

async fn planned(r: &Reader, id: DeviceId, now: Millis) -> Result<Vec<Order>, StoreError> {
    match (device::find(r, id).await?, report::find(r, id).await?) {
        (Some(device), Some(report)) => plan(r, &device, &report, now).await,
        _ => Ok(Vec::new()),
    }
}

/// Orders what the device is not; true when there was anything. `device` is kept from others by the caller.
pub(super) async fn again(
    tx: &Tx,
    device: &mut device::Row,
    report: &report::Row,
    now: Millis,
) -> Result<bool, StoreError> {
    let orders = plan(tx, device, report, now).await?;
    for order in &orders {
        let mut row = command::enqueue(tx, device, order, &Issue::system(now)).await?;
        if row.op()? == Op::End {
            // Several grants may be ending: none of their ends supersedes another.
            row.supersede_key = None;
            store::command::save(tx, &row).await?;
        }
    }
    Ok(!orders.is_empty())
}

/// What is known of one device, for deciding.
struct View<'a> {
    r: &'a Reader,
    device: &'a device::Row,
    report: &'a report::Row,
    live: Vec<Command>,
    now: Millis,
}

async fn plan(
    r: &Reader,
    device: &device::Row,
    report: &report::Row,
    now: Millis,
) -> Result<Vec<Order>, StoreError> {
    let life = device.state()?.life;
    let mut orders = Vec::new();
    if !matches!(life, Life::Bound | Life::Suspended) {
        return Ok(orders);
    }
    let live = store::command::live_of(r, device.key()).await?;
    let view = View {
        r,
        device,
        report,
        live,
        now,
    };
    orders.extend(view.lock().await?);
    if life == Life::Bound {
        orders.extend(view.settings().await?);
        orders.extend(view.offline_mode().await?);
    }
    orders.extend(view.grants(life).await?);
    Ok(orders)
}

impl View<'_> {
    fn on_its_way(&self, ops: &[Op]) -> bool {
        let live = self.live.iter();
        live.into_iter()
            .any(|row| ops.iter().any(|op| op.as_str() == row.op))
    }

    /// The newest command of these ops, unless it is too early for another.
    async fn newest(&self, ops: &[Op]) -> Result<Newest, StoreError> {
        let domain = ops.first().map_or(Domain::Lock, |op| op.domain());
        let newest = store::command::newest_of(self.r, self.device.key(), domain, ops).await?;
        Ok(match newest {
            None => Newest::None,
            Some(row) if self.now.0 - row.created_at < AGAIN_AFTER => {
                Newest::TooEarly(Box::new(row))
            }
            Some(row) => Newest::Over(Box::new(row)),
        })
    }

    async fn lock(&self) -> Result<Option<Order>, StoreError> {
        let ops = [Op::Lock, Op::Unlock];
        let wanted = self.device.desired_locked;
        if self.report.locked.is_none_or(|locked| locked == wanted) || self.on_its_way(&ops) {
            return Ok(None);
        }
        Ok(match self.newest(&ops).await? {
            Newest::None | Newest::Over(_) if wanted => Some(Order::Lock {}),
            // The device may have been locked by an order that a restored backup has forgotten.
            Newest::Over(row)
                if row.op == Op::Unlock.as_str()
                    && self.report.counter_lock <= Some(row.counter) =>
            {
                Some(Order::Unlock {})
            }
            _ => None,
        })
    }

    async fn settings(&self) -> Result<Option<Order>, StoreError> {
        let wanted = self.device.desired_config_version;
        let told = self.report.config_version;
        if told.is_none_or(|told| told >= wanted) || self.on_its_way(&[Op::Config]) {
            return Ok(None);
        }
        let Newest::Over(row) = self.newest(&[Op::Config]).await? else {
            return Ok(None);
        };
        let order = Order::from_json(row.args).ok();
        Ok(order.filter(
            |order| matches!(order, Order::Config { version, .. } if i64::from(*version) == wanted),
        ))
    }

    async fn offline_mode(&self) -> Result<Option<Order>, StoreError> {
        let on = self.report.offline_mode == Some(true) && !self.device.desired_offline;
        if !on || self.on_its_way(&[Op::Offline]) {
            return Ok(None);
        }
        // Switched on a moment ago is no reason to leave it on.
        if let Newest::TooEarly(row) = self.newest(&[Op::Offline]).await?
            && matches!(
                Order::from_json(row.args),
                Ok(Order::Offline { on: false, .. })
            )
        {
            return Ok(None);
        }
        let newest = grant::open_of(self.r, self.device.key()).await?.pop();
        Ok(Some(Order::Offline {
            on: false,
            no: newest.map_or(0, |grant| grant.number()),
            limit_s: None,
        }))
    }

    /// Ends that were refused, else the newest grant if the device did not let its ticket in.
    async fn grants(&self, life: Life) -> Result<Vec<Order>, StoreError> {
        if self.on_its_way(&[Op::Grant, Op::End, Op::Activate]) {
            return Ok(Vec::new());
        }
        let open = grant::open_of(self.r, self.device.key()).await?;
        let ending: Vec<Order> = open
            .iter()
            .filter(|grant| grant.end_requested_at.is_some())
            .map(|grant| Order::End {
                grant: grant.id,
                no: grant.number(),
            })
            .collect();
        if !ending.is_empty() {
            let early = matches!(self.newest(&[Op::End]).await?, Newest::TooEarly(_));
            return Ok(if early { Vec::new() } else { ending });
        }
        let newest = open.last().filter(|grant| {
            life == Life::Bound && grant.state().state(self.now) == GrantState::ToBeDelivered
        });
        let Some(undelivered) = newest else {
            return Ok(Vec::new());
        };
        let Newest::Over(row) = self.newest(&[Op::Grant]).await? else {
            return Ok(Vec::new());
        };
        let not_let_in = row.state()? == State::Rejected
            && row.sent_at.is_some()
            && row
                .error_code
                .is_some_and(|code| NOT_LET_IN.contains(&code));
        let order = Order::from_json(row.args).ok().filter(|order| {
            not_let_in && matches!(order, Order::Grant(grant) if grant.grant == undelivered.id)
        });
        Ok(order.into_iter().collect())
    }
}

/// The newest command of some kind.
enum Newest {
    /// There was none.
    None,
    /// It is too early for another like it.
    TooEarly(Box<Command>),
    /// It was long ago.
    Over(Box<Command>),
}
