//! The canonical pre-scan: RFC 8949 4.2.1 and this protocol's own limits, in one pass over the bytes.

use crate::DecodeError;

/// Arrays and maps inside each other, at most. The protocol itself needs 4.
pub const MAX_DEPTH: usize = 8;

/// An open array or map.
#[derive(Clone, Copy)]
struct Level {
    /// Items still to come; of a map, keys and values, so an even number means that a key is next.
    left: u64,
    is_map: bool,
    /// Where the previous key stands; empty before the first one.
    previous: (usize, usize),
}

impl Level {
    const EMPTY: Self = Self {
        left: 0,
        is_map: false,
        previous: (0, 0),
    };

    const fn expects_key(&self) -> bool {
        self.is_map && self.left.is_multiple_of(2)
    }
}

/// Checks that the bytes are exactly one item of deterministic CBOR as this protocol uses it: shortest integers and
/// lengths, definite lengths, keys sorted and unique, no tags, no floating point, nesting at most [`MAX_DEPTH`].
///
/// # Errors
/// The first thing that is not so.
pub fn check_canonical(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut levels = [Level::EMPTY; MAX_DEPTH];
    let mut depth = 0;
    let mut position = 0;
    loop {
        let is_key = depth > 0 && levels[depth - 1].expects_key();
        let start = position;
        let head = Head::read(bytes, position)?;
        position = head.end;
        let mut opened = false;
        match head.major {
            0 | 1 => {}
            2 => position = skip(bytes, position, head.value)?,
            3 => {
                position = skip(bytes, position, head.value)?;
                core::str::from_utf8(&bytes[head.end..position])
                    .map_err(|_| DecodeError::Malformed("text that is not UTF-8"))?;
            }
            4 | 5 if is_key => return Err(DecodeError::Malformed("a key that is an array or map")),
            4 | 5 => opened = open(&mut levels, &mut depth, &head)?,
            6 => return Err(DecodeError::Malformed("a tag")),
            _ if matches!(head.value, 20..=22) && head.end == start + 1 => {}
            _ => return Err(DecodeError::Malformed("a floating-point or simple value")),
        }
        if is_key {
            order_key(bytes, &mut levels[depth - 1], (start, position))?;
        }
        if opened {
            continue;
        }
        close(&mut levels, &mut depth);
        if depth == 0 {
            break;
        }
    }
    if position == bytes.len() {
        Ok(())
    } else {
        Err(DecodeError::Trailing)
    }
}

/// Pushes an array or map; an empty one is complete at once.
fn open(
    levels: &mut [Level; MAX_DEPTH],
    depth: &mut usize,
    head: &Head,
) -> Result<bool, DecodeError> {
    let level = levels.get_mut(*depth).ok_or(DecodeError::TooDeep)?;
    let is_map = head.major == 5;
    let left = if is_map {
        head.value.checked_mul(2).ok_or(DecodeError::Truncated)?
    } else {
        head.value
    };
    *level = Level {
        left,
        is_map,
        previous: (0, 0),
    };
    if left == 0 {
        return Ok(false);
    }
    *depth += 1;
    Ok(true)
}

/// Counts a complete item, and every array or map that it completes.
fn close(levels: &mut [Level; MAX_DEPTH], depth: &mut usize) {
    while *depth > 0 {
        let level = &mut levels[*depth - 1];
        level.left -= 1;
        if level.left > 0 {
            return;
        }
        *depth -= 1;
    }
}

fn order_key(bytes: &[u8], level: &mut Level, key: (usize, usize)) -> Result<(), DecodeError> {
    let (from, to) = level.previous;
    if bytes[from..to] >= bytes[key.0..key.1] {
        return Err(DecodeError::NotCanonical("keys unsorted or twice"));
    }
    level.previous = key;
    Ok(())
}

fn skip(bytes: &[u8], position: usize, length: u64) -> Result<usize, DecodeError> {
    usize::try_from(length)
        .ok()
        .and_then(|length| position.checked_add(length))
        .filter(|end| *end <= bytes.len())
        .ok_or(DecodeError::Truncated)
}

/// The first bytes of an item.
struct Head {
    major: u8,
    value: u64,
    end: usize,
}

impl Head {
    fn read(bytes: &[u8], position: usize) -> Result<Self, DecodeError> {
        let first = *bytes.get(position).ok_or(DecodeError::Truncated)?;
        let major = first >> 5;
        let low = first & 31;
        let width = match low {
            0..=23 => {
                return Ok(Self {
                    major,
                    value: u64::from(low),
                    end: position + 1,
                });
            }
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            31 if (2..=5).contains(&major) => {
                return Err(DecodeError::NotCanonical("an indefinite length"));
            }
            _ => return Err(DecodeError::Malformed("a reserved head")),
        };
        let end = position + 1 + width;
        let tail = bytes.get(position + 1..end).ok_or(DecodeError::Truncated)?;
        let value = tail
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        let least = match width {
            1 => 24,
            2 => 0x100,
            4 => 0x1_0000,
            _ => 0x1_0000_0000,
        };
        if value < least && major != 7 {
            return Err(DecodeError::NotCanonical("a longer integer than needed"));
        }
        Ok(Self { major, value, end })
    }
}
