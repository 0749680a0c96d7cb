//! The conditions of a press, as bits. The server classifies from them, so rules can change without firmware.
//!
//! | bits | fact | values |
//! | --- | --- | --- |
//! | 0-3 | grant state | [`GrantState`] |
//! | 4 | locked | |
//! | 5 | stretched | |
//! | 6-7 | phase | [`Phase`] |
//! | 8-9 | screen | [`Screen`] |
//! | 10 | quick: less than 1 s after the press before | |
//! | 11 | offline mode | |
//! | 12-13 | link | [`LinkKind`] |
//! | 14 | a photo was asked for | |
//! | 15 | a fingerprint of the user had matched | |
//!
//! Bits 16 to 31 are zero; a reader keeps and ignores them.

use core::fmt;

wire_enum! { @open
    /// What the seal knew about a grant when it was pressed. Only `Active` allows a stamp; numbers this version does
    /// not name count as "not allowed".
    GrantState: u8 {
        /// No grant since it was bound (or it is not bound).
        Never = 0 => "never",
        /// A grant, its time and count open, and everything else it needs.
        Active = 1 => "active",
        /// The grant's count is used up.
        Exhausted = 2 => "exhausted",
        /// The grant's time is over.
        TimeOver = 3 => "time over",
        /// The grant was ended.
        Ended = 4 => "ended",
        /// None now, but there were some since it was bound.
        NoneNow = 5 => "none now",
        /// Outside the grant's region.
        OutsideRegion = 6 => "outside region",
        /// The grant needs a fingerprint that has not matched.
        FingerprintMissing = 7 => "fingerprint missing",
        /// A grant that is open, but no valid lease and no offline mode.
        Restricted = 8 => "restricted",
        /// The grant's time has not begun.
        NotBegun = 9 => "not begun",
    }
}

wire_enum! { @closed
    /// Where the seal was in its power cycle.
    Phase: u8 {
        /// Running.
        Running = 0 => "running",
        /// After power-on, before the first valid lease of this boot.
        Booting = 1 => "booting",
        /// Shutting down.
        ShuttingDown = 2 => "shutting down",
        /// Reserved; read as running.
        Reserved = 3 => "reserved",
    }
}

wire_enum! { @closed
    /// What the screen showed.
    Screen: u8 {
        /// On.
        On = 0 => "on",
        /// The QR code.
        Qr = 1 => "QR code",
        /// Off.
        Off = 2 => "off",
        /// Reserved; read as on.
        Reserved = 3 => "reserved",
    }
}

wire_enum! { @closed
    /// The link a seal was on.
    LinkKind: u8 {
        /// None.
        None = 0 => "none",
        /// Mobile network.
        Gprs = 1 => "GPRS",
        /// Bluetooth low energy.
        Ble = 2 => "BLE",
        /// A dock's serial line.
        Uart = 3 => "UART",
    }
}

/// The conditions of a press.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Facts(u32);

const GRANT_STATE: Field = Field { shift: 0, mask: 15 };
const LOCKED: Field = Field { shift: 4, mask: 1 };
const STRETCHED: Field = Field { shift: 5, mask: 1 };
const PHASE: Field = Field { shift: 6, mask: 3 };
const SCREEN: Field = Field { shift: 8, mask: 3 };
const QUICK: Field = Field { shift: 10, mask: 1 };
const OFFLINE: Field = Field { shift: 11, mask: 1 };
const LINK: Field = Field { shift: 12, mask: 3 };
const PHOTO: Field = Field { shift: 14, mask: 1 };
const FINGERPRINT: Field = Field { shift: 15, mask: 1 };

/// Neighbouring bits.
#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    mask: u8,
}

impl Facts {
    /// Every fact with its lowest bit and its width, for the published table.
    pub const FIELDS: [(&'static str, u32, u32); 10] = [
        ("grant state", GRANT_STATE.shift, 4),
        ("locked", LOCKED.shift, 1),
        ("stretched", STRETCHED.shift, 1),
        ("phase", PHASE.shift, 2),
        ("screen", SCREEN.shift, 2),
        ("quick", QUICK.shift, 1),
        ("offline mode", OFFLINE.shift, 1),
        ("link", LINK.shift, 2),
        ("photo", PHOTO.shift, 1),
        ("fingerprint", FINGERPRINT.shift, 1),
    ];

    /// No fact set: never granted, running, screen on, no link.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// From the bits on the wire.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    const fn get(self, field: Field) -> u8 {
        self.0.to_le_bytes()[(field.shift / 8) as usize] >> (field.shift % 8) & field.mask
    }

    const fn set(self, field: Field, value: u8) -> Self {
        let cleared = self.0 & !((field.mask as u32) << field.shift);
        Self(cleared | ((value & field.mask) as u32) << field.shift)
    }

    /// What the seal knew about a grant.
    #[must_use]
    pub const fn grant_state(self) -> GrantState {
        GrantState::from_number(self.get(GRANT_STATE))
    }

    /// Whether the seal knew that it was locked.
    #[must_use]
    pub const fn locked(self) -> bool {
        self.get(LOCKED) == 1
    }

    /// Whether the bracket was out.
    #[must_use]
    pub const fn stretched(self) -> bool {
        self.get(STRETCHED) == 1
    }

    /// Where the seal was in its power cycle.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match Phase::from_number(self.get(PHASE)) {
            Some(phase) => phase,
            None => Phase::Reserved,
        }
    }

    /// What the screen showed.
    #[must_use]
    pub const fn screen(self) -> Screen {
        match Screen::from_number(self.get(SCREEN)) {
            Some(screen) => screen,
            None => Screen::Reserved,
        }
    }

    /// Whether the press before was less than a second ago.
    #[must_use]
    pub const fn quick(self) -> bool {
        self.get(QUICK) == 1
    }

    /// Whether offline mode was on.
    #[must_use]
    pub const fn offline_mode(self) -> bool {
        self.get(OFFLINE) == 1
    }

    /// The link the seal was on.
    #[must_use]
    pub const fn link(self) -> LinkKind {
        match LinkKind::from_number(self.get(LINK)) {
            Some(link) => link,
            None => LinkKind::None,
        }
    }

    /// Whether the grant asked for a photo.
    #[must_use]
    pub const fn photo(self) -> bool {
        self.get(PHOTO) == 1
    }

    /// Whether a fingerprint of the grant's user had matched.
    #[must_use]
    pub const fn fingerprint(self) -> bool {
        self.get(FINGERPRINT) == 1
    }

    /// With another grant state.
    #[must_use]
    pub const fn with_grant_state(self, state: GrantState) -> Self {
        self.set(GRANT_STATE, state.number())
    }

    /// With the lock known or not.
    #[must_use]
    pub const fn with_locked(self, locked: bool) -> Self {
        self.set(LOCKED, locked as u8)
    }

    /// With the bracket out or in.
    #[must_use]
    pub const fn with_stretched(self, stretched: bool) -> Self {
        self.set(STRETCHED, stretched as u8)
    }

    /// With another phase.
    #[must_use]
    pub const fn with_phase(self, phase: Phase) -> Self {
        self.set(PHASE, phase.number())
    }

    /// With another screen.
    #[must_use]
    pub const fn with_screen(self, screen: Screen) -> Self {
        self.set(SCREEN, screen.number())
    }

    /// With a quick press or not.
    #[must_use]
    pub const fn with_quick(self, quick: bool) -> Self {
        self.set(QUICK, quick as u8)
    }

    /// With offline mode on or off.
    #[must_use]
    pub const fn with_offline_mode(self, on: bool) -> Self {
        self.set(OFFLINE, on as u8)
    }

    /// With another link.
    #[must_use]
    pub const fn with_link(self, link: LinkKind) -> Self {
        self.set(LINK, link.number())
    }

    /// With a photo asked for or not.
    #[must_use]
    pub const fn with_photo(self, photo: bool) -> Self {
        self.set(PHOTO, photo as u8)
    }

    /// With a fingerprint matched or not.
    #[must_use]
    pub const fn with_fingerprint(self, matched: bool) -> Self {
        self.set(FINGERPRINT, matched as u8)
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Facts({:#06x}: {}", self.0, self.grant_state())?;
        for (is_so, name) in [
            (self.locked(), "locked"),
            (self.stretched(), "stretched"),
            (self.phase() != Phase::Running, self.phase().label()),
            (self.screen() == Screen::Qr, "QR code"),
            (self.screen() == Screen::Off, "screen off"),
            (self.quick(), "quick"),
            (self.offline_mode(), "offline mode"),
            (self.link() != LinkKind::None, self.link().label()),
            (self.photo(), "photo"),
            (self.fingerprint(), "fingerprint"),
        ] {
            if is_so {
                write!(f, ", {name}")?;
            }
        }
        f.write_str(")")
    }
}
