//! Arguments of commands: maps whose key 0 repeats the op.

use alloc::vec::Vec;

use super::Op;
use crate::{
    DecodeError,
    cbor::{Map, Reader, Writer},
    message::MAX_COSE,
    record::{read_latitude, read_longitude},
};

type Result<T> = core::result::Result<T, DecodeError>;

/// Most stamps of a limited grant (USE-2).
pub const MAX_COUNT: u16 = 500;
const MAX_KEYSET: usize = MAX_COSE - 128;

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

/// Settings; what is missing stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigArgs {
    /// Version of the settings, reported back in HELLO.
    pub version: u32,
    /// Seconds of backlight, 0 to 180; 0 = always on (MGMT-1).
    pub backlight: Option<u8>,
    /// Minutes until it switches itself off, 0 to 30; 0 = never (MGMT-1).
    pub auto_off: Option<u8>,
    /// Keep-alive in seconds.
    pub keepalive: Option<u16>,
    /// Seconds between STATUS messages.
    pub heartbeat: Option<u16>,
}

/// Which firmware may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirmwareArgs {
    /// Firmware version.
    pub fw: u32,
    /// Number of the artifact.
    pub artifact: u32,
    /// SHA-256 of the manifest.
    pub digest: [u8; 32],
}

/// What a command does, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the variants are Op's, their fields are named by the published table"
)]
pub enum Args {
    Grant(GrantArgs),
    End {
        grant: u32,
        reason: Option<u8>,
    },
    Activate {
        grant: u32,
    },
    Lock {
        reason: Option<u8>,
    },
    Unlock {
        reason: Option<u8>,
    },
    Config(ConfigArgs),
    FpEnrol {
        slot: u8,
        user: u32,
        presses: Option<u8>,
    },
    FpDelete {
        slot: u8,
    },
    Unbind,
    Bind,
    FwSet(FirmwareArgs),
    Reboot,
    LogSeal {
        epoch: u32,
    },
    KeySet {
        key_set: Vec<u8>,
    },
    Locate,
    Offline {
        on: bool,
    },
}

impl Args {
    /// The op they are for.
    #[must_use]
    pub const fn op(&self) -> Op {
        match self {
            Self::Grant(_) => Op::Grant,
            Self::End { .. } => Op::End,
            Self::Activate { .. } => Op::Activate,
            Self::Lock { .. } => Op::Lock,
            Self::Unlock { .. } => Op::Unlock,
            Self::Config(_) => Op::Config,
            Self::FpEnrol { .. } => Op::FpEnrol,
            Self::FpDelete { .. } => Op::FpDelete,
            Self::Unbind => Op::Unbind,
            Self::Bind => Op::Bind,
            Self::FwSet(_) => Op::FwSet,
            Self::Reboot => Op::Reboot,
            Self::LogSeal { .. } => Op::LogSeal,
            Self::KeySet { .. } => Op::KeySet,
            Self::Locate => Op::Locate,
            Self::Offline { .. } => Op::Offline,
        }
    }

    pub(super) fn write(&self, w: &mut Writer) {
        let tag = self.op().number();
        match self {
            Self::Grant(grant) => grant.write(w),
            Self::Config(config) => config.write(w),
            Self::End { grant, reason } => {
                w.map(2, &[reason.is_some()]).key(0).uint(tag);
                w.key(1).uint(*grant).optional(2, *reason);
            }
            Self::Lock { reason } | Self::Unlock { reason } => {
                w.map(1, &[reason.is_some()]).key(0).uint(tag);
                w.optional(1, *reason);
            }
            Self::FpEnrol {
                slot,
                user,
                presses,
            } => {
                w.map(3, &[presses.is_some()]).key(0).uint(tag);
                w.key(1).uint(*slot).key(2).uint(*user);
                w.optional(3, *presses);
            }
            Self::FwSet(firmware) => {
                w.map(4, &[]).key(0).uint(tag);
                w.key(1).uint(firmware.fw).key(2).uint(firmware.artifact);
                w.key(3).bytes(&firmware.digest);
            }
            Self::Activate { grant: number } | Self::LogSeal { epoch: number } => {
                w.map(2, &[]).key(0).uint(tag).key(1).uint(*number);
            }
            Self::FpDelete { slot } => {
                w.map(2, &[]).key(0).uint(tag).key(1).uint(*slot);
            }
            Self::KeySet { key_set } => {
                w.map(2, &[]).key(0).uint(tag).key(1).bytes(key_set);
            }
            Self::Offline { on } => {
                w.map(2, &[]).key(0).uint(tag).key(1).bool(*on);
            }
            Self::Unbind | Self::Bind | Self::Reboot | Self::Locate => {
                w.map(1, &[]).key(0).uint(tag);
            }
        }
    }

    /// Reads the arguments of an op; its number must be their tag.
    pub(super) fn read(op: Op, r: &mut Reader<'_>) -> Result<Self> {
        let mut map = r.map()?;
        if map.required(0, Reader::u8)? != op.number() {
            return Err(DecodeError::Range("arguments of another op"));
        }
        let args = match op {
            Op::Grant => Self::Grant(GrantArgs::read(&mut map)?),
            Op::End => Self::End {
                grant: map.required(1, Reader::u32)?,
                reason: map.optional(2, Reader::u8)?,
            },
            Op::Activate => Self::Activate {
                grant: map.required(1, Reader::u32)?,
            },
            Op::Lock => Self::Lock {
                reason: map.optional(1, Reader::u8)?,
            },
            Op::Unlock => Self::Unlock {
                reason: map.optional(1, Reader::u8)?,
            },
            Op::Config => Self::Config(ConfigArgs::read(&mut map)?),
            Op::FpEnrol => Self::FpEnrol {
                slot: map.required(1, Reader::u8)?,
                user: map.required(2, Reader::u32)?,
                presses: map.optional(3, Reader::u8)?,
            },
            Op::FpDelete => Self::FpDelete {
                slot: map.required(1, Reader::u8)?,
            },
            Op::Unbind => Self::Unbind,
            Op::Bind => Self::Bind,
            Op::FwSet => Self::FwSet(FirmwareArgs {
                fw: map.required(1, Reader::u32)?,
                artifact: map.required(2, Reader::u32)?,
                digest: map.required(3, Reader::fixed)?,
            }),
            Op::Reboot => Self::Reboot,
            Op::LogSeal => Self::LogSeal {
                epoch: map.required(1, Reader::u32)?,
            },
            Op::KeySet => Self::KeySet {
                key_set: map
                    .required(1, |r| r.bytes_in(1..=MAX_KEYSET, "length of a key set"))?
                    .to_vec(),
            },
            Op::Locate => Self::Locate,
            Op::Offline => Self::Offline {
                on: map.required(1, Reader::bool)?,
            },
        };
        map.finish()?;
        Ok(args)
    }
}

impl GrantArgs {
    fn read(map: &mut Map<'_, '_>) -> Result<Self> {
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

    fn write(&self, w: &mut Writer) {
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

impl ConfigArgs {
    fn read(map: &mut Map<'_, '_>) -> Result<Self> {
        Ok(Self {
            version: map.required(1, Reader::u32)?,
            backlight: map.optional(2, |r| r.u8_in(0..=180, "backlight"))?,
            auto_off: map.optional(3, |r| r.u8_in(0..=30, "auto power-off"))?,
            keepalive: map.optional(5, Reader::u16)?,
            heartbeat: map.optional(6, Reader::u16)?,
        })
    }

    fn write(&self, w: &mut Writer) {
        w.map(
            2,
            &[
                self.backlight.is_some(),
                self.auto_off.is_some(),
                self.keepalive.is_some(),
                self.heartbeat.is_some(),
            ],
        );
        w.key(0).uint(Op::Config.number());
        w.key(1).uint(self.version);
        w.optional(2, self.backlight);
        w.optional(3, self.auto_off);
        w.optional(5, self.keepalive);
        w.optional(6, self.heartbeat);
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
