//! Checkpoints: the seal signs the state of its log, with its own log key (key id 0).

use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

use crate::{
    DecodeError, DeviceId, ErrorCode,
    cbor::{Reader, Writer},
    chain::Head,
    cose::{self, Purpose, Sign1, Verify},
    message::Event,
};

const MAX_PAYLOAD: usize = 96;

/// The state of a seal's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log.
    pub dev: DeviceId,
    /// Its epoch.
    pub epoch: u32,
    /// Number after the last record covered.
    pub next: u32,
    /// Chain head before `next`.
    pub head: Head,
    /// The boot it was signed in.
    pub boot: u32,
    /// Seconds since power-on when it was signed.
    pub up: u32,
}

impl Checkpoint {
    /// Key id of a seal's log key.
    pub const KID: u8 = 0;

    /// The bytes to be signed.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(80);
        w.map(6, &[]);
        w.key(0).bytes(self.dev.as_bytes());
        w.key(1).uint(self.epoch);
        w.key(2).uint(self.next);
        w.key(3).bytes(&self.head.0);
        w.key(4).uint(self.boot);
        w.key(5).uint(self.up);
        w.into_bytes()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// Not canonical.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::signed(payload, MAX_PAYLOAD)?;
        let mut map = r.map()?;
        let checkpoint = Self {
            dev: DeviceId::new(map.required(0, Reader::fixed)?),
            epoch: map.required(1, Reader::u32)?,
            next: map.required(2, Reader::u32)?,
            head: Head(map.required(3, Reader::fixed)?),
            boot: map.required(4, Reader::u32)?,
            up: map.required(5, Reader::u32)?,
        };
        map.finish()?;
        Ok(checkpoint)
    }

    /// Signs the checkpoint with the seal's log key.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        cose::sign_with(key, Self::KID, Purpose::Checkpoint, &self.payload())
    }

    /// Signs the checkpoint with whatever makes signatures of the log key.
    pub fn sign_by(&self, sign: &dyn Fn(&[u8]) -> [u8; 64]) -> Vec<u8> {
        cose::sign1(Self::KID, Purpose::Checkpoint.aad(), &self.payload(), sign)
    }

    /// Takes a signed checkpoint apart without verifying it.
    ///
    /// # Errors
    /// Not a signed checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Sign1<'_>), DecodeError> {
        let signed = cose::parse(bytes)?;
        Ok((Self::decode(signed.payload)?, signed))
    }

    /// Takes a signed checkpoint apart for whoever verifies many signatures together.
    ///
    /// # Errors
    /// [`ErrorCode::KeyScope`] for another key id, or what is wrong with the bytes.
    pub fn claim(bytes: &[u8]) -> Result<Claim, ErrorCode> {
        let (checkpoint, signed) = Self::parse(bytes)?;
        if signed.kid != Self::KID {
            return Err(ErrorCode::KeyScope);
        }
        Ok(Claim {
            checkpoint,
            message: signed.message(Purpose::Checkpoint),
            signature: signed.signature,
        })
    }

    /// Verifies a signed checkpoint by the seal's registered log key.
    ///
    /// # Errors
    /// [`ErrorCode::Signature`], or as [`Checkpoint::claim`].
    pub fn verify(
        bytes: &[u8],
        public: &[u8; 32],
        verifier: &dyn Verify,
    ) -> Result<Self, ErrorCode> {
        let claim = Self::claim(bytes)?;
        if !verifier.verify(public, &claim.message, &claim.signature) {
            return Err(ErrorCode::Signature);
        }
        Ok(claim.checkpoint)
    }
}

/// A checkpoint that nobody has verified yet: worth nothing before `signature` of `message` is found to be the seal's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The bytes that were signed.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: [u8; 64],
}

/// Verifies an event's signature by the seal's registered log key: its payload is the record's bytes.
///
/// # Errors
/// [`ErrorCode::Signature`] also when it is missing or covers another record.
pub fn verify_event(
    event: &Event,
    public: &[u8; 32],
    verifier: &dyn Verify,
) -> Result<(), ErrorCode> {
    let bytes = event.signature.as_deref().ok_or(ErrorCode::Signature)?;
    let signed = cose::parse(bytes)?;
    let covers = signed.kid == Checkpoint::KID && signed.payload == event.entry.bytes.as_slice();
    if covers && signed.verify(Purpose::Event, public, verifier) {
        Ok(())
    } else {
        Err(ErrorCode::Signature)
    }
}
