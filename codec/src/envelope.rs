//! What every message is wrapped in: `[type, mid, body]`, or `[type, mid, body, re]` for one that answers another.

use alloc::vec::Vec;

use crate::{
    DecodeError,
    cbor::{Reader, Writer},
};

/// Writes a message; `body` writes what it says.
pub(crate) fn encode(
    number: u8,
    (mid, re): (u16, Option<u16>),
    capacity: usize,
    body: impl FnOnce(&mut Writer),
) -> Vec<u8> {
    let mut w = Writer::with_capacity(capacity);
    w.array(if re.is_some() { 4 } else { 3 })
        .uint(number)
        .uint(mid);
    body(&mut w);
    if let Some(re) = re {
        w.uint(re);
    }
    w.into_bytes()
}

/// The head of a message: how many items it has, and its type, if `bytes` are within that type's cap.
pub(crate) fn head<K: Copy>(
    r: &mut Reader<'_>,
    len: usize,
    known: impl Fn(u8) -> Option<K>,
    cap: impl Fn(K) -> usize,
) -> Result<(bool, K, u16), DecodeError> {
    let answers = r.array_in(3..=4, "items of a message")? == 4;
    let number = r.u64()?;
    let kind = u8::try_from(number)
        .ok()
        .and_then(known)
        .ok_or(DecodeError::UnknownType(number))?;
    let cap = cap(kind);
    if len > cap {
        return Err(DecodeError::TooLarge { len, cap });
    }
    Ok((answers, kind, r.u16()?))
}
