//! Fresh ids: time ordered, so that indexes grow at one end.

use sealgate_domain::Millis;
use uuid::Uuid;

/// A fresh version 7 id of the asked type.
#[must_use]
pub fn fresh<Id: From<Uuid>>(now: Millis) -> Id {
    let millis = u64::try_from(now.0).unwrap_or(0);
    let random: [u8; 10] = rand::random();
    Id::from(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}
