//! What a box reports, and what it is asked to do: presence of seals, state of its queue, wishes for a link.

use crate::{
    DecodeError, DeviceId,
    cbor::{Reader, Writer},
    link::AdvertState,
    record::LinkKind,
};

/// Entries of one SEEN, NEARBY or WANT, at most.
pub const MAX_SEEN: usize = 64;

/// The state of a box's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueState {
    /// Messages that wait for the gateway.
    pub messages: u32,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Bytes it may use.
    pub limit: u64,
    /// Age of the oldest, seconds.
    pub oldest: u32,
    /// Messages refused since the box started because the queue was full.
    pub refused: u32,
}

impl QueueState {
    pub(super) fn write(&self, w: &mut Writer) {
        w.array(5)
            .uint(self.messages)
            .uint(self.bytes)
            .uint(self.limit)
            .uint(self.oldest)
            .uint(self.refused);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array(5)?;
        Ok(Self {
            messages: r.u32()?,
            bytes: r.u64()?,
            limit: r.u64()?,
            oldest: r.u32()?,
            refused: r.u32()?,
        })
    }
}

/// STATUS of a box, every [`super::EdgeAck::report`] seconds; answered with TIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeStatus {
    /// Seconds since the box's program started.
    pub up: u32,
    /// Its queue.
    pub queue: QueueState,
    /// Links open now.
    pub linked: u16,
    /// Links that seals refused since the program started.
    pub refused: u32,
    /// Temperature of the box, degrees Celsius.
    pub temperature: Option<i8>,
}

impl EdgeStatus {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(4, &[self.temperature.is_some()]);
        w.key(0).uint(self.up);
        w.key(1);
        self.queue.write(w);
        w.key(2).uint(self.linked);
        w.key(3).uint(self.refused);
        if let Some(temperature) = self.temperature {
            w.key(4).int(temperature);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let status = Self {
            up: map.required(0, Reader::u32)?,
            queue: map.required(1, QueueState::read)?,
            linked: map.required(2, Reader::u16)?,
            refused: map.required(3, Reader::u32)?,
            temperature: map
                .optional(4, |r| r.i32_in(-128..=127, "temperature"))?
                .and_then(|degrees| i8::try_from(degrees).ok()),
        };
        map.finish()?;
        Ok(status)
    }
}

wire_enum! { @closed
    /// Where a seal is, as its box knows.
    Presence: u8 {
        /// Not heard of any more.
        Gone = 0 => "gone",
        /// Heard, not linked.
        Heard = 1 => "heard",
        /// A link is open.
        Linked = 2 => "linked",
        /// The seal refuses the box's ticket: no right to use.
        Refused = 3 => "refused",
    }
}

/// What a box knows of one of its seals. Reported when it changed, and all of them after EDGE-ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The seal.
    pub dev: DeviceId,
    /// Where it is.
    pub presence: Presence,
    /// By which way it was heard.
    pub way: LinkKind,
    /// Signal strength in dBm, BLE only.
    pub rssi: Option<i8>,
    /// State bits of its last advertisement.
    pub state: AdvertState,
    /// Records that wait in it.
    pub pending: u16,
    /// Its battery in percent.
    pub battery: Option<u8>,
    /// Seconds since it was last heard.
    pub age: u32,
}

impl Seen {
    pub(super) fn write(&self, w: &mut Writer) {
        w.array(8)
            .bytes(self.dev.as_bytes())
            .uint(self.presence.number())
            .uint(self.way.number());
        write_rssi(self.rssi, w);
        w.uint(self.state.0).uint(self.pending);
        match self.battery {
            Some(battery) => w.uint(battery),
            None => w.null(),
        };
        w.uint(self.age);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array(8)?;
        Ok(Self {
            dev: DeviceId::new(r.fixed()?),
            presence: Presence::from_number(r.u8()?).ok_or(DecodeError::Range("presence"))?,
            way: read_way(r)?,
            rssi: read_rssi(r)?,
            state: AdvertState(r.u8()?),
            pending: r.u16()?,
            battery: if r.null()? {
                None
            } else {
                Some(r.u8_in(0..=100, "battery")?)
            },
            age: r.u32()?,
        })
    }
}

/// A seal in the air that is not the box's: for binding from a list. Only after SCAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearby {
    /// Id of the day, see [`crate::link::advert_id`]: the platform knows whose it is, the box does not.
    pub id: [u8; 6],
    /// Its Bluetooth address.
    pub address: [u8; 6],
    /// Signal strength in dBm.
    pub rssi: Option<i8>,
    /// State bits.
    pub state: AdvertState,
    /// Its battery in percent.
    pub battery: u8,
}

impl Nearby {
    pub(super) fn write(&self, w: &mut Writer) {
        w.array(5).bytes(&self.id).bytes(&self.address);
        write_rssi(self.rssi, w);
        w.uint(self.state.0).uint(self.battery);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array(5)?;
        Ok(Self {
            id: r.fixed()?,
            address: r.fixed()?,
            rssi: read_rssi(r)?,
            state: AdvertState(r.u8()?),
            battery: r.u8_in(0..=100, "battery")?,
        })
    }
}

/// Listen for seals that are not the box's, and report them by NEARBY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// For so many seconds, 1 to 120; the last NEARBY comes at their end.
    pub seconds: u8,
}

wire_enum! { @open
    /// Why a link is wanted.
    WantReason: u8 {
        /// A command waits.
        Command = 0 => "command",
        /// A lock or the end of a grant waits: before everything else.
        Urgent = 1 => "urgent",
        /// Its lease is soon over.
        Lease = 2 => "lease",
        /// Records are wanted.
        Log = 3 => "log",
    }
}

/// The gateway wants a link to a seal that has none; the box opens it as soon as it hears the seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The seal.
    pub dev: DeviceId,
    /// Why.
    pub reason: WantReason,
}

impl Want {
    pub(super) fn write(&self, w: &mut Writer) {
        w.array(2)
            .bytes(self.dev.as_bytes())
            .uint(self.reason.number());
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array(2)?;
        Ok(Self {
            dev: DeviceId::new(r.fixed()?),
            reason: WantReason::from_number(r.u8()?),
        })
    }
}

pub(super) fn read_way(r: &mut Reader<'_>) -> Result<LinkKind, DecodeError> {
    LinkKind::from_number(r.u8()?)
        .filter(|way| matches!(way, LinkKind::Ble | LinkKind::Uart))
        .ok_or(DecodeError::Range("way to a seal"))
}

pub(super) fn write_rssi(rssi: Option<i8>, w: &mut Writer) {
    match rssi {
        Some(rssi) => w.int(rssi),
        None => w.null(),
    };
}

pub(super) fn read_rssi(r: &mut Reader<'_>) -> Result<Option<i8>, DecodeError> {
    if r.null()? {
        Ok(None)
    } else {
        r.rssi().map(Some)
    }
}
