//! Verification codes sent by SMS: six digits, five minutes, five tries, single use, one a minute.
//!
//! Only a keyed hash is stored; comparing is the caller's (in constant time), deciding is done here.

use crate::{Millis, RuleError};

/// How long a code is good.
pub const LIFETIME: i64 = 5 * Millis::MINUTE;
/// Wrong codes until it is dead.
pub const TRIES: u8 = 5;
/// Time between two codes to one phone.
pub const PAUSE: i64 = Millis::MINUTE;
/// Digits of a code.
pub const DIGITS: usize = 6;

text_enum! {
    /// What a code opens.
    pub enum Purpose {
        /// Offline mode of a device (OFF-1); goes to the owner.
        OfflineMode = "offline_mode",
        /// A new owner's phone number (ORG-6).
        ReplaceOwner = "replace_owner",
        /// Logging in (ORG-1).
        Login = "login",
    }
}

/// A code's stored state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// When it was sent.
    pub created_at: Millis,
    /// Good until.
    pub expires_at: Millis,
    /// Wrong tries left.
    pub tries_left: u8,
    /// When it was used.
    pub used_at: Option<Millis>,
}

impl Code {
    /// A fresh code.
    ///
    /// # Errors
    /// The last one to this phone was sent less than a minute ago.
    pub fn issue(last_sent: Option<Millis>, now: Millis) -> Result<Self, RuleError> {
        if last_sent.is_some_and(|last| now.since(last) < PAUSE) {
            return Err(RuleError::CodeTooSoon);
        }
        Ok(Self {
            created_at: now,
            expires_at: now.plus(LIFETIME),
            tries_left: TRIES,
            used_at: None,
        })
    }

    /// A code was entered; `matches` says whether it is this one. The first value is the state to store, whatever
    /// the second says.
    pub fn enter(self, matches: bool, now: Millis) -> (Self, Result<(), RuleError>) {
        if self.used_at.is_some() {
            return (self, Err(RuleError::CodeUsed));
        }
        if self.tries_left == 0 {
            return (self, Err(RuleError::CodeLockedOut));
        }
        if now >= self.expires_at {
            return (self, Err(RuleError::CodeExpired));
        }
        if matches {
            let used = Self {
                used_at: Some(now),
                ..self
            };
            return (used, Ok(()));
        }
        let tried = Self {
            tries_left: self.tries_left - 1,
            ..self
        };
        (tried, Err(RuleError::CodeWrong))
    }
}

/// The six digits of a random number.
#[must_use]
pub fn digits(random: u32) -> String {
    format!("{:06}", random % 1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_000_000);

    #[test]
    fn a_code_opens_once() {
        let code = Code::issue(None, NOW).expect("first");
        let (code, answer) = code.enter(true, NOW);
        assert_eq!(answer, Ok(()));
        assert_eq!(code.enter(true, NOW).1, Err(RuleError::CodeUsed));
    }

    #[test]
    fn the_sixth_try_is_refused_even_if_right() {
        let mut code = Code::issue(None, NOW).expect("first");
        for _ in 0..TRIES {
            let (next, answer) = code.enter(false, NOW);
            assert_eq!(answer, Err(RuleError::CodeWrong));
            code = next;
        }
        assert_eq!(code.enter(true, NOW).1, Err(RuleError::CodeLockedOut));
    }

    #[test]
    fn a_code_lives_five_minutes() {
        let code = Code::issue(None, NOW).expect("first");
        assert_eq!(code.enter(true, NOW.plus(LIFETIME - 1)).1, Ok(()));
        assert_eq!(
            code.enter(true, NOW.plus(LIFETIME)).1,
            Err(RuleError::CodeExpired)
        );
    }

    #[test]
    fn codes_come_a_minute_apart() {
        assert_eq!(
            Code::issue(Some(NOW), NOW.plus(PAUSE - 1)),
            Err(RuleError::CodeTooSoon)
        );
        assert!(Code::issue(Some(NOW), NOW.plus(PAUSE)).is_ok());
    }

    #[test]
    fn digits_are_always_six() {
        assert_eq!(digits(0), "000000");
        assert_eq!(digits(u32::MAX).len(), DIGITS);
    }

    proptest! {
        #[test]
        fn no_order_of_tries_opens_a_code_twice(tries in proptest::collection::vec((any::<bool>(), 0..400_000_i64), 0..20)) {
            let mut code = Code::issue(None, NOW).expect("first");
            let (mut opened, mut wrong) = (0, 0);
            for (matches, after) in tries {
                let (next, answer) = code.enter(matches, NOW.plus(after));
                opened += u32::from(answer.is_ok());
                wrong += u32::from(answer == Err(RuleError::CodeWrong));
                code = next;
            }
            prop_assert!(opened <= 1);
            prop_assert!(wrong <= u32::from(TRIES));
        }
    }
}
