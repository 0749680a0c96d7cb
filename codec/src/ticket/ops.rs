//! The published table: op -> domain -> arguments -> scope.

wire_enum! { @closed
    /// What a command does.
    Op: u8 {
        /// A grant; ends whatever grant the seal holds.
        Grant = 1 => "grant",
        /// End a grant.
        End = 2 => "end",
        /// Activate a pre-authorized grant.
        Activate = 3 => "activate",
        /// Loss lock.
        Lock = 4 => "lock",
        /// Release the loss lock.
        Unlock = 5 => "unlock",
        /// Settings.
        Config = 6 => "config",
        /// Enrol a fingerprint.
        FpEnrol = 7 => "fp-enrol",
        /// Delete a fingerprint.
        FpDelete = 8 => "fp-delete",
        /// Unbind; raises the generation.
        Unbind = 9 => "unbind",
        /// Bind.
        Bind = 10 => "bind",
        /// Which firmware may be installed.
        FwSet = 11 => "fw-set",
        /// Restart.
        Reboot = 12 => "reboot",
        /// Close the log's epoch and begin the given one.
        LogSeal = 13 => "log-seal",
        /// A new key set.
        KeySet = 14 => "key-set",
        /// Report the position.
        Locate = 15 => "locate",
        /// Offline mode on or off.
        Offline = 16 => "offline",
    }
}

wire_enum! { @closed
    /// Counters are kept apart, so that a lock never waits behind a grant.
    CounterDomain: u8 {
        /// Lock and unlock.
        Lock = 0 => "lock",
        /// Grants and offline mode.
        Grant = 1 => "grant",
        /// Settings, fingerprints, binding, keys.
        Config = 2 => "config",
        /// Firmware.
        Firmware = 3 => "firmware",
    }
}

impl CounterDomain {
    /// Its place in `[u32; 4]`.
    #[must_use]
    pub const fn index(self) -> usize {
        self.number() as usize
    }
}

/// What a key may sign, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scope(u16);

impl Scope {
    /// Grants: grant, end, activate, offline.
    pub const GRANT: Self = Self(1);
    /// Lock.
    pub const LOCK: Self = Self(2);
    /// Unlock.
    pub const UNLOCK: Self = Self(4);
    /// Settings, fingerprints, binding, restart, locate, delivering a key set.
    pub const CONFIG: Self = Self(8);
    /// Firmware.
    pub const FIRMWARE: Self = Self(16);
    /// Link tickets.
    pub const LINK: Self = Self(32);
    /// Leases.
    pub const LEASE: Self = Self(64);
    /// Receipts.
    pub const RECEIPT: Self = Self(128);
    /// Key sets: the root's alone, never in a set.
    pub const KEYSET: Self = Self(256);

    /// Every scope with its name.
    pub const ALL: [(&'static str, Self); 9] = [
        ("grant", Self::GRANT),
        ("lock", Self::LOCK),
        ("unlock", Self::UNLOCK),
        ("config", Self::CONFIG),
        ("firmware", Self::FIRMWARE),
        ("link", Self::LINK),
        ("lease", Self::LEASE),
        ("receipt", Self::RECEIPT),
        ("keyset", Self::KEYSET),
    ];

    /// From bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of the other's bits are here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of the other's bits is here.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What `nbf` and `exp` of a ticket mean for an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeRule {
    /// The ticket must be within them when it is taken; a seal without signed time refuses one that has either.
    Validity,
    /// They are the grant's window: a window to come is taken, one that is over is refused if the seal has time.
    Window,
}

/// A row of the published table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpRow {
    /// What it does.
    pub op: Op,
    /// Which counter it uses.
    pub domain: CounterDomain,
    /// Which scope its key needs.
    pub scope: Scope,
    /// What its times mean.
    pub time: TimeRule,
    /// Whether the seal must be bound (`true`), must not be (`false`), or either (`None`).
    pub bound: Option<bool>,
    /// Its arguments behind the tag, by key; `?` for optional.
    pub args: &'static str,
}

const fn row(
    op: Op,
    domain: CounterDomain,
    scope: Scope,
    bound: Option<bool>,
    args: &'static str,
) -> OpRow {
    OpRow {
        op,
        domain,
        scope,
        time: if matches!(op, Op::Grant) {
            TimeRule::Window
        } else {
            TimeRule::Validity
        },
        bound,
        args,
    }
}

/// The published table, in the order of the ops' numbers.
#[rustfmt::skip]
pub const OPS: [OpRow; 16] = [
    row(Op::Grant, CounterDomain::Grant, Scope::GRANT, Some(true), "1 grant no, 2 max (0 = unlimited, at most 500), 3 mode, 4 flags, ?5 area, ?6 fingerprint slots, ?7 activation verifier, 8 user no, ?9 offline seconds"),
    row(Op::End, CounterDomain::Grant, Scope::GRANT, Some(true), "1 grant no, ?2 reason"),
    row(Op::Activate, CounterDomain::Grant, Scope::GRANT, Some(true), "1 grant no"),
    row(Op::Lock, CounterDomain::Lock, Scope::LOCK, Some(true), "?1 reason"),
    row(Op::Unlock, CounterDomain::Lock, Scope::UNLOCK, Some(true), "?1 reason"),
    row(Op::Config, CounterDomain::Config, Scope::CONFIG, Some(true), "1 version, ?2 backlight s (0..180, 0 = always on), ?3 auto power-off min (0..30, 0 = never), ?5 keep-alive s, ?6 heartbeat s"),
    row(Op::FpEnrol, CounterDomain::Config, Scope::CONFIG, Some(true), "1 slot, 2 user no, ?3 presses"),
    row(Op::FpDelete, CounterDomain::Config, Scope::CONFIG, Some(true), "1 slot"),
    row(Op::Unbind, CounterDomain::Config, Scope::CONFIG, Some(true), "none"),
    row(Op::Bind, CounterDomain::Config, Scope::CONFIG, Some(false), "none"),
    row(Op::FwSet, CounterDomain::Firmware, Scope::FIRMWARE, None, "1 firmware version, 2 artifact no, 3 SHA-256 of the manifest"),
    row(Op::Reboot, CounterDomain::Config, Scope::CONFIG, None, "none"),
    row(Op::LogSeal, CounterDomain::Config, Scope::CONFIG, None, "1 epoch to begin"),
    row(Op::KeySet, CounterDomain::Config, Scope::CONFIG, None, "1 key set signed by the root"),
    row(Op::Locate, CounterDomain::Config, Scope::CONFIG, Some(true), "none"),
    row(Op::Offline, CounterDomain::Grant, Scope::GRANT, Some(true), "1 on"),
];

impl Op {
    /// Its row of the table.
    #[must_use]
    pub const fn row(self) -> &'static OpRow {
        &OPS[self.number() as usize - 1]
    }

    /// Which counter it uses.
    #[must_use]
    pub const fn domain(self) -> CounterDomain {
        self.row().domain
    }

    /// Which scope its key needs.
    #[must_use]
    pub const fn scope(self) -> Scope {
        self.row().scope
    }
}
