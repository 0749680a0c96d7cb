//! What can be wrong with bytes ([`DecodeError`]) and the numbers that say so on the wire ([`ErrorCode`]).

wire_enum! { @open
    /// Error codes of ERR, CMD-ACK, OTA-STAT and FP-PROG. The high byte is the group: 1 protocol, 2 security,
    /// 3 state, 4 resource, 5 firmware, 6 fingerprint, 7 server.
    ErrorCode: u16 {
        /// Not a message of this protocol.
        Malformed = 0x0101 => "malformed",
        /// Well-formed, but not deterministic CBOR.
        NotCanonical = 0x0102 => "not canonical",
        /// No such message type.
        UnknownType = 0x0103 => "unknown type",
        /// No common version.
        Version = 0x0104 => "version",
        /// Longer than the type allows.
        TooLarge = 0x0105 => "too large",
        /// A value outside its range.
        Range = 0x0106 => "range",
        /// The signature does not verify.
        Signature = 0x0201 => "signature",
        /// The key is unknown, expired, or its scope does not cover this.
        KeyScope = 0x0202 => "key or scope",
        /// The counter is below the last one taken.
        CounterStale = 0x0203 => "counter stale",
        /// Made for another device.
        WrongDevice = 0x0204 => "wrong device",
        /// Its time is over.
        Expired = 0x0205 => "expired",
        /// Its time has not come.
        NotYetValid = 0x0206 => "not yet valid",
        /// Made for another binding generation.
        Generation = 0x0207 => "generation",
        /// Two logs of one device disagree.
        LogFork = 0x0208 => "log fork",
        /// A time is to be checked and the seal has no signed time.
        NoSecureTime = 0x0209 => "no secure time",
        /// No lease of this boot and nonce, or its time is over.
        LeaseExpired = 0x020a => "lease expired",
        /// The seal is locked.
        Locked = 0x0301 => "locked",
        /// The seal is not bound.
        Unbound = 0x0302 => "unbound",
        /// Not now: a press or another command is in progress, or the seal is already bound.
        Busy = 0x0303 => "busy",
        /// A grant is in use.
        ActiveGrant = 0x0304 => "active grant exists",
        /// Not a user of this device.
        NotUser = 0x0305 => "not a user of this device",
        /// Not available over this link.
        NotOnThisLink = 0x0306 => "not on this link",
        /// The log is full, or holds records that must be uploaded first.
        LogFull = 0x0307 => "log full",
        /// No such grant.
        NoGrant = 0x0308 => "no grant",
        /// Writing to flash failed.
        Flash = 0x0401 => "flash",
        /// Not enough memory.
        Memory = 0x0402 => "memory",
        /// No free fingerprint slot.
        FingerprintSlots = 0x0403 => "fingerprint slots",
        /// The battery is too low.
        Battery = 0x0404 => "battery",
        /// The image's digest differs.
        ImageDigest = 0x0501 => "image digest",
        /// An image for other hardware.
        ImageClass = 0x0502 => "image class",
        /// An older image.
        ImageRollback = 0x0503 => "image rollback",
        /// A delta for another base.
        DeltaBase = 0x0504 => "delta base",
        /// Writing the image failed.
        ImageWrite = 0x0505 => "image write",
        /// The new image failed its self-test.
        SelfTest = 0x0506 => "self-test",
        /// The seal returned to the previous image.
        Reverted = 0x0507 => "reverted",
        /// The manifest is not acceptable.
        Manifest = 0x0508 => "manifest",
        /// Nobody pressed a finger in time.
        FingerprintTimeout = 0x0601 => "fingerprint timeout",
        /// The picture is not good enough.
        FingerprintQuality = 0x0602 => "fingerprint quality",
        /// The finger is already stored.
        FingerprintDuplicate = 0x0603 => "fingerprint duplicate",
        /// The sensor failed.
        FingerprintSensor = 0x0604 => "fingerprint sensor",
        /// The server failed.
        Internal = 0x0701 => "internal",
        /// Try again after the given time.
        RetryLater = 0x0702 => "retry later",
        /// A quota is used up.
        Quota = 0x0703 => "quota",
        /// The device is suspended.
        Suspended = 0x0704 => "suspended",
    }
}

/// Why bytes were refused. [`DecodeError::code`] is what a peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than its kind allows; nothing of it was read.
    #[error("{len} bytes where at most {cap} are allowed")]
    TooLarge {
        /// Bytes received.
        len: usize,
        /// Bytes allowed.
        cap: usize,
    },
    /// The bytes end inside an item.
    #[error("the bytes end inside an item")]
    Truncated,
    /// Bytes after the one item.
    #[error("bytes after the item")]
    Trailing,
    /// Nesting above [`crate::cbor::MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
    /// Not CBOR, a type of item the protocol does not use, or an item of another type than the schema's.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// CBOR, but not deterministic: a longer integer than needed, an indefinite length, keys unsorted or twice.
    #[error("not canonical: {0}")]
    NotCanonical(&'static str),
    /// No message type of this protocol.
    #[error("unknown message type {0}")]
    UnknownType(u64),
    /// A key that must be there is not.
    #[error("key {0} is missing")]
    MissingKey(u64),
    /// A signed body has a key this version does not know.
    #[error("unknown key in a signed body")]
    UnknownKey,
    /// A value outside its range.
    #[error("out of range: {0}")]
    Range(&'static str),
}

impl DecodeError {
    /// The number a peer is told.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::NotCanonical(_) => ErrorCode::NotCanonical,
            Self::UnknownType(_) => ErrorCode::UnknownType,
            Self::Range(_) => ErrorCode::Range,
            Self::Truncated
            | Self::Trailing
            | Self::TooDeep
            | Self::Malformed(_)
            | Self::MissingKey(_)
            | Self::UnknownKey => ErrorCode::Malformed,
        }
    }
}

impl From<DecodeError> for ErrorCode {
    fn from(error: DecodeError) -> Self {
        error.code()
    }
}

impl From<minicbor::decode::Error> for DecodeError {
    fn from(error: minicbor::decode::Error) -> Self {
        if error.is_end_of_input() {
            Self::Truncated
        } else {
            Self::Malformed("an item of another type than expected")
        }
    }
}
