//! Which seals a box works for, and with which link tickets.

use alloc::vec::Vec;

use super::Ways;
use crate::{
    DecodeError, DeviceId,
    cbor::{Reader, Writer},
};

/// Seals in one part of an assignment, at most.
pub const MAX_ASSIGNED: usize = 48;
/// Parts of an assignment, at most.
pub const MAX_PARTS: u8 = 32;
/// Longest link ticket in an assignment.
const MAX_TICKET: usize = 200;

/// One seal of a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The seal.
    pub dev: DeviceId,
    /// Its X25519 public key, for the handshake.
    pub key: [u8; 32],
    /// Its advertising key, for telling it from strangers, see [`crate::link::advert_id`].
    pub advert_key: [u8; 32],
    /// How it may be reached through this box.
    pub ways: Ways,
    /// Its Bluetooth address, where the platform knows it.
    pub address: Option<[u8; 6]>,
    /// COSE_Sign1 of the link ticket for this box's key; none: known, but not to be linked now.
    pub ticket: Option<Vec<u8>>,
}

impl Assigned {
    fn write(&self, w: &mut Writer) {
        w.array(6)
            .bytes(self.dev.as_bytes())
            .bytes(&self.key)
            .bytes(&self.advert_key)
            .uint(self.ways.0);
        match &self.address {
            Some(address) => w.bytes(address),
            None => w.null(),
        };
        match &self.ticket {
            Some(ticket) => w.bytes(ticket),
            None => w.null(),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array(6)?;
        Ok(Self {
            dev: DeviceId::new(r.fixed()?),
            key: r.fixed()?,
            advert_key: r.fixed()?,
            ways: Ways(r.u8()?),
            address: if r.null()? { None } else { Some(r.fixed()?) },
            ticket: if r.null()? {
                None
            } else {
                Some(read_ticket(r)?)
            },
        })
    }
}

fn read_ticket(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(r.bytes_in(1..=MAX_TICKET, "length of a link ticket")?
        .to_vec())
}

/// One part of the full set of a box's seals. A new set counts once all its parts are there; then whatever is not in it
/// is not the box's any more. Device ids rise through all parts, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assign {
    /// Version of the set; rises with every change of it, not with new tickets.
    pub version: u32,
    /// This part, from 0.
    pub part: u8,
    /// How many parts there are, 1 to [`MAX_PARTS`].
    pub parts: u8,
    /// Up to [`MAX_ASSIGNED`] seals; none when the box has none at all.
    pub seals: Vec<Assigned>,
}

impl Assign {
    /// Cuts a full set into parts, sorting it.
    ///
    /// Seals behind the last part are left out: a box cannot work for that many.
    #[must_use]
    pub fn parts(version: u32, mut seals: Vec<Assigned>) -> Vec<Self> {
        seals.sort_by_key(|seal| seal.dev);
        seals.truncate(MAX_ASSIGNED * usize::from(MAX_PARTS));
        let parts = u8::try_from(seals.len().div_ceil(MAX_ASSIGNED).max(1)).unwrap_or(MAX_PARTS);
        (0..parts)
            .map(|part| {
                let rest = seals.split_off(seals.len().min(MAX_ASSIGNED));
                Self {
                    version,
                    part,
                    parts,
                    seals: core::mem::replace(&mut seals, rest),
                }
            })
            .collect()
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.map(4, &[]);
        w.key(0).uint(self.version);
        w.key(1).uint(self.part);
        w.key(2).uint(self.parts);
        w.key(3).array(self.seals.len());
        for seal in &self.seals {
            seal.write(w);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let assign = Self {
            version: map.required(0, Reader::u32)?,
            part: map.required(1, Reader::u8)?,
            parts: map.required(2, |r| r.u8_in(1..=MAX_PARTS, "parts of an assignment"))?,
            seals: map.required(3, |r| {
                let count = r.array_in(0..=MAX_ASSIGNED as u64, "seals of an assignment")?;
                (0..count).map(|_| Assigned::read(r)).collect()
            })?,
        };
        map.finish()?;
        if assign.part >= assign.parts {
            return Err(DecodeError::Range("a part behind the last"));
        }
        if !assign.seals.is_sorted_by(|a, b| a.dev < b.dev) {
            return Err(DecodeError::NotCanonical("device ids unsorted or twice"));
        }
        Ok(assign)
    }
}

/// A new link ticket for a seal of the present assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewedTicket {
    /// The seal.
    pub dev: DeviceId,
    /// COSE_Sign1.
    pub ticket: Vec<u8>,
}

impl RenewedTicket {
    pub(super) fn write(&self, w: &mut Writer) {
        w.array(2).bytes(self.dev.as_bytes()).bytes(&self.ticket);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array(2)?;
        Ok(Self {
            dev: DeviceId::new(r.fixed()?),
            ticket: read_ticket(r)?,
        })
    }
}
