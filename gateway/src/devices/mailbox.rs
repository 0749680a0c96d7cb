//! What other rooms leave for a session: bounded, without memory of its own while empty, urgent notes first.

use std::{collections::VecDeque, sync::Mutex};

use bytes::Bytes;
use tokio::sync::Notify;

/// Notes a session may have waiting; a command that finds the box full stays in the database and is tried again.
const CAPACITY: usize = 32;

/// A signed command on its way to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The command's row.
    pub id: uuid::Uuid,
    /// Counter domain.
    pub domain: u8,
    /// Counter within the domain.
    pub counter: u32,
    /// Lower is sooner; 0 is a lock.
    pub priority: u8,
    /// The signed ticket.
    pub cose: Bytes,
}

/// A note for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// Send this command.
    Command(Outgoing),
    /// The device's row changed: read it again.
    Refresh,
}

impl Note {
    fn priority(&self) -> u8 {
        match self {
            Self::Command(command) => command.priority,
            Self::Refresh => 1,
        }
    }
}

/// The box.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    notes: Mutex<VecDeque<Note>>,
    arrived: Notify,
}

impl Mailbox {
    /// Leaves a note; false when the box is full.
    pub(super) fn push(&self, note: Note) -> bool {
        {
            let mut notes = self.notes.lock().expect("no panic while held");
            if notes.contains(&note) {
                return true;
            }
            if notes.len() >= CAPACITY {
                return false;
            }
            let at = notes
                .iter()
                .position(|other| other.priority() > note.priority())
                .unwrap_or(notes.len());
            notes.insert(at, note);
        }
        self.arrived.notify_one();
        true
    }

    /// Takes the most urgent note.
    pub(super) fn pop(&self) -> Option<Note> {
        let mut notes = self.notes.lock().expect("no panic while held");
        let note = notes.pop_front();
        if notes.is_empty() && notes.capacity() > 4 {
            notes.shrink_to_fit();
        }
        note
    }

    /// Waits for a note. May wake without one.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(counter: u32, priority: u8) -> Note {
        Note::Command(Outgoing {
            id: uuid::Uuid::nil(),
            domain: 0,
            counter,
            priority,
            cose: Bytes::new(),
        })
    }

    #[test]
    fn a_lock_overtakes_what_waits_and_equals_keep_their_order() {
        let mailbox = Mailbox::default();
        for note in [command(1, 4), command(2, 7), command(3, 4), command(4, 0)] {
            assert!(mailbox.push(note));
        }
        let order: Vec<_> = std::iter::from_fn(|| mailbox.pop()).collect();
        assert_eq!(
            order,
            [command(4, 0), command(1, 4), command(3, 4), command(2, 7)]
        );
    }

    #[test]
    fn a_full_box_refuses_and_a_repeated_note_takes_no_room() {
        let mailbox = Mailbox::default();
        for counter in 0..32 {
            assert!(mailbox.push(command(counter, 4)));
            assert!(mailbox.push(command(counter, 4)));
        }
        assert!(!mailbox.push(command(99, 0)));
    }
}
