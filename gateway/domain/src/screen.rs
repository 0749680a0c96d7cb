//! What a seal's screen says, worked out from the state the platform knows (DEV-2).

use crate::{device::Life, grant::GrantState};

text_enum! {
    /// What the screen says.
    pub enum Screen {
        /// 设备未交付.
        NotDelivered = "not_delivered",
        /// 设备未绑定.
        Unbound = "unbound",
        /// 已锁定.
        Locked = "locked",
        /// 存储已满.
        StorageFull = "storage_full",
        /// 请授权使用: bound, no usable grant.
        PleaseGrant = "please_grant",
        /// 限制使用: a grant, but no connection (and no offline mode), or outside its rules.
        Restricted = "restricted",
        /// 请按指纹解锁.
        PressFingerprint = "press_fingerprint",
        /// k/N.
        Count = "count",
    }
}

/// What the screen follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScreenFacts {
    /// Where in its life the seal is.
    pub life: Life,
    /// It is locked.
    pub locked: bool,
    /// Its log is full.
    pub storage_full: bool,
    /// A session is live.
    pub connected: bool,
    /// Offline mode is on.
    pub offline_mode: bool,
    /// State of the newest grant that is not ended.
    pub grant: Option<GrantState>,
    /// That grant asks for a finger.
    pub fingerprint: bool,
}

/// The screen of a seal in that state. Without a finger matched the device shows the request for one.
#[must_use]
pub fn screen(facts: &ScreenFacts) -> Screen {
    match facts.life {
        Life::Manufactured | Life::NotDelivered => return Screen::NotDelivered,
        Life::Unbound | Life::Retired => return Screen::Unbound,
        Life::Suspended => return Screen::Restricted,
        Life::Bound => {}
    }
    if facts.locked {
        return Screen::Locked;
    }
    if facts.storage_full {
        return Screen::StorageFull;
    }
    match facts.grant {
        Some(GrantState::InUse) if !facts.connected && !facts.offline_mode => Screen::Restricted,
        Some(GrantState::InUse) if facts.fingerprint => Screen::PressFingerprint,
        Some(GrantState::InUse) => Screen::Count,
        Some(GrantState::NotBegun | GrantState::Expired) => Screen::Restricted,
        _ => Screen::PleaseGrant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_USE: ScreenFacts = ScreenFacts {
        life: Life::Bound,
        locked: false,
        storage_full: false,
        connected: true,
        offline_mode: false,
        grant: Some(GrantState::InUse),
        fingerprint: false,
    };

    #[test]
    fn a_lock_covers_everything_of_a_bound_seal() {
        let facts = ScreenFacts {
            locked: true,
            storage_full: true,
            ..IN_USE
        };
        assert_eq!(screen(&facts), Screen::Locked);
        assert_eq!(
            screen(&ScreenFacts {
                life: Life::Unbound,
                ..facts
            }),
            Screen::Unbound
        );
    }

    #[test]
    fn a_disconnected_seal_is_restricted_unless_offline_mode_is_on() {
        assert_eq!(screen(&IN_USE), Screen::Count);
        let away = ScreenFacts {
            connected: false,
            ..IN_USE
        };
        assert_eq!(screen(&away), Screen::Restricted);
        assert_eq!(
            screen(&ScreenFacts {
                offline_mode: true,
                ..away
            }),
            Screen::Count
        );
    }

    #[test]
    fn without_a_usable_grant_it_asks_for_one() {
        for grant in [
            None,
            Some(GrantState::Ended),
            Some(GrantState::Ending),
            Some(GrantState::ToBeDelivered),
        ] {
            assert_eq!(
                screen(&ScreenFacts { grant, ..IN_USE }),
                Screen::PleaseGrant
            );
        }
    }
}
