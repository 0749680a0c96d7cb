//! Reading what the pre-scan let through.

use core::ops::RangeInclusive;

use minicbor::{Decoder, data::Type};

use super::check_canonical;
use crate::DecodeError;

type Result<T> = core::result::Result<T, DecodeError>;

/// Reads one item. Built only over canonical bytes.
pub(crate) struct Reader<'b> {
    decoder: Decoder<'b>,
    /// A signed body: unknown keys are refused instead of ignored.
    signed: bool,
    ignored: u32,
}

impl<'b> Reader<'b> {
    /// Over the bytes of an unsigned message.
    pub(crate) fn unsigned(bytes: &'b [u8], cap: usize) -> Result<Self> {
        Self::over(bytes, cap, false)
    }

    /// Over the bytes of a signed body.
    pub(crate) fn signed(bytes: &'b [u8], cap: usize) -> Result<Self> {
        Self::over(bytes, cap, true)
    }

    fn over(bytes: &'b [u8], cap: usize, signed: bool) -> Result<Self> {
        if bytes.len() > cap {
            return Err(DecodeError::TooLarge {
                len: bytes.len(),
                cap,
            });
        }
        check_canonical(bytes)?;
        Ok(Self {
            decoder: Decoder::new(bytes),
            signed,
            ignored: 0,
        })
    }

    /// Unknown keys passed over so far.
    pub(crate) fn ignored(&self) -> u32 {
        self.ignored
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(self.decoder.u64()?)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        u32::try_from(self.u64()?).map_err(|_| DecodeError::Range("more than 32 bits"))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        u16::try_from(self.u64()?).map_err(|_| DecodeError::Range("more than 16 bits"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        u8::try_from(self.u64()?).map_err(|_| DecodeError::Range("more than 8 bits"))
    }

    /// An unsigned integer within a range.
    pub(crate) fn u16_in(&mut self, range: RangeInclusive<u16>, what: &'static str) -> Result<u16> {
        let value = self.u16()?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(DecodeError::Range(what))
        }
    }

    /// An unsigned integer within a range.
    pub(crate) fn u8_in(&mut self, range: RangeInclusive<u8>, what: &'static str) -> Result<u8> {
        let value = self.u8()?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(DecodeError::Range(what))
        }
    }

    /// A signed integer within a range.
    pub(crate) fn i32_in(&mut self, range: RangeInclusive<i32>, what: &'static str) -> Result<i32> {
        let value = i128::from(self.decoder.int()?);
        i32::try_from(value)
            .ok()
            .filter(|value| range.contains(value))
            .ok_or(DecodeError::Range(what))
    }

    /// A received signal strength, in dBm.
    pub(crate) fn rssi(&mut self) -> Result<i8> {
        let value = self.i32_in(-128..=0, "signal strength")?;
        i8::try_from(value).map_err(|_| DecodeError::Range("signal strength"))
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        Ok(self.decoder.bool()?)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8]> {
        Ok(self.decoder.bytes()?)
    }

    /// A byte string of a length within a range.
    pub(crate) fn bytes_in(
        &mut self,
        range: RangeInclusive<usize>,
        what: &'static str,
    ) -> Result<&'b [u8]> {
        let bytes = self.bytes()?;
        if range.contains(&bytes.len()) {
            Ok(bytes)
        } else {
            Err(DecodeError::Range(what))
        }
    }

    /// Text of a length within a range, in bytes.
    pub(crate) fn text_in(
        &mut self,
        range: RangeInclusive<usize>,
        what: &'static str,
    ) -> Result<&'b str> {
        let text = self.decoder.str()?;
        if range.contains(&text.len()) {
            Ok(text)
        } else {
            Err(DecodeError::Range(what))
        }
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        <[u8; N]>::try_from(self.bytes()?)
            .map_err(|_| DecodeError::Range("length of a byte string"))
    }

    /// Whether `null` stands next; consumes it then.
    pub(crate) fn null(&mut self) -> Result<bool> {
        if self.decoder.datatype()? == Type::Null {
            self.decoder.null()?;
            return Ok(true);
        }
        Ok(false)
    }

    pub(crate) fn is_array_next(&self) -> Result<bool> {
        Ok(self.decoder.datatype()? == Type::Array)
    }

    /// The length of an array, within a range.
    pub(crate) fn array_in(
        &mut self,
        range: RangeInclusive<u64>,
        what: &'static str,
    ) -> Result<u64> {
        match self.decoder.array()? {
            Some(length) if range.contains(&length) => Ok(length),
            _ => Err(DecodeError::Range(what)),
        }
    }

    /// An array of exactly this many items.
    pub(crate) fn array(&mut self, length: u64) -> Result<()> {
        match self.decoder.array()? {
            Some(found) if found == length => Ok(()),
            _ => Err(DecodeError::Malformed("an array of another length")),
        }
    }

    /// An array of exactly `N` equal things.
    pub(crate) fn each<T: Copy + Default, const N: usize>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T>,
    ) -> Result<[T; N]> {
        self.array(N as u64)?;
        let mut items = [T::default(); N];
        for item in &mut items {
            *item = read(self)?;
        }
        Ok(items)
    }

    /// Opens a map.
    pub(crate) fn map(&mut self) -> Result<Map<'_, 'b>> {
        let left = self
            .decoder
            .map()?
            .ok_or(DecodeError::NotCanonical("an indefinite length"))?;
        Ok(Map {
            reader: self,
            left,
            pending: None,
        })
    }
}

/// A map, read in the order of its keys.
pub(crate) struct Map<'r, 'b> {
    reader: &'r mut Reader<'b>,
    /// Entries whose key has not been read.
    left: u64,
    /// A key that was read while its value was not.
    pending: Option<Key>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Number(u64),
    /// Not an unsigned integer: unknown, and sorted behind all that are.
    Foreign,
}

impl<'b> Map<'_, 'b> {
    /// The value of a key that may be missing. Keys must be asked for in ascending order.
    pub(crate) fn optional<T>(
        &mut self,
        key: u64,
        read: impl FnOnce(&mut Reader<'b>) -> Result<T>,
    ) -> Result<Option<T>> {
        while let Some(found) = self.peek()? {
            match found {
                Key::Number(number) if number == key => {
                    self.pending = None;
                    return read(self.reader).map(Some);
                }
                Key::Number(number) if number < key => self.pass_over()?,
                Key::Number(_) | Key::Foreign => break,
            }
        }
        Ok(None)
    }

    /// The value of a key that must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: u64,
        read: impl FnOnce(&mut Reader<'b>) -> Result<T>,
    ) -> Result<T> {
        self.optional(key, read)?
            .ok_or(DecodeError::MissingKey(key))
    }

    /// Passes over what is left.
    pub(crate) fn finish(mut self) -> Result<()> {
        while self.peek()?.is_some() {
            self.pass_over()?;
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<Key>> {
        if self.pending.is_none() && self.left > 0 {
            self.left -= 1;
            let decoder = &mut self.reader.decoder;
            self.pending = Some(match decoder.datatype()? {
                Type::U8 | Type::U16 | Type::U32 | Type::U64 => Key::Number(decoder.u64()?),
                _ => {
                    decoder.skip()?;
                    Key::Foreign
                }
            });
        }
        Ok(self.pending)
    }

    fn pass_over(&mut self) -> Result<()> {
        if self.reader.signed {
            return Err(DecodeError::UnknownKey);
        }
        self.reader.decoder.skip()?;
        self.reader.ignored += 1;
        self.pending = None;
        Ok(())
    }
}
