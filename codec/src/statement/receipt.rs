//! Receipts: the platform signs that records are stored. Without one, an acknowledgement that passed through a box or
//! a phone frees nothing.

use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

use crate::{
    DecodeError, DeviceId, ErrorCode,
    cbor::{Reader, Writer},
    chain::Head,
    cose::{self, Dalek, Purpose, Verify},
    statement::KeySet,
    ticket::Scope,
};

const MAX_PAYLOAD: usize = 96;

/// Everything below `upto` is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Whose records.
    pub dev: DeviceId,
    /// Epoch of the log.
    pub epoch: u32,
    /// Everything below this number is stored.
    pub upto: u32,
    /// Chain head before `upto`.
    pub head: Head,
    /// Unix seconds when it was made: signed time.
    pub time: u32,
}

/// What a seal compares a receipt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptView {
    /// Its id.
    pub dev: DeviceId,
    /// Epoch of its log.
    pub epoch: u32,
    /// Signed time, for the end of the key.
    pub now: Option<u32>,
}

impl Receipt {
    /// The bytes to be signed.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(80);
        w.map(5, &[]);
        w.key(0).bytes(self.dev.as_bytes());
        w.key(1).uint(self.epoch);
        w.key(2).uint(self.upto);
        w.key(3).bytes(&self.head.0);
        w.key(4).uint(self.time);
        w.into_bytes()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// Not canonical.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::signed(payload, MAX_PAYLOAD)?;
        let mut map = r.map()?;
        let receipt = Self {
            dev: DeviceId::new(map.required(0, Reader::fixed)?),
            epoch: map.required(1, Reader::u32)?,
            upto: map.required(2, Reader::u32)?,
            head: Head(map.required(3, Reader::fixed)?),
            time: map.required(4, Reader::u32)?,
        };
        map.finish()?;
        Ok(receipt)
    }

    /// Signs the receipt.
    #[must_use]
    pub fn sign(&self, key: &SigningKey, kid: u8) -> Vec<u8> {
        cose::sign_with(key, kid, Purpose::Receipt, &self.payload())
    }

    /// Verifies a receipt for this seal and log. Whether its head is the log's own is for
    /// [`crate::chain::LogSender::on_ack`] to compare.
    ///
    /// # Errors
    /// Signature, key and scope, [`ErrorCode::WrongDevice`], [`ErrorCode::LogFork`] for another epoch.
    pub fn accept(bytes: &[u8], keys: &KeySet, view: &ReceiptView) -> Result<Self, ErrorCode> {
        Self::accept_by(bytes, keys, view, &Dalek)
    }

    /// As [`Receipt::accept`], with another verifier.
    ///
    /// # Errors
    /// As [`Receipt::accept`].
    pub fn accept_by(
        bytes: &[u8],
        keys: &KeySet,
        view: &ReceiptView,
        verifier: &dyn Verify,
    ) -> Result<Self, ErrorCode> {
        let signed = cose::parse(bytes)?;
        keys.check(
            &signed,
            Purpose::Receipt,
            Scope::RECEIPT,
            view.now,
            verifier,
        )?;
        let receipt = Self::decode(signed.payload)?;
        if receipt.dev != view.dev {
            return Err(ErrorCode::WrongDevice);
        }
        if receipt.epoch != view.epoch {
            return Err(ErrorCode::LogFork);
        }
        Ok(receipt)
    }
}
