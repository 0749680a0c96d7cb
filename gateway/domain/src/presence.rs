//! Presence: which session of a device counts. The highest term wins; an older one can neither report nor disconnect.

use crate::Millis;

/// What is known of a device's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence {
    /// A session is live.
    pub connected: bool,
    /// Its takeover number, or the last one's.
    pub term: u64,
    /// When the device was last heard.
    pub last_contact_at: Option<Millis>,
}

impl Presence {
    /// A session of that term was opened. An older term than the known one changes nothing.
    #[must_use]
    pub fn opened(self, term: u64, now: Millis) -> Self {
        if term < self.term {
            return self;
        }
        Self {
            connected: true,
            term,
            last_contact_at: self.last_contact_at.max(Some(now)),
        }
    }

    /// The session of that term is over; another term's end changes nothing.
    #[must_use]
    pub fn closed(self, term: u64, last_contact: Millis) -> Self {
        if term != self.term {
            return self;
        }
        Self {
            connected: false,
            term,
            last_contact_at: self.last_contact_at.max(Some(last_contact)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_older_session_does_not_disconnect_the_newer() {
        let presence = Presence::default()
            .opened(1, Millis(1))
            .opened(2, Millis(2))
            .closed(1, Millis(3));
        assert!(presence.connected);
        assert!(!presence.closed(2, Millis(4)).connected);
    }

    #[test]
    fn an_older_term_never_takes_over() {
        let presence = Presence::default().opened(5, Millis(1));
        assert_eq!(presence.opened(4, Millis(9)), presence);
    }
}
