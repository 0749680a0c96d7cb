//! OTA-OFFER, OTA-REQ, OTA-BLK, OTA-STAT: firmware by blocks that the seal pulls.

use alloc::vec::Vec;

use crate::{
    DecodeError, ErrorCode,
    cbor::{Reader, Writer},
};

/// Longest firmware block in bytes.
pub const MAX_BLOCK: usize = 2048;
/// Longest manifest in bytes.
const MAX_MANIFEST: usize = 900;

wire_enum! { @closed
    /// How far an update is (the numbers of LwM2M object 5).
    OtaState: u8 {
        /// Nothing to do.
        Idle = 0 => "idle",
        /// Blocks are coming in.
        Downloading = 1 => "downloading",
        /// Complete and verified; waits for its time.
        Downloaded = 2 => "downloaded",
        /// Written, restarting or on trial.
        Updating = 3 => "updating",
    }
}

wire_enum! { @open
    /// How an update ended (the numbers of LwM2M object 5).
    OtaResult: u8 {
        /// Nothing ended yet.
        Initial = 0 => "initial",
        /// Updated.
        Success = 1 => "success",
        /// Not enough flash.
        NoFlash = 2 => "no flash",
        /// Not enough memory.
        NoMemory = 3 => "no memory",
        /// The link was lost for too long.
        ConnectionLost = 4 => "connection lost",
        /// The digest differs.
        Integrity = 5 => "integrity",
        /// Not a package for this device.
        Unsupported = 6 => "unsupported",
        /// The address is not valid.
        InvalidAddress = 7 => "invalid address",
        /// Applying it failed.
        Failed = 8 => "failed",
        /// The protocol is not supported.
        Protocol = 9 => "protocol",
        /// Cancelled.
        Cancelled = 10 => "cancelled",
        /// Put off.
        Deferred = 11 => "deferred",
    }
}

/// Type 48, down: an image is there. What may be installed is said by a fw-set ticket, not by this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtaOffer {
    /// Number of the artifact.
    pub artifact: u32,
    /// Its length in bytes.
    pub length: u32,
    /// Bytes of a block, 1 to 2,048.
    pub block_size: u16,
    /// Encoding of the payload: 0 raw, 1 heatshrink, 2 delta with heatshrink, 3 delta with run lengths.
    pub encoding: u8,
    /// When to install: 0 when idle, 1 at once, 2 at the given time.
    pub mode: u8,
    /// The signed manifest.
    pub manifest: Vec<u8>,
    /// Unix seconds of the installation.
    pub at: Option<u32>,
    /// Firmware version a delta is for.
    pub base: Option<u32>,
    /// Battery it needs, in percent.
    pub min_battery: Option<u8>,
}

impl OtaOffer {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(
            6,
            &[
                self.at.is_some(),
                self.base.is_some(),
                self.min_battery.is_some(),
            ],
        );
        w.key(0).uint(self.artifact);
        w.key(1).uint(self.length);
        w.key(2).uint(self.block_size);
        w.key(3).uint(self.encoding);
        w.key(4).uint(self.mode);
        w.key(5).bytes(&self.manifest);
        w.optional(6, self.at);
        w.optional(7, self.base);
        w.optional(8, self.min_battery);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            artifact: map.required(0, Reader::u32)?,
            length: map.required(1, Reader::u32)?,
            block_size: map.required(2, |r| r.u16_in(1..=2048, "block size"))?,
            encoding: map.required(3, Reader::u8)?,
            mode: map.required(4, Reader::u8)?,
            manifest: map
                .required(5, |r| r.bytes_in(1..=MAX_MANIFEST, "length of a manifest"))?
                .to_vec(),
            at: map.optional(6, Reader::u32)?,
            base: map.optional(7, Reader::u32)?,
            min_battery: map.optional(8, |r| r.u8_in(0..=100, "battery"))?,
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 49, up: send blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtaReq {
    /// Number of the artifact.
    pub artifact: u32,
    /// Index of the first block.
    pub first: u32,
    /// How many blocks, 1 to 64.
    pub count: u8,
    /// Which of them, 1 to 8 bytes, most significant bit first, 1 = wanted; all when missing.
    pub bitmap: Option<Vec<u8>>,
}

impl OtaReq {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(3, &[self.bitmap.is_some()]);
        w.key(0).uint(self.artifact);
        w.key(1).uint(self.first);
        w.key(2).uint(self.count);
        if let Some(bitmap) = &self.bitmap {
            w.key(3).bytes(bitmap);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            artifact: map.required(0, Reader::u32)?,
            first: map.required(1, Reader::u32)?,
            count: map.required(2, |r| r.u8_in(1..=64, "blocks asked for"))?,
            bitmap: map
                .optional(3, |r| r.bytes_in(1..=8, "length of a bitmap"))?
                .map(<[u8]>::to_vec),
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 50, down: a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtaBlk {
    /// Number of the artifact.
    pub artifact: u32,
    /// Index of the block.
    pub index: u32,
    /// 1 to 2,048 bytes.
    pub data: Vec<u8>,
}

impl OtaBlk {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(3, &[]);
        w.key(0).uint(self.artifact);
        w.key(1).uint(self.index);
        w.key(2).bytes(&self.data);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            artifact: map.required(0, Reader::u32)?,
            index: map.required(1, Reader::u32)?,
            data: map
                .required(2, |r| r.bytes_in(1..=MAX_BLOCK, "length of a block"))?
                .to_vec(),
        };
        map.finish()?;
        Ok(body)
    }
}

/// Type 51, up: how the update goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtaStat {
    /// Number of the artifact, 0 for none.
    pub artifact: u32,
    /// How far it is.
    pub state: OtaState,
    /// How the last one ended.
    pub result: OtaResult,
    /// Percent of the blocks there.
    pub percent: Option<u8>,
    /// What failed.
    pub err: Option<ErrorCode>,
}

impl OtaStat {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(3, &[self.percent.is_some(), self.err.is_some()]);
        w.key(0).uint(self.artifact);
        w.key(1).uint(self.state.number());
        w.key(2).uint(self.result.number());
        w.optional(3, self.percent);
        w.optional(4, self.err.map(ErrorCode::number));
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            artifact: map.required(0, Reader::u32)?,
            state: map.required(1, |r| {
                OtaState::from_number(r.u8()?).ok_or(DecodeError::Range("update state"))
            })?,
            result: OtaResult::from_number(map.required(2, Reader::u8)?),
            percent: map.optional(3, |r| r.u8_in(0..=100, "percent"))?,
            err: map.optional(4, Reader::u16)?.map(ErrorCode::from_number),
        };
        map.finish()?;
        Ok(body)
    }
}
