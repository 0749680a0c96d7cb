//! HELLO: a seal says who, where and how it is. The longest message body, and one of the two that come most often.

use crate::{
    DecodeError,
    cbor::{Reader, Writer},
    record::{ClockQuality, LinkKind},
};

wire_enum! { @open
    /// Why a seal started.
    ResetCause: u8 {
        /// The power key.
        PowerKey = 0 => "power key",
        /// The reset key.
        ResetKey = 1 => "reset key",
        /// A REBOOT command.
        Command = 2 => "command",
        /// New firmware.
        Firmware = 3 => "firmware",
        /// The watchdog, or a fault.
        Watchdog = 4 => "watchdog",
        /// The battery was empty.
        BrownOut = 5 => "brown-out",
    }
}

/// What a seal can do, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caps(pub u32);

impl Caps {
    /// Mobile network.
    pub const GPRS: u32 = 1;
    /// Bluetooth low energy.
    pub const BLE: u32 = 1 << 1;
    /// Fingerprint module.
    pub const FINGERPRINT: u32 = 1 << 2;
    /// Offline mode.
    pub const OFFLINE_MODE: u32 = 1 << 3;
    /// Position by satellite.
    pub const GNSS: u32 = 1 << 4;
    /// Checks a region by itself.
    pub const REGION: u32 = 1 << 5;
    /// Takes firmware deltas.
    pub const DELTA: u32 = 1 << 6;

    /// Whether all these bits are set.
    #[must_use]
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }
}

/// What the seal's log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Number of the oldest record it holds, or `next` when it holds none.
    pub first: u32,
    /// Number the next record will get.
    pub next: u32,
    /// How many records it can hold.
    pub capacity: u16,
}

/// The mobile cell a seal is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Mobile country code.
    pub mcc: u16,
    /// Mobile network code.
    pub mnc: u16,
    /// Location area code.
    pub lac: u16,
    /// Cell id.
    pub cid: u32,
}

/// Presses that found the log full, counted since the epoch began and stopping at 65,535. Index 0: presses without an
/// abnormal class; 1 to 10: the abnormal kinds.
pub type Counted = [u16; 11];

pub(super) fn write_counted(w: &mut Writer, counted: &Counted) {
    w.array(counted.len());
    for count in counted {
        w.uint(*count);
    }
}

/// Type 1, up. A seal opens its session. It is a hint: nothing in it moves what the server knows backwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Minor version it speaks.
    pub minor: u8,
    /// Firmware version.
    pub fw: u32,
    /// Security counter of the firmware (against rollback).
    pub sec: u16,
    /// Hardware version.
    pub hw: u16,
    /// Count of power-ons.
    pub boot: u32,
    /// Why it started.
    pub cause: ResetCause,
    /// Seconds since power-on.
    pub up: u32,
    /// Unix seconds it believes; 0 if none.
    pub wall: u32,
    /// What `wall` is worth.
    pub clkq: ClockQuality,
    /// Battery in percent.
    pub batt: u8,
    /// Signal strength in dBm.
    pub rssi: Option<i8>,
    /// What its log holds.
    pub log: LogPosition,
    /// Last counter taken in each domain, by [`crate::ticket::CounterDomain`] number.
    pub counters: [u32; 4],
    /// Whether it is locked.
    pub locked: bool,
    /// Version of the settings it runs.
    pub config_version: u32,
    /// The cell it is in.
    pub cell: Option<Cell>,
    /// The link it is on.
    pub link: LinkKind,
    /// What it can do.
    pub caps: Caps,
    /// First 16 bytes of its chain head before `log.next`.
    pub head: [u8; 16],
    /// Epoch of its log.
    pub epoch: u32,
    /// Binding generation.
    pub generation: u32,
    /// Fresh: the lease must repeat it.
    pub nonce: [u8; 8],
    /// Presses that found the log full.
    pub counted: Counted,
}

impl Hello {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(21, &[self.rssi.is_some(), self.cell.is_some()]);
        w.key(0).uint(self.minor);
        w.key(1).uint(self.fw);
        w.key(2).uint(self.sec);
        w.key(3).uint(self.hw);
        w.key(4).uint(self.boot);
        w.key(5).uint(self.cause.number());
        w.key(6).uint(self.up);
        w.key(7).uint(self.wall);
        w.key(8).uint(self.clkq.number());
        w.key(9).uint(self.batt);
        if let Some(rssi) = self.rssi {
            w.key(10).int(rssi);
        }
        w.key(11)
            .array(3)
            .uint(self.log.first)
            .uint(self.log.next)
            .uint(self.log.capacity);
        w.key(12).array(4);
        for counter in self.counters {
            w.uint(counter);
        }
        w.key(13).bool(self.locked);
        w.key(14).uint(self.config_version);
        if let Some(cell) = self.cell {
            w.key(15)
                .array(4)
                .uint(cell.mcc)
                .uint(cell.mnc)
                .uint(cell.lac)
                .uint(cell.cid);
        }
        w.key(16).uint(self.link.number());
        w.key(17).uint(self.caps.0);
        w.key(18).bytes(&self.head);
        w.key(19).uint(self.epoch);
        w.key(20).uint(self.generation);
        w.key(21).bytes(&self.nonce);
        w.key(22);
        write_counted(w, &self.counted);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            minor: map.required(0, Reader::u8)?,
            fw: map.required(1, Reader::u32)?,
            sec: map.required(2, Reader::u16)?,
            hw: map.required(3, Reader::u16)?,
            boot: map.required(4, Reader::u32)?,
            cause: ResetCause::from_number(map.required(5, Reader::u8)?),
            up: map.required(6, Reader::u32)?,
            wall: map.required(7, Reader::u32)?,
            clkq: map.required(8, |r| {
                ClockQuality::from_number(r.u8()?).ok_or(DecodeError::Range("clock quality"))
            })?,
            batt: map.required(9, |r| r.u8_in(0..=100, "battery"))?,
            rssi: map.optional(10, Reader::rssi)?,
            log: map.required(11, read_log_position)?,
            counters: map.required(12, |r| r.each(Reader::u32))?,
            locked: map.required(13, Reader::bool)?,
            config_version: map.required(14, Reader::u32)?,
            cell: map.optional(15, read_cell)?,
            link: map.required(16, |r| {
                LinkKind::from_number(r.u8()?).ok_or(DecodeError::Range("link"))
            })?,
            caps: Caps(map.required(17, Reader::u32)?),
            head: map.required(18, Reader::fixed)?,
            epoch: map.required(19, Reader::u32)?,
            generation: map.required(20, Reader::u32)?,
            nonce: map.required(21, Reader::fixed)?,
            counted: map.required(22, |r| r.each(Reader::u16))?,
        };
        map.finish()?;
        Ok(body)
    }
}

fn read_log_position(r: &mut Reader<'_>) -> Result<LogPosition, DecodeError> {
    r.array(3)?;
    let position = LogPosition {
        first: r.u32()?,
        next: r.u32()?,
        capacity: r.u16()?,
    };
    if position.first == 0 || position.next < position.first {
        return Err(DecodeError::Range("log position"));
    }
    Ok(position)
}

fn read_cell(r: &mut Reader<'_>) -> Result<Cell, DecodeError> {
    r.array(4)?;
    Ok(Cell {
        mcc: r.u16()?,
        mnc: r.u16()?,
        lac: r.u16()?,
        cid: r.u32()?,
    })
}
