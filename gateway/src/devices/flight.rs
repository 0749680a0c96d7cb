//! Commands under way to one device: one in flight a counter domain, sent again at 15, 45 and 105 seconds, then left
//! for the next HELLO. A lock nobody answers for 20 seconds shows that the link is half open.
//!
//! What waits for its turn waits in the database, never here: a superseded command must not be sent from a queue.

use std::time::Duration;

use super::mailbox::Outgoing;

/// Counter domains.
const DOMAINS: usize = 4;
/// The domain of lock and unlock.
const LOCK_DOMAIN: u8 = 0;

/// When to send again and when to give up on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// Wait before the first repetition; doubles twice.
    pub(super) retry: Duration,
    /// Longest wait for the answer to a lock or unlock.
    pub(super) unresponsive: Duration,
}

#[derive(Debug, Clone)]
struct Slot {
    command: Outgoing,
    first_sent: Duration,
    repeats: u32,
    /// When to send again; none after the last repetition.
    next: Option<Duration>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// Send this again.
    Resend(Outgoing),
    /// The link does not answer a lock: close it.
    Unresponsive,
}

/// The commands in flight of one session.
#[derive(Debug, Default)]
pub(super) struct Flight {
    slots: [Option<Box<Slot>>; DOMAINS],
}

impl Flight {
    /// Takes a command that is sent now. False when this very command (or a newer one of its domain) is under way.
    pub(super) fn launch(&mut self, command: Outgoing, patience: Patience, now: Duration) -> bool {
        let Some(slot) = self.slots.get_mut(usize::from(command.domain)) else {
            return false;
        };
        if slot
            .as_ref()
            .is_some_and(|slot| slot.command.counter >= command.counter)
        {
            return false;
        }
        *slot = Some(Box::new(Slot {
            command,
            first_sent: now,
            repeats: 0,
            next: Some(now + patience.retry),
        }));
        true
    }

    /// The device answered, or reported the counter as its newest: nothing up to it is in flight any more.
    pub(super) fn answered(&mut self, domain: u8, counter: u32) {
        if let Some(slot) = self.slots.get_mut(usize::from(domain))
            && slot
                .as_ref()
                .is_some_and(|slot| slot.command.counter <= counter)
        {
            *slot = None;
        }
    }

    /// What is due at `now`, if anything; ask again until nothing is.
    pub(super) fn due(&mut self, patience: Patience, now: Duration) -> Option<Due> {
        for slot in self.slots.iter_mut().flatten() {
            let lock = slot.command.domain == LOCK_DOMAIN;
            if lock && now >= slot.first_sent + patience.unresponsive {
                return Some(Due::Unresponsive);
            }
            if slot.next.is_some_and(|next| now >= next) {
                slot.repeats += 1;
                slot.next = (slot.repeats < 3).then(|| now + patience.retry * (1 << slot.repeats));
                return Some(Due::Resend(slot.command.clone()));
            }
        }
        None
    }

    /// When [`Flight::due`] has something next.
    pub(super) fn deadline(&self, patience: Patience) -> Option<Duration> {
        let of = |slot: &Slot| {
            let lock = (slot.command.domain == LOCK_DOMAIN)
                .then(|| slot.first_sent + patience.unresponsive);
            [slot.next, lock].into_iter().flatten().min()
        };
        self.slots
            .iter()
            .flatten()
            .filter_map(|slot| of(slot))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const PATIENCE: Patience = Patience {
        retry: Duration::from_secs(15),
        unresponsive: Duration::from_secs(20),
    };

    fn command(domain: u8, counter: u32) -> Outgoing {
        Outgoing {
            id: uuid::Uuid::nil(),
            domain,
            counter,
            priority: 4,
            cose: Bytes::new(),
        }
    }

    /// Plays time forward and writes down when something was due.
    fn play(flight: &mut Flight, seconds: u64) -> Vec<(u64, Due)> {
        let mut happened = Vec::new();
        for second in 0..=seconds {
            while let Some(due) = flight.due(PATIENCE, Duration::from_secs(second)) {
                let stop = due == Due::Unresponsive;
                happened.push((second, due));
                if stop {
                    return happened;
                }
            }
        }
        happened
    }

    #[test]
    fn an_unanswered_command_is_sent_again_three_times_and_then_left() {
        let mut flight = Flight::default();
        assert!(flight.launch(command(1, 5), PATIENCE, Duration::ZERO));
        let when: Vec<u64> = play(&mut flight, 600).iter().map(|(at, _)| *at).collect();
        assert_eq!(when, [15, 45, 105]);
        assert_eq!(flight.deadline(PATIENCE), None);
    }

    #[test]
    fn an_unanswered_lock_closes_the_link_after_twenty_seconds() {
        let mut flight = Flight::default();
        assert!(flight.launch(command(0, 5), PATIENCE, Duration::ZERO));
        assert_eq!(flight.deadline(PATIENCE), Some(Duration::from_secs(15)));
        let happened = play(&mut flight, 600);
        assert_eq!(happened[0], (15, Due::Resend(command(0, 5))));
        assert_eq!(happened[1], (20, Due::Unresponsive));
    }

    #[test]
    fn an_answer_ends_the_waiting() {
        let mut flight = Flight::default();
        flight.launch(command(0, 5), PATIENCE, Duration::ZERO);
        flight.answered(0, 4);
        assert!(flight.deadline(PATIENCE).is_some());
        flight.answered(0, 5);
        assert_eq!(play(&mut flight, 600), []);
    }

    #[test]
    fn a_newer_command_replaces_the_older_and_never_the_other_way() {
        let mut flight = Flight::default();
        assert!(flight.launch(command(0, 5), PATIENCE, Duration::ZERO));
        assert!(!flight.launch(command(0, 5), PATIENCE, Duration::ZERO));
        assert!(flight.launch(command(0, 6), PATIENCE, Duration::ZERO));
        assert!(!flight.launch(command(0, 5), PATIENCE, Duration::ZERO));
        assert!(!flight.launch(command(9, 1), PATIENCE, Duration::ZERO));
        assert_eq!(
            flight.due(PATIENCE, Duration::from_secs(15)),
            Some(Due::Resend(command(0, 6)))
        );
    }
}
