//! Storage in memory, for simulations in virtual time: same rules as the file, and nothing survives but what the owner keeps.

use std::collections::BTreeMap;

use sealgate_codec::{DeviceId, edge::QueueState};

use super::store::{
    Backlog, Done, OVERHEAD, Op, QueueError, Queued, Store, first_position, limit_for,
};

#[derive(Debug, Clone, Default)]
struct Lane {
    term: u32,
    last: u64,
    messages: BTreeMap<u64, (u32, u64, Vec<u8>)>,
}

/// A queue in memory. A clone of it is what a power cut leaves.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    lanes: BTreeMap<DeviceId, Lane>,
    kept: BTreeMap<String, Vec<u8>>,
    bytes: u64,
    limit: u64,
    refused: u32,
}

impl MemoryStore {
    /// An empty one of so many bytes.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self {
            lanes: BTreeMap::new(),
            kept: BTreeMap::new(),
            bytes: 0,
            limit,
            refused: 0,
        }
    }

    fn one(&mut self, op: &Op, now: u64) -> Done {
        match op {
            Op::Append {
                dev,
                term,
                body,
                reserve,
            } => self.append(*dev, *term, body, *reserve, now),
            Op::Stored { dev, upto } => {
                let lane = self.lanes.entry(*dev).or_default();
                if *upto > lane.last {
                    // Numbers of a queue that was lost: what waits goes behind them.
                    let waiting = std::mem::take(&mut lane.messages);
                    lane.messages = waiting.into_iter().map(|(p, m)| (p + upto, m)).collect();
                    lane.last += upto;
                    return Done::Dropped(0);
                }
                let rest = lane.messages.split_off(&upto.saturating_add(1));
                let gone = std::mem::replace(&mut lane.messages, rest);
                self.bytes -= gone.values().map(|(_, _, b)| size(b)).sum::<u64>();
                Done::Dropped(u32::try_from(gone.len()).unwrap_or(u32::MAX))
            }
            Op::Term { dev } => {
                let lane = self.lanes.entry(*dev).or_default();
                lane.term += 1;
                Done::Term(lane.term)
            }
            Op::Put { name, value } => {
                self.kept.insert((*name).to_owned(), value.clone());
                Done::Kept
            }
        }
    }

    fn append(&mut self, dev: DeviceId, term: u32, body: &[u8], reserve: bool, now: u64) -> Done {
        if self.bytes + size(body) > limit_for(self.limit, reserve) {
            self.refused += 1;
            return Done::Full;
        }
        let lane = self.lanes.entry(dev).or_default();
        lane.last = if lane.last == 0 {
            first_position(now)
        } else {
            lane.last + 1
        };
        lane.messages.insert(lane.last, (term, now, body.to_vec()));
        self.bytes += size(body);
        Done::At(lane.last)
    }
}

fn size(body: &[u8]) -> u64 {
    body.len() as u64 + OVERHEAD
}

impl Store for MemoryStore {
    fn apply(&mut self, batch: &[Op], now: u64) -> Result<Vec<Done>, QueueError> {
        Ok(batch.iter().map(|op| self.one(op, now)).collect())
    }

    fn read(&mut self, dev: DeviceId, after: u64, bytes: usize) -> Result<Vec<Queued>, QueueError> {
        let mut left = bytes;
        let mut found: Vec<Queued> = Vec::new();
        let Some(lane) = self.lanes.get(&dev) else {
            return Ok(found);
        };
        for (pos, (term, _, body)) in lane.messages.range(after.saturating_add(1)..) {
            if body.len() > left && !found.is_empty() {
                break;
            }
            left = left.saturating_sub(body.len());
            found.push(Queued {
                pos: *pos,
                term: *term,
                body: body.clone(),
            });
        }
        Ok(found)
    }

    fn backlogs(&mut self) -> Result<Vec<(DeviceId, Backlog)>, QueueError> {
        let backlog = |lane: &Lane| Backlog {
            first: lane.messages.keys().next().copied().unwrap_or(0),
            messages: u32::try_from(lane.messages.len()).unwrap_or(u32::MAX),
            term: lane.term,
        };
        Ok(self
            .lanes
            .iter()
            .map(|(dev, lane)| (*dev, backlog(lane)))
            .collect())
    }

    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, QueueError> {
        Ok(self.kept.get(name).cloned())
    }

    fn state(&self, now: u64) -> QueueState {
        let messages: usize = self.lanes.values().map(|lane| lane.messages.len()).sum();
        let oldest = self
            .lanes
            .values()
            .filter_map(|lane| lane.messages.values().next())
            .map(|(_, at, _)| *at)
            .min();
        QueueState {
            messages: u32::try_from(messages).unwrap_or(u32::MAX),
            bytes: self.bytes,
            limit: self.limit,
            oldest: oldest.map_or(0, |at| {
                u32::try_from(now.saturating_sub(at) / 1000).unwrap_or(u32::MAX)
            }),
            refused: self.refused,
        }
    }

    fn tidy(&mut self) -> bool {
        false
    }
}
