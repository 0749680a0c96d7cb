//! What a device may do now.

use sealgate_domain::{Millis, command::Op, device::Life};

use crate::store::{self, StoreError, command::Row as CommandRow, device};

/// What a device may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where in its life it is.
    pub life: Life,
    /// Binding generation.
    pub generation: u32,
    /// It may have a lease: nothing waits for it that a lease would outlive. An unbound one too: a bind command
    /// expires, and signed time comes from leases alone; without a grant it stamps nothing.
    pub lease: bool,
    /// It holds a grant that is not over.
    pub grant_open: bool,
    /// The newest key set it is known to hold.
    pub key_set: u32,
}

/// What a device is known to have.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) locked: bool,
    pub(super) key_set: u32,
}

/// A lease would let the device go on although a lock or an end waits for it: none before these are applied. Whatever
/// became of the order of an end: a grant the device holds is ending until the device says it has ended.
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
    let ending = open
        .iter()
        .any(|grant| grant.delivered_at.is_some() && grant.end_requested_at.is_some());
    let usable = !matches!(state.life, Life::Suspended | Life::Retired);
    Ok(Standing {
        life: state.life,
        generation: state.generation,
        lease: usable && !waits && !lock_waits && !ending,
        grant_open: open.iter().any(|grant| grant.not_after > now.0),
        key_set: known.key_set,
    })
}
