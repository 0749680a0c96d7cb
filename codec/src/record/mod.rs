//! One press of a seal, as the seal keeps it and the log chain covers it.
//!
//! Invariants:
//! - A record's bytes are evidence: made once by the seal, carried and stored verbatim, never encoded again.
//! - `seq` starts at 1 and never resets within an epoch. A "lost" record stands for a range of numbers.
//! - Units: seconds, 1e-7 degrees (WGS-84), metres.

mod facts;

use core::{fmt, ops::Deref, ops::Range};

pub use facts::{Facts, GrantState, LinkKind, Phase, Screen};

use crate::{
    DecodeError,
    cbor::{Reader, Writer},
};

/// Longest record in bytes: every field at its longest, with a position.
pub const MAX_RECORD: usize = 51;

wire_enum! { @closed
    /// How much a wall time is worth.
    ClockQuality: u8 {
        /// Never set; the wall time is 0.
        Unset = 0 => "unset",
        /// Kept by the real-time clock since an earlier boot.
        Kept = 1 => "kept",
        /// From the mobile network or a satellite: for display only, nobody signed it.
        Network = 2 => "network",
        /// From a signed lease or receipt in this boot.
        Secure = 3 => "secure",
    }
}

/// `kind` of a record: what the seal took the press for. The server classifies again from the facts.
pub mod kind {
    /// A press without an abnormal class.
    pub const STAMP: u8 = 0;
    // 1..=10 are the abnormal kinds, see `abnormal::AbnormalKind`.
    /// Refused: outside the granted region.
    pub const REGION: u8 = 11;
    /// Refused: a fingerprint is needed first.
    pub const FINGERPRINT: u8 = 12;
    /// Someone without a right to the seal tried to open a link.
    pub const FOREIGN_LINK: u8 = 13;
    /// The clock was found more than 120 s wrong.
    pub const CLOCK: u8 = 14;
    /// Stands for records that the seal lost: `seq` is the first, `auth` their number.
    pub const LOST: u8 = 250;
}

/// A place on earth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Latitude in 1e-7 degrees, WGS-84, -90 to 90 degrees.
    pub lat_e7: i32,
    /// Longitude in 1e-7 degrees, WGS-84, -180 to 180 degrees.
    pub lon_e7: i32,
    /// Radius of uncertainty in metres.
    pub accuracy: u16,
}

impl Position {
    pub(crate) fn write(&self, w: &mut Writer) {
        w.array(3)
            .int(self.lat_e7)
            .int(self.lon_e7)
            .uint(self.accuracy);
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array(3)?;
        Ok(Self {
            lat_e7: read_latitude(r)?,
            lon_e7: read_longitude(r)?,
            accuracy: r.u16()?,
        })
    }
}

pub(crate) fn read_latitude(r: &mut Reader<'_>) -> Result<i32, DecodeError> {
    r.i32_in(-900_000_000..=900_000_000, "latitude")
}

pub(crate) fn read_longitude(r: &mut Reader<'_>) -> Result<i32, DecodeError> {
    r.i32_in(-1_800_000_000..=1_800_000_000, "longitude")
}

/// One press, or a range of lost ones. Use [`kind`] for `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Place in the log; the first is 1.
    pub seq: u32,
    /// Count of power-ons of the seal.
    pub boot: u32,
    /// Seconds since power-on.
    pub up: u32,
    /// Unix seconds as the seal believed them; 0 if it believed none.
    pub wall: u32,
    /// What `wall` is worth.
    pub clkq: ClockQuality,
    /// What the seal took the press for, see [`kind`].
    pub kind: u8,
    /// Number of the grant it ran under; 0 for none. Of a lost record, how many records are lost.
    pub auth: u32,
    /// How many presses ran under this grant, this one included; 0 without a grant.
    pub n: u16,
    /// Where, if the seal knew.
    pub at: Option<Position>,
    /// The conditions of the press.
    pub facts: Facts,
}

impl Record {
    /// A record that stands for `count` lost ones from `seq` on; the other fields say when the loss was found.
    /// `None` when the range is empty or passes the last number.
    #[must_use]
    pub fn lost(seq: u32, count: u32, boot: u32, up: u32) -> Option<Self> {
        if count == 0 || seq == 0 {
            return None;
        }
        seq.checked_add(count)?;
        Some(Self {
            seq,
            boot,
            up,
            wall: 0,
            clkq: ClockQuality::Unset,
            kind: kind::LOST,
            auth: count,
            n: 0,
            at: None,
            facts: Facts::default(),
        })
    }

    /// The numbers a lost record stands for.
    #[must_use]
    pub fn lost_range(&self) -> Option<Range<u32>> {
        (self.kind == kind::LOST).then(|| self.seq..self.end())
    }

    /// The number of the record that follows.
    #[must_use]
    pub fn end(&self) -> u32 {
        let count = if self.kind == kind::LOST {
            self.auth
        } else {
            1
        };
        self.seq.saturating_add(count)
    }

    /// The bytes of the record, at most [`MAX_RECORD`]: some 25, or 36 with a position.
    #[must_use]
    pub fn encode(&self) -> RecordBytes {
        let mut w = Writer::with_capacity(MAX_RECORD);
        w.array(10)
            .uint(self.seq)
            .uint(self.boot)
            .uint(self.up)
            .uint(self.wall)
            .uint(self.clkq.number())
            .uint(self.kind)
            .uint(self.auth)
            .uint(self.n);
        match &self.at {
            Some(position) => position.write(&mut w),
            None => {
                w.null();
            }
        }
        w.uint(self.facts.bits());
        RecordBytes::new(&w.into_bytes()).expect("ten bounded fields fit")
    }

    /// Reads a record.
    ///
    /// # Errors
    /// The bytes are not exactly one canonical record with its values in range.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::signed(bytes, MAX_RECORD)?;
        r.array(10)?;
        let record = Self {
            seq: r.u32()?,
            boot: r.u32()?,
            up: r.u32()?,
            wall: r.u32()?,
            clkq: ClockQuality::from_number(r.u8()?).ok_or(DecodeError::Range("clock quality"))?,
            kind: r.u8()?,
            auth: r.u32()?,
            n: r.u16()?,
            at: if r.null()? {
                None
            } else {
                Some(Position::read(&mut r)?)
            },
            facts: Facts::from_bits(r.u32()?),
        };
        if record.seq == 0 {
            return Err(DecodeError::Range("the first record is number 1"));
        }
        let count = if record.kind == kind::LOST {
            record.auth
        } else {
            1
        };
        if count == 0 || record.seq.checked_add(count).is_none() {
            return Err(DecodeError::Range("the records a record stands for"));
        }
        Ok(record)
    }
}

/// The bytes of one record, kept inline.
#[derive(Clone, Copy)]
pub struct RecordBytes {
    length: u8,
    buffer: [u8; MAX_RECORD],
}

impl RecordBytes {
    /// Copies bytes; `None` above [`MAX_RECORD`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut buffer = [0; MAX_RECORD];
        buffer.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            length: u8::try_from(bytes.len()).ok()?,
            buffer,
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.buffer[..usize::from(self.length)]
    }
}

impl Deref for RecordBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for RecordBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for RecordBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for RecordBytes {}

impl fmt::Debug for RecordBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.as_slice() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A record together with the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What the bytes say.
    pub record: Record,
    /// The evidence.
    pub bytes: RecordBytes,
}

impl Entry {
    /// A record made here.
    #[must_use]
    pub fn new(record: Record) -> Self {
        Self {
            bytes: record.encode(),
            record,
        }
    }

    /// A record that arrived.
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record = Record::decode(bytes)?;
        let bytes = RecordBytes::new(bytes).ok_or(DecodeError::TooLarge {
            len: bytes.len(),
            cap: MAX_RECORD,
        })?;
        Ok(Self { record, bytes })
    }
}
