//! The gate before the one writer of SQLite: first come, first served, in two lanes.
//!
//! Locks and commands take the priority lane and pass before ingest. A lane never starves: after
//! [`PRIORITY_RUN`] priority turns in a row a waiting normal one gets its turn.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

/// Priority turns in a row while a normal one waits.
const PRIORITY_RUN: u32 = 8;

#[derive(Debug, Default)]
struct State {
    taken: bool,
    run: u32,
    priority: VecDeque<oneshot::Sender<Permit>>,
    normal: VecDeque<oneshot::Sender<Permit>>,
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        let normal_first = self.run >= PRIORITY_RUN && !self.normal.is_empty();
        if !normal_first && let Some(waiting) = self.priority.pop_front() {
            self.run += 1;
            return Some(waiting);
        }
        self.run = 0;
        self.normal.pop_front()
    }
}

/// The gate. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    state: Arc<Mutex<State>>,
}

impl Gate {
    /// Waits for the turn. Giving up waiting is safe.
    pub(super) async fn pass(&self, priority: bool) -> Permit {
        let turn = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.taken {
                state.taken = true;
                return Permit {
                    gate: Some(self.clone()),
                };
            }
            let (sender, receiver) = oneshot::channel();
            let lane = if priority {
                &mut state.priority
            } else {
                &mut state.normal
            };
            lane.push_back(sender);
            receiver
        };
        turn.await.expect("the gate outlives those who wait at it")
    }

    fn release(&self) {
        loop {
            let waiting = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(waiting) = state.next() else {
                    state.taken = false;
                    return;
                };
                waiting
            };
            let permit = Permit {
                gate: Some(self.clone()),
            };
            match waiting.send(permit) {
                Ok(()) => return,
                // It gave up waiting: take the permit back without passing the gate again.
                Err(mut permit) => permit.gate = None,
            }
        }
    }
}

/// The right to write, until dropped.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Option<Gate>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::tasks;

    #[tokio::test]
    async fn priority_passes_before_those_who_came_earlier() {
        let gate = Gate::default();
        let held = gate.pass(false).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut all = Vec::new();
        for (name, priority) in [("n1", false), ("n2", false), ("p1", true), ("p2", true)] {
            let (gate, order) = (gate.clone(), Arc::clone(&order));
            all.push(tasks::spawn("waiter", async move {
                let _permit = gate.pass(priority).await;
                order.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for task in all {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["p1", "p2", "n1", "n2"]);
    }

    #[tokio::test]
    async fn a_flood_of_priority_does_not_starve_the_rest() {
        let gate = Gate::default();
        let held = gate.pass(false).await;
        let before = Arc::new(AtomicU32::new(0));
        let seen = Arc::new(AtomicU32::new(u32::MAX));
        let mut all = Vec::new();
        {
            let (gate, before, seen) = (gate.clone(), Arc::clone(&before), Arc::clone(&seen));
            all.push(tasks::spawn("normal", async move {
                let _permit = gate.pass(false).await;
                seen.store(before.load(Ordering::SeqCst), Ordering::SeqCst);
            }));
        }
        tokio::task::yield_now().await;
        for _ in 0..50 {
            let (gate, before) = (gate.clone(), Arc::clone(&before));
            all.push(tasks::spawn("priority", async move {
                let _permit = gate.pass(true).await;
                before.fetch_add(1, Ordering::SeqCst);
            }));
        }
        tokio::task::yield_now().await;
        drop(held);
        for task in all {
            task.await.unwrap();
        }
        assert!(seen.load(Ordering::SeqCst) <= PRIORITY_RUN);
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_does_not_keep_the_gate() {
        let gate = Gate::default();
        let held = gate.pass(false).await;
        let waiting = tasks::spawn("gives up", {
            let gate = gate.clone();
            async move { gate.pass(true).await }
        });
        tokio::task::yield_now().await;
        waiting.abort();
        let _ = waiting.await;
        drop(held);
        drop(gate.pass(false).await);
        drop(gate.pass(true).await);
    }
}
