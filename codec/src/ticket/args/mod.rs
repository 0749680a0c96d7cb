//! Arguments of commands: maps whose key 0 repeats the op.

mod grant;

use alloc::vec::Vec;

pub use grant::{Area, GrantArgs, GrantFlags, MAX_COUNT, UseMode, Vertex};

use super::Op;
use crate::{
    DecodeError,
    cbor::{Map, Reader, Writer},
    message::MAX_COSE,
};

type Result<T> = core::result::Result<T, DecodeError>;

const MAX_KEYSET: usize = MAX_COSE - 128;

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
