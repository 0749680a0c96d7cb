//! How long a stranger waits: 1 s after the first refusal, twice as long after each further one, 60 s at most.
//!
//! Invariant: a fixed number of addresses; whoever changes its address often only pushes out other strangers.

use alloc::vec::Vec;

use super::Millis;

const FIRST: Millis = 1_000;
const LONGEST: Millis = 60_000;
const PLACES: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Refused {
    address: [u8; 6],
    until: Millis,
    wait: Millis,
}

/// The addresses a seal refused lately.
#[derive(Debug, Clone, Default)]
pub struct Penalties {
    refused: Vec<Refused>,
}

impl Penalties {
    /// Nobody was refused.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            refused: Vec::new(),
        }
    }

    /// A link of this address ended with [`super::CloseReason::Stranger`]; returns how long it is kept out.
    pub fn refuse(&mut self, address: [u8; 6], now: Millis) -> Millis {
        let before = self
            .refused
            .iter()
            .position(|refused| refused.address == address)
            .map(|place| self.refused.remove(place));
        // Whoever kept still for as long again as it had to wait begins anew.
        let wait = match before {
            Some(before) if now <= before.until.saturating_add(before.wait) => {
                (before.wait * 2).min(LONGEST)
            }
            _ => FIRST,
        };
        if self.refused.len() == PLACES {
            self.refused.remove(0);
        }
        self.refused.push(Refused {
            address,
            until: now.saturating_add(wait),
            wait,
        });
        wait
    }

    /// A link of this address opened.
    pub fn forgive(&mut self, address: [u8; 6]) {
        self.refused.retain(|refused| refused.address != address);
    }

    /// Whether a connection of this address is ended at once.
    #[must_use]
    pub fn keeps_out(&self, address: [u8; 6], now: Millis) -> bool {
        self.refused
            .iter()
            .any(|refused| refused.address == address && now < refused.until)
    }
}
