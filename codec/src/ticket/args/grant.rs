//! What a grant allows.

use alloc::vec::Vec;

use super::Result;
use crate::{
    DecodeError,
    cbor::{Map, Reader, Writer},
    record::{read_latitude, read_longitude},
    ticket::Op,
};

/// Most stamps of a limited grant (USE-2).
pub const MAX_COUNT: u16 = 500;
wire_enum! { @closed
    /// How a grant is used.
    UseMode: u8 {
        /// By pressing the seal.
        Physical = 0 => "physical",
        /// By electronic stamping: never unlocks the seal.
        Electronic = 1 => "electronic",
    }
}

/// Switches of a grant, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GrantFlags(pub u16);

impl GrantFlags {
    /// A photo at each stamp.
    pub const PHOTO: u16 = 1;
    /// A fingerprint first.
    pub const FINGERPRINT: u16 = 2;
    /// Pre-authorized: waits for its activation.
    pub const PRE_AUTHORIZED: u16 = 4;
    /// Forced upload of use records.
    pub const FORCED_UPLOAD: u16 = 8;
    /// Only within its region.
    pub const REGION: u16 = 16;
    /// Offline mode may be switched on under it.
    pub const OFFLINE_ALLOWED: u16 = 32;
    /// Spent by an electronic seal.
    pub const ELECTRONIC: u16 = 64;

    /// Whether all these bits are set.
    #[must_use]
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }
}

/// A corner of an area, 1e-7 degrees WGS-84.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vertex {
    /// Latitude.
    pub lat_e7: i32,
    /// Longitude.
    pub lon_e7: i32,
}

/// Where a grant may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Area {
    /// Around a place.
    Circle {
        /// The place.
        center: Vertex,
        /// Radius in metres.
        radius: u16,
    },
    /// 3 to 8 corners.
    Polygon(Vec<Vertex>),
}

/// What a grant allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantArgs {
    /// Number of the grant on this seal.
    pub no: u32,
    /// Most stamps, at most 500; 0 = unlimited.
    pub max: u16,
    /// How it is used.
    pub mode: UseMode,
    /// Its switches.
    pub flags: GrantFlags,
    /// Where it may be used.
    pub area: Option<Area>,
    /// 1 to 6 slots of the user's fingerprints.
    pub fingerprints: Option<Vec<u8>>,
    /// Verifies the activation code without the platform: first 16 bytes of an HMAC by the seal's own key.
    pub activation: Option<[u8; 16]>,
    /// Number of the user in the organization.
    pub user: u32,
    /// Seconds of uptime it may be used without a lease, in offline mode.
    pub offline: Option<u32>,
}

impl GrantArgs {
    pub(super) fn read(map: &mut Map<'_, '_>) -> Result<Self> {
        Ok(Self {
            no: map.required(1, Reader::u32)?,
            max: map.required(2, |r| r.u16_in(0..=MAX_COUNT, "count of a grant"))?,
            mode: map.required(3, |r| {
                UseMode::from_number(r.u8()?).ok_or(DecodeError::Range("use mode"))
            })?,
            flags: GrantFlags(map.required(4, Reader::u16)?),
            area: map.optional(5, Area::read)?,
            fingerprints: map.optional(6, read_slots)?,
            activation: map.optional(7, Reader::fixed)?,
            user: map.required(8, Reader::u32)?,
            offline: map.optional(9, Reader::u32)?,
        })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.map(
            6,
            &[
                self.area.is_some(),
                self.fingerprints.is_some(),
                self.activation.is_some(),
                self.offline.is_some(),
            ],
        );
        w.key(0).uint(Op::Grant.number());
        w.key(1).uint(self.no);
        w.key(2).uint(self.max);
        w.key(3).uint(self.mode.number());
        w.key(4).uint(self.flags.0);
        if let Some(area) = &self.area {
            w.key(5);
            area.write(w);
        }
        if let Some(slots) = &self.fingerprints {
            w.key(6).array(slots.len());
            for slot in slots {
                w.uint(*slot);
            }
        }
        if let Some(activation) = &self.activation {
            w.key(7).bytes(activation);
        }
        w.key(8).uint(self.user);
        w.optional(9, self.offline);
    }
}

impl Area {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Circle { center, radius } => {
                w.array(3)
                    .int(center.lat_e7)
                    .int(center.lon_e7)
                    .uint(*radius);
            }
            Self::Polygon(corners) => {
                w.array(corners.len());
                for corner in corners {
                    w.array(2).int(corner.lat_e7).int(corner.lon_e7);
                }
            }
        }
    }

    /// A polygon is an array of arrays, a circle an array of numbers.
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let count = r.array_in(3..=8, "corners of an area")?;
        if r.is_array_next()? {
            return (0..count)
                .map(|_| {
                    r.array(2)?;
                    read_vertex(r)
                })
                .collect::<Result<_>>()
                .map(Self::Polygon);
        }
        if count != 3 {
            return Err(DecodeError::Malformed("an area"));
        }
        Ok(Self::Circle {
            center: read_vertex(r)?,
            radius: r.u16()?,
        })
    }
}

fn read_vertex(r: &mut Reader<'_>) -> Result<Vertex> {
    Ok(Vertex {
        lat_e7: read_latitude(r)?,
        lon_e7: read_longitude(r)?,
    })
}

fn read_slots(r: &mut Reader<'_>) -> Result<Vec<u8>> {
    let count = r.array_in(1..=6, "fingerprint slots")?;
    (0..count).map(|_| r.u8()).collect()
}
