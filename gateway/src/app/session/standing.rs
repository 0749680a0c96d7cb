//! What a device may do, from its row, its report and what waits for it.

use sealgate_domain::{Millis, command::Op, device::Life};

use super::Standing;
use crate::store::{self, StoreError, command::Row as CommandRow, device};

/// What a device is known to have.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) locked: bool,
    pub(super) key_set: u32,
}

/// A lease would let the device go on although a lock or an end waits for it: none before these are applied.
pub(super) async fn standing(
    r: &store::Reader,
    device: &device::Row,
    known: Known,
    live: &[CommandRow],
    now: Millis,
) -> Result<Standing, StoreError> {
    let state = device.state()?;
    let waits = live
        .iter()
        .any(|row| row.op == Op::Lock.as_str() || row.op == Op::End.as_str());
    let lock_waits = device.desired_locked && !known.locked;
    let open = store::grant::open_of(r, device.key()).await?;
    Ok(Standing {
        life: state.life,
        generation: state.generation,
        lease: !matches!(state.life, Life::Suspended | Life::Retired) && !waits && !lock_waits,
        grant_open: open.iter().any(|grant| grant.not_after > now.0),
        key_set: known.key_set,
    })
}
