//! FP-PROG, STATUS, ERR.

use super::hello::{Counted, write_counted};
use crate::{
    DecodeError, ErrorCode,
    cbor::{Reader, Writer},
    record::{Facts, Position},
};

/// Type 64, up: how a fingerprint enrolment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FpProg {
    /// Counter of the fp-enrol ticket.
    pub ctr: u32,
    /// The slot.
    pub slot: u8,
    /// Presses taken.
    pub step: u8,
    /// Presses needed.
    pub of: u8,
    /// Quality of the last picture, 0 to 100.
    pub quality: Option<u8>,
    /// What failed.
    pub err: Option<ErrorCode>,
}

impl FpProg {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(4, &[self.quality.is_some(), self.err.is_some()]);
        w.key(0).uint(self.ctr);
        w.key(1).uint(self.slot);
        w.key(2).uint(self.step);
        w.key(3).uint(self.of);
        w.optional(4, self.quality);
        w.optional(5, self.err.map(ErrorCode::number));
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            ctr: map.required(0, Reader::u32)?,
            slot: map.required(1, Reader::u8)?,
            step: map.required(2, Reader::u8)?,
            of: map.required(3, Reader::u8)?,
            quality: map.optional(4, |r| r.u8_in(0..=100, "quality"))?,
            err: map.optional(5, Reader::u16)?.map(ErrorCode::from_number),
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 80, up, not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Seconds since power-on.
    pub up: u32,
    /// Battery in percent.
    pub batt: u8,
    /// Where it is.
    pub position: Option<Position>,
    /// Signal strength in dBm.
    pub rssi: Option<i8>,
    /// Its state now.
    pub facts: Option<Facts>,
    /// How full the log is, in percent of its capacity; above 100 while the reserve is in use.
    pub fill: u16,
    /// Presses that found the log full.
    pub counted: Option<Counted>,
}

impl Status {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(
            3,
            &[
                self.position.is_some(),
                self.rssi.is_some(),
                self.facts.is_some(),
                self.counted.is_some(),
            ],
        );
        w.key(0).uint(self.up);
        w.key(1).uint(self.batt);
        if let Some(position) = &self.position {
            w.key(2);
            position.write(w);
        }
        if let Some(rssi) = self.rssi {
            w.key(3).int(rssi);
        }
        w.optional(4, self.facts.map(Facts::bits));
        w.key(5).uint(self.fill);
        if let Some(counted) = &self.counted {
            w.key(6);
            write_counted(w, counted);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            up: map.required(0, Reader::u32)?,
            batt: map.required(1, |r| r.u8_in(0..=100, "battery"))?,
            position: map.optional(2, Position::read)?,
            rssi: map.optional(3, Reader::rssi)?,
            facts: map.optional(4, Reader::u32)?.map(Facts::from_bits),
            fill: map.required(5, Reader::u16)?,
            counted: map.optional(6, |r| r.each(Reader::u16))?,
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 127: a message was refused. Answers it when `re` is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrMsg {
    /// Why.
    pub code: ErrorCode,
    /// Try again after this many seconds.
    pub retry: Option<u16>,
}

impl ErrMsg {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(1, &[self.retry.is_some()]);
        w.key(0).uint(self.code.number());
        w.optional(1, self.retry);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            code: ErrorCode::from_number(map.required(0, Reader::u16)?),
            retry: map.optional(1, Reader::u16)?,
        };
        map.finish()?;
        Ok(body)
    }
}
